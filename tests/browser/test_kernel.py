"""The CodeAct kernel in JupyterLab, as a person uses it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from .desk import Desk
from .lab import Lab

pytestmark = pytest.mark.kernel
PLOT = """\
import matplotlib.pyplot as plt

per_customer = {}
for payment in payments:
    per_customer[payment["customer"]] = per_customer.get(payment["customer"], 0) + payment["eur"]
fig, ax = plt.subplots(figsize=(5, 1.8))
ax.bar(per_customer.keys(), per_customer.values(), color="#4c78a8")
ax.set_ylabel("EUR")
plt.show()"""
FETCH = """\
payments = fetch_payments("2026-03")
print(len(payments), "payments")
wait_for_bank("march")"""


def test_a_task_from_the_launcher_is_seen_as_it_happens(desk: Desk, lab: Lab) -> None:
    lab.script(
        "default",
        {"thought": "First the payments of March.", "code": FETCH},
        {"thought": "Now a bar for each customer.", "code": PLOT},
        {"answer": "Ada paid most: **480 EUR**."},
    )
    book = desk.launch("CodeAct")
    cell = book.type("Who paid most in March? Draw it.")
    shown = book.shown(cell)
    for seen in ("First the payments of March.", 'fetch_payments("2026-03")', "6 payments"):
        expect(shown).to_contain_text(seen)
    expect(shown).not_to_contain_text("Ada paid most")
    desk.picture("streaming")
    lab.open_gate("march")
    book.finished(cell)
    expect(shown).to_contain_text("Ada paid most: 480 EUR.")
    expect(shown.locator("strong")).to_have_text("480 EUR")
    expect(shown.locator("img")).to_be_visible()
    desk.picture("kernel")


def test_own_cells_share_the_state(desk: Desk, lab: Lab) -> None:
    model = lab.script("own", {"code": "total = sum(prices)\nprint(total)"}, {"answer": "It is 60."})
    cells = (f"%model {model}", "%%python\nprices = [10, 20, 30]", "Add them up", "%%python\ntotal + 1")
    book = desk.open(lab.notebook("own", *cells))
    book.run(0)
    book.run(1)
    expect(book.run(2)).to_contain_text("It is 60.")
    expect(book.run(3)).to_contain_text("61")


def test_sandboxed_code_asks(desk: Desk, lab: Lab) -> None:
    model = lab.script(
        "asks", {"code": "name = input('Who are you? ')\nprint('Hello', name)"}, {"answer": "Done."}
    )
    book = desk.open(lab.notebook("asks", f"%model {model}", "Greet me"))
    book.run(0)
    book.start(1)
    expect(book.panel.locator(".jp-Stdin-prompt")).to_contain_text("sandboxed code asks: Who are you?")
    book.answer("Grace")
    book.finished(1)
    expect(book.shown(1)).to_contain_text("Hello Grace")


def test_interrupted_task_keeps_its_state_and_goes_on(desk: Desk, lab: Lab) -> None:
    model = lab.script(
        "interrupt",
        {"code": "kept = 41\nprint('begun')\nimport time\ntime.sleep(600)"},
        {"code": "print('went on with', kept + 1)"},
        {"answer": "Done."},
    )
    cells = (f"%model {model}", "Take long", "Go on", "%%python\nkept")
    book = desk.open(lab.notebook("interrupt", *cells))
    book.run(0)
    book.start(1)
    expect(book.shown(1)).to_contain_text("begun")
    book.command("notebook:interrupt-kernel")
    book.finished(1)
    book.wait_idle()
    expect(book.run(2)).to_contain_text("went on with 42")
    book.restart()
    expect(book.run(3)).to_contain_text("NameError")


def test_the_answer_links_to_its_notebook(desk: Desk, lab: Lab) -> None:
    model = lab.script("link", {"code": "print(6 * 7)"}, {"answer": "42"})
    book = desk.open(lab.notebook("link", f"%model {model}", "How much is it?"))
    book.run(0)
    link = book.run(1).get_by_role("link", name=re.compile(r"link-codeact-.*\.ipynb"))
    link.click()
    opened = desk.book()
    expect(opened.panel).to_contain_text("How much is it?")
    expect(opened.cells.last).to_contain_text("print(6 * 7)")
