"""Tool calls that wait for a person, in JupyterLab."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from .desk import Desk
from .lab import Lab

pytestmark = pytest.mark.kernel
REFUNDS = """\
for order, eur in [("A-1001", 240.0), ("A-1003", 130.0)]:
    try:
        print(refund(order, eur))
    except ToolDenied as denied:
        print("not", order, denied)"""


def test_calls_wait_for_a_person(desk: Desk, lab: Lab) -> None:
    model = lab.script(
        "approval",
        {"thought": "I refund what was paid twice.", "code": REFUNDS},
        {"answer": "One refund is done, the other was not wanted."},
    )
    book = desk.open(lab.notebook("approval", f"%model {model}", "Refund what was paid twice"))
    book.run(0)
    book.start(1)
    shown = book.shown(1)
    question = shown.locator("div", has_text="Call refund in step 1?")
    for seen in ("'A-1001'", "240.0"):
        expect(question.last).to_contain_text(seen)
    expect(book.panel.locator(".jp-Stdin-input")).to_be_visible()
    desk.picture("approval", book.cells.nth(1))
    book.answer("y")
    expect(shown).to_contain_text("'A-1003'")
    book.answer("n the customer keeps it")
    book.finished(1)
    expect(shown).to_contain_text("refunded 240.00 EUR of A-1001")
    expect(shown).to_contain_text("the customer keeps it")
    expect(shown).not_to_contain_text("refunded 130")
    expect(shown).to_contain_text("One refund is done")
