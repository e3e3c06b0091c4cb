"""The demo: its database, its folder, and the whole thing through the command."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest

from codeact_kernel.exceptions import UsageError
from codeact_kernel.frontends.demo import database
from codeact_kernel.frontends.demo.folder import EXAMPLE, MARKER, prepare
from codeact_kernel.frontends.toolsfile import load_tools

Command = Callable[..., "subprocess.CompletedProcess[str]"]
DUE = {3: 129_90, 14: 249_00, 22: 100_01, 38: 512_40}


def test_the_database_is_the_same_every_time(tmp_path: Path) -> None:
    for name in ("a.db", "b.db"):
        database.create(tmp_path / name)
    with closing(sqlite3.connect(tmp_path / "a.db")) as a, closing(sqlite3.connect(tmp_path / "b.db")) as b:
        assert list(a.iterdump()) == list(b.iterdump())


def test_what_is_due_by_hand_and_by_query(tmp_path: Path) -> None:
    database.create(tmp_path / "orders.db")
    assert database.to_refund(tmp_path / "orders.db") == DUE
    assert database.refunded(tmp_path / "orders.db") == {}


def test_the_traps_are_in_the_database(tmp_path: Path) -> None:
    database.create(tmp_path / "orders.db")
    with closing(sqlite3.connect(tmp_path / "orders.db")) as db:
        twice_but_small = """SELECT count(*) FROM (SELECT 1 FROM payments JOIN orders ON orders.id = order_id
            WHERE state = 'captured' AND amount_cents = total_cents AND total_cents <= 10000
            GROUP BY order_id HAVING count(*) = 2)"""
        halves = """SELECT count(*) FROM (SELECT 1 FROM payments JOIN orders ON orders.id = order_id
            WHERE total_cents > 10000 GROUP BY order_id
            HAVING count(*) = 2 AND sum(amount_cents) = total_cents)"""
        failed = "SELECT count(*) FROM payments WHERE state = 'failed'"
        assert [db.execute(query).fetchone()[0] for query in (twice_but_small, halves, failed)] == [3, 2, 3]


@pytest.fixture
def demo_folder(tmp_path: Path) -> Path:
    prepare(tmp_path / "demo")
    return tmp_path / "demo"


def test_the_tools_work_as_ordinary_functions(demo_folder: Path) -> None:
    fetch_orders, get_payments, refund = load_tools(demo_folder / "tools.py")
    (order,) = (order for order in fetch_orders("paid") if order.id == 3)
    assert order.total == Decimal("129.90")
    assert [payment.amount for payment in get_payments(3)] == [Decimal("129.90")] * 2
    assert refund(3, Decimal("200")).amount == 200
    assert database.refunded(demo_folder / "orders.db") == {3: 200_00}


@pytest.mark.parametrize("amount", ["0", "-1", "0.001", "259.81"])
def test_a_refund_that_cannot_be_right_is_refused(demo_folder: Path, amount: str) -> None:
    *_, refund = load_tools(demo_folder / "tools.py")
    with pytest.raises(ValueError, match="refund"):
        refund(3, Decimal(amount))
    assert database.refunded(demo_folder / "orders.db") == {}


def test_a_missing_database_is_not_made_anew(tmp_path: Path) -> None:
    copy = tmp_path / "tools.py"
    copy.write_text((EXAMPLE / "tools.py").read_text())
    with pytest.raises(UsageError, match="unable to open database file"):
        load_tools(copy)
    assert not (tmp_path / "orders.db").exists()


def test_only_the_demo_folder_is_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    assert prepare(folder) == []
    (folder / "mine.txt").write_text("keep me")
    (folder / "refunds.ipynb").write_text("old")
    assert "refunds.ipynb" in prepare(folder)
    assert (folder / "mine.txt").read_text() == "keep me"
    (folder / MARKER).unlink()
    with pytest.raises(UsageError, match="left alone"):
        prepare(folder)


@pytest.mark.kernel
def test_the_demo_twice(codeact: Command, folder: Path) -> None:
    for attempt in range(2):
        shown = codeact("demo")
        assert shown.returncode == 0, shown.stdout + shown.stderr
        assert "\x1b" not in shown.stdout
        assert shown.stderr == ""
        assert "TypeError" in shown.stdout, "one step fails and recovers"
        assert "Answer: Refunded 4 orders that were paid twice, 991.31 EUR in all" in shown.stdout
        assert "4 rows: exactly the refunds that were due." in shown.stdout
        assert "The replay agrees: 4 steps." in shown.stdout
        assert "The database was not touched again" in shown.stdout
        assert "ANTHROPIC_API_KEY" in shown.stdout.splitlines()[-1]
        assert ("Starting afresh" in shown.stdout) == bool(attempt)
    made = folder / "codeact-demo"
    assert database.refunded(made / "orders.db") == DUE
    cells = json.loads((made / "refunds.ipynb").read_text())["cells"]
    assert any("raises-exception" in cell["metadata"].get("tags", []) for cell in cells)


@pytest.mark.kernel
def test_the_demo_tools_file_through_run(command: Command, folder: Path) -> None:
    prepare(folder / "mine")
    shown = command(
        "run",
        "Refund every order over 100 EUR that was paid twice.",
        *("--tools", "mine/tools.py", "--model", "scripted:mine/script.jsonl", "--out", "run.ipynb"),
    )
    assert shown.returncode == 0, shown.stderr
    assert database.refunded(folder / "mine" / "orders.db") == DUE
