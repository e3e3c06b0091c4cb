"""Code that shows too much: the page stays responsive, and what it holds is bounded."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from . import heartbeat
from .desk import Desk
from .lab import Lab

pytestmark = pytest.mark.kernel
STUCK_S = 15
"""A page that has to show it all is stuck for minutes, or dies; a slow machine may take seconds."""
MOST_CHARACTERS = 3_000_000
MOST_ELEMENTS = 3_000
MANY = "from IPython.display import display\nfor i in range(1000):\n    display(i)"
LARGE = "for i in range(50):\n    print('x' * 999_999)"


@pytest.mark.parametrize(("name", "code"), [("many", MANY), ("large", LARGE)], ids=("many", "large"))
def test_the_page_stays_responsive(desk: Desk, lab: Lab, name: str, code: str) -> None:
    model = lab.script(name, {"code": code}, {"answer": "That was a lot."})
    book = desk.open(lab.notebook(name, f"%model {model}", "Show it", "%%python\n'still here'"))
    book.run(0)
    heartbeat.start(desk.page)
    shown = book.run(1)
    expect(shown).to_contain_text("That was a lot.")
    assert shown.evaluate("node => node.textContent.length") < MOST_CHARACTERS
    assert shown.locator("*").count() < MOST_ELEMENTS
    expect(book.run(2)).to_contain_text("still here")
    assert heartbeat.longest(desk.page) < STUCK_S
