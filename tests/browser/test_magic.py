"""The magic in a Python notebook of JupyterLab."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from .desk import Desk
from .lab import Lab

pytestmark = pytest.mark.kernel
SALES = """\
%load_ext codeact_kernel
import pandas as pd
sales = pd.DataFrame({"month": ["Jan", "Feb", "Mar"], "eur": [120, 80, 200]})"""
GROW = """\
sales["change"] = sales["eur"].diff()
best = sales.loc[sales["eur"].idxmax(), "month"]
sales"""


def test_values_go_in_and_come_back(desk: Desk, lab: Lab) -> None:
    model = lab.script(
        "magic",
        {"thought": "How each month differs from the one before.", "code": GROW},
        {"answer": "**Mar** was the best."},
    )
    setting = f"{SALES}\n%config CodeActMagics.model = {model!r}"
    task = "%%codeact --with sales --out best,sales\nHow do the months compare?"
    book = desk.open(lab.notebook("magic", setting, task, "best, list(sales.columns)", kernel="python3"))
    book.run(0)
    shown = book.run(1)
    expect(shown).to_contain_text("How each month differs")
    expect(shown.locator("table")).to_contain_text("change")
    expect(shown).to_contain_text("Mar was the best.")
    desk.picture("magic", book.cells.nth(1))
    expect(book.run(2)).to_contain_text("('Mar', ['month', 'eur', 'change'])")
