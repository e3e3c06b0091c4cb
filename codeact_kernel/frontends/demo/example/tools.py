"""Owns an example tools file: three tools over one SQLite connection, for `codeact run … --tools`.

The tools are methods of an object that holds the connection. They run on the host, on the thread that
opened it; the sandbox sees functions with these signatures, and never the database.
"""

from __future__ import annotations

import atexit
import sqlite3
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Literal

from codeact_kernel import tool

OrderStatus = Literal["open", "paid", "shipped", "cancelled"]


@dataclass(frozen=True)
class Order:
    """An order; `total` in EUR."""

    id: int
    customer: str
    total: Decimal
    status: str


@dataclass(frozen=True)
class Payment:
    """An attempt to pay for an order; `amount` in EUR, `state` is "captured" or "failed"."""

    id: int
    order_id: int
    amount: Decimal
    state: str
    paid_on: str


@dataclass(frozen=True)
class Refund:
    """Money given back; `amount` in EUR."""

    id: int
    order_id: int
    amount: Decimal


def euros(cents: int) -> Decimal:
    return Decimal(cents).scaleb(-2)


class Shop:
    """The orders database."""

    def __init__(self, path: Path) -> None:
        # mode=rw: a missing database is an error, not a new empty one.
        self._db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True)
        atexit.register(self._db.close)

    def fetch_orders(self, status: OrderStatus) -> list[Order]:
        """All orders with this status, by id."""
        rows = self._db.execute(
            "SELECT id, customer, total_cents, status FROM orders WHERE status = ? ORDER BY id", (status,)
        )
        return [Order(order_id, customer, euros(total), state) for order_id, customer, total, state in rows]

    def get_payments(self, order_id: int) -> list[Payment]:
        """All payments of an order, failed ones included, oldest first."""
        rows = self._db.execute(
            "SELECT id, order_id, amount_cents, state, paid_on FROM payments WHERE order_id = ? ORDER BY id",
            (order_id,),
        )
        return [Payment(key, order, euros(amount), state, day) for key, order, amount, state, day in rows]

    def refund(self, order_id: int, amount: Decimal) -> Refund:
        """Gives back `amount` EUR of an order. Never more than is captured and not yet refunded."""
        cents = int(amount.scaleb(2).to_integral_exact())
        if cents <= 0 or euros(cents) != amount:
            raise ValueError(f"cannot refund {amount} EUR: a positive amount in whole cents is needed")
        if cents > (left := self._refundable(order_id)):
            raise ValueError(f"order {order_id}: {amount} EUR asked, only {euros(left)} EUR can be refunded")
        with self._db:  # one transaction, committed at the end
            cursor = self._db.execute(
                "INSERT INTO refunds (order_id, amount_cents) VALUES (?, ?)", (order_id, cents)
            )
        return Refund(cursor.lastrowid or 0, order_id, amount)

    def _refundable(self, order_id: int) -> int:
        (captured,) = self._db.execute(
            "SELECT coalesce(sum(amount_cents), 0) FROM payments WHERE order_id = ? AND state = 'captured'",
            (order_id,),
        ).fetchone()
        (refunded,) = self._db.execute(
            "SELECT coalesce(sum(amount_cents), 0) FROM refunds WHERE order_id = ?", (order_id,)
        ).fetchone()
        return int(captured) - int(refunded)


shop = Shop(Path(__file__).with_name("orders.db"))
fetch_orders = tool(shop.fetch_orders)
get_payments = tool(shop.get_payments)
refund = tool(shop.refund)
