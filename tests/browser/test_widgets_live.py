"""Widgets that live while a cell runs, and after the page is loaded again."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from .desk import Desk
from .lab import Lab

pytestmark = pytest.mark.kernel
SLIDERS = """%%python
import asyncio
import ipywidgets

slider = ipywidgets.IntSlider(value=3, max=10)

@ipywidgets.interact(years=(0, 5))
def show(years=1):
    print(years, "years")

slider"""
WAITING = """%%python
print("go on")
while slider.value < 6:
    await asyncio.sleep(0.01)
print("reached", slider.value)"""
SAVE = "async () => { await window.jupyterapp.shell.currentWidget.context.save() }"


def test_sliders_move_while_a_cell_runs_and_are_there_after_a_reload(desk: Desk, lab: Lab) -> None:
    model = lab.script("sliders", {"answer": "nothing to do"})
    book = desk.open(lab.notebook("sliders", f"%model {model}", SLIDERS, WAITING))
    book.run(0)
    shown = book.run(1)
    years, slider = shown.locator(".noUi-handle").first, shown.locator(".noUi-handle").last

    book.start(2)
    expect(book.shown(2)).to_contain_text("go on")
    slider.focus()
    for _ in range(3):  # Each goes out when the one before is done.
        desk.page.keyboard.press("ArrowRight")
    expect(book.shown(2)).to_contain_text("reached 6")
    book.finished(2)

    years.focus()
    desk.page.keyboard.press("ArrowRight")
    expect(shown).to_contain_text("2 years")
    expect(shown).not_to_contain_text("1 years")  # It is shown in the widget, which was cleared.

    desk.page.evaluate(SAVE)
    desk.page.reload()
    again = desk.book().shown(1)
    expect(again.locator(".widget-readout").last).to_have_text("6")
    expect(again).to_contain_text("2 years")
