"""The magic in a Python notebook of JupyterLab."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from .desk import Desk
from .lab import Lab

pytestmark = pytest.mark.kernel


def test_values_go_in_and_come_back(desk: Desk, lab: Lab) -> None:
    book = desk.open(lab.notebook("magic", "1 + 1", kernel="python3"))
    expect(book.run(0)).to_contain_text("2")
    desk.picture("magic")


def test_values_go_in_and_come_back2(desk: Desk, lab: Lab) -> None:
    book = desk.open(lab.notebook("magic", "1 + 1", kernel="python3"))
    expect(book.run(0)).to_contain_text("2")
    desk.picture("magic")
