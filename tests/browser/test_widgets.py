"""Widgets of sandboxed code, in JupyterLab."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from .desk import Desk
from .lab import Lab

pytestmark = pytest.mark.kernel
SLIDER = """\
import ipywidgets as widgets

slider = widgets.IntSlider(value=3, max=10, description="months")
total = widgets.Label()

def show(change):
    total.value = f"{slider.value} months are {slider.value * 120} EUR"

slider.observe(show, "value")
show(None)
display(widgets.VBox([slider, total]))"""


def test_a_slider_calls_back_into_the_sandbox(desk: Desk, lab: Lab) -> None:
    model = lab.script("slider", {"thought": "A slider.", "code": SLIDER}, {"answer": "Move it."})
    book = desk.open(lab.notebook("slider", f"%model {model}", "Let me choose", "%%python\nslider.value"))
    book.run(0)
    shown = book.run(1)
    expect(shown).to_contain_text("3 months are 360 EUR")
    handle = shown.locator(".noUi-handle")
    handle.focus()
    desk.page.keyboard.press("ArrowRight")
    expect(shown).to_contain_text("4 months are 480 EUR")
    expect(book.run(2)).to_contain_text("4")
    desk.picture("widget", book.cells.nth(1))
