"""Owns the demo's SQLite database: how it is made, and what must be true of it after the run."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Literal, TypeAlias

Amounts: TypeAlias = dict[int, int]
"""Order id -> cents."""
Pattern: TypeAlias = Literal["once", "twice", "halves", "retried", "unpaid"]

SCHEMA = """
CREATE TABLE orders (
    id INTEGER PRIMARY KEY, customer TEXT NOT NULL, total_cents INTEGER NOT NULL, status TEXT NOT NULL);
CREATE TABLE payments (
    id INTEGER PRIMARY KEY, order_id INTEGER NOT NULL REFERENCES orders, amount_cents INTEGER NOT NULL,
    state TEXT NOT NULL, paid_on TEXT NOT NULL);
CREATE TABLE refunds (
    id INTEGER PRIMARY KEY, order_id INTEGER NOT NULL REFERENCES orders, amount_cents INTEGER NOT NULL);
"""
CUSTOMERS = ("Adler", "Bianchi", "Chen", "Dubois", "Eriksen", "Fuentes", "Grabowska")
ORDERS = 40
# The traps: paid twice but not above 100 EUR (7, exactly 100; 16 and 31, below), two halves that are one
# payment (12, 28), a failed attempt before the one that counted (9, 21, 35), and one not paid at all.
PATTERNS: dict[int, Pattern] = {
    **dict.fromkeys((3, 7, 14, 16, 22, 31, 38), "twice"),
    **dict.fromkeys((12, 28), "halves"),
    **dict.fromkeys((9, 21, 35), "retried"),
    **dict.fromkeys((5, 19, 40), "unpaid"),
}
TOTALS = {
    3: 129_90,
    7: 100_00,
    14: 249_00,
    16: 45_50,
    22: 100_01,
    31: 79_95,
    38: 512_40,
    12: 300_00,
    28: 180_00,
}


def create(path: Path) -> None:
    """Makes the database: 40 orders, the same every time."""
    with closing(sqlite3.connect(path)) as db, db:
        db.executescript(SCHEMA)
        for order in range(1, ORDERS + 1):
            pattern = PATTERNS.get(order, "once")
            total = TOTALS.get(order, 20_00 + order * 37_13 % 230_00)
            db.execute("INSERT INTO orders VALUES (?, ?, ?, ?)", (order, *_order(order, total, pattern)))
            for day, (amount, state) in enumerate(_payments(total, pattern), 1 + order % 20):
                db.execute(
                    "INSERT INTO payments (order_id, amount_cents, state, paid_on) VALUES (?, ?, ?, ?)",
                    (order, amount, state, f"2025-03-{day:02d}"),
                )


def to_refund(path: Path) -> Amounts:
    """What the task asks for, by one query: the surplus of every order over 100 EUR paid twice in full."""
    return _amounts(
        path,
        """SELECT orders.id, orders.total_cents FROM orders JOIN payments ON payments.order_id = orders.id
           WHERE orders.total_cents > 10000 AND payments.state = 'captured'
             AND payments.amount_cents = orders.total_cents
           GROUP BY orders.id HAVING count(*) = 2 ORDER BY orders.id""",
    )


def refunded(path: Path) -> Amounts:
    """What has been given back, as the database says."""
    return _amounts(
        path, "SELECT order_id, sum(amount_cents) FROM refunds GROUP BY order_id ORDER BY order_id"
    )


def digest(path: Path) -> str:
    """SHA-256 of the database file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _amounts(path: Path, query: str) -> Amounts:
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as db:
        return {int(order): int(cents) for order, cents in db.execute(query)}


def _order(order: int, total: int, pattern: Pattern) -> tuple[str, int, str]:
    status = "open" if pattern == "unpaid" else "shipped" if order % 4 == 2 else "paid"
    return CUSTOMERS[order % len(CUSTOMERS)], total, status


def _payments(total: int, pattern: Pattern) -> Iterator[tuple[int, str]]:
    if pattern == "retried":
        yield total, "failed"
    if pattern == "halves":
        yield total // 2, "captured"
        yield total - total // 2, "captured"
    elif pattern != "unpaid":
        yield total, "captured"
    if pattern == "twice":
        yield total, "captured"
