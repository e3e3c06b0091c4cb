"""Owns what a person does in JupyterLab: opens notebooks, types into cells, reads what comes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from ..jupyter.place import PATIENCE
from .lab import Lab

MS = PATIENCE * 1000
expect.set_options(timeout=MS)
OPEN = """async path => {
    const panel = await window.jupyterapp.commands.execute("docmanager:open", {path})
    await panel.context.ready
}"""
CLEAR = """async () => {
    for (const panel of [...window.jupyterapp.shell.widgets("main")]) {
        if (!panel.sessionContext) continue
        await panel.sessionContext.shutdown()
        panel.dispose()
    }
}"""
READY = """async () => {
    const panel = window.jupyterapp.shell.currentWidget
    await panel.context.ready
    await panel.sessionContext.ready
    while (panel.sessionContext.session?.kernel?.connectionStatus !== "connected")
        await new Promise(done => setTimeout(done, 20))
    await panel.sessionContext.session.kernel.info
    await panel.sessionContext.session.kernel.requestKernelInfo()
}"""
"""What Lab has no element for: a notebook whose kernel runs what is typed."""
TRUSTED = """() => [...window.jupyterapp.shell.currentWidget.content.model.cells]
    .every(cell => cell.type !== "code" || cell.trusted)"""
PANEL = ".jp-NotebookPanel:not(.lm-mod-hidden)"


@dataclass(frozen=True)
class Desk:
    """A browser page with JupyterLab in it."""

    page: Page
    lab: Lab
    pictures: Path

    def open(self, name: str) -> Book:
        """Opens a notebook of the server's folder, and waits for its kernel."""
        self.page.evaluate(OPEN, name)
        return self.book()

    def launch(self, kernel: str) -> Book:
        """Picks a kernel in the launcher, for a new notebook."""
        card = self.page.locator(f'.jp-LauncherCard[data-category="Notebook"][title="{kernel}"]')
        card.filter(visible=True).click()
        return self.book()

    def enter(self) -> None:
        """Loads Lab into the page, with its launcher."""
        self.page.goto(self.lab.url() + "&reset")
        expect(self.page.locator(".jp-LauncherCard").first).to_be_visible()
        self.page.evaluate("() => { window.jupyterapp.shell.collapseLeft() }")

    def clear(self) -> None:
        """Ends the kernels of the open notebooks, and closes them."""
        self.page.evaluate(CLEAR)

    def book(self) -> Book:
        """The notebook that is in front, with a kernel that has answered."""
        book = Book(self.page, self.page.locator(PANEL))
        expect(book.cells.first).to_be_visible()
        self.page.evaluate(READY)
        book.wait_idle()
        return book

    def picture(self, name: str, of: Locator | None = None) -> None:
        """A screenshot, of the page or of a part."""
        (of or self.page).screenshot(path=self.pictures / f"{name}.png")


@dataclass(frozen=True)
class Book:
    """A notebook on the page."""

    page: Page
    panel: Locator

    @property
    def cells(self) -> Locator:
        return self.panel.locator(".jp-Notebook .jp-CodeCell")

    @property
    def indicator(self) -> Locator:
        return self.panel.locator(".jp-Notebook-ExecutionIndicator")

    def wait_idle(self) -> None:
        expect(self.indicator).to_have_attribute("data-status", "idle")

    def shown(self, cell: int) -> Locator:
        """Everything below a cell."""
        return self.cells.nth(cell).locator(".jp-OutputArea").first

    def start(self, cell: int) -> None:
        """Runs a cell as it stands, and does not wait for it."""
        self.focus(cell)
        self.page.keyboard.press("Control+Enter")

    def focus(self, cell: int) -> None:
        editor = self.cells.nth(cell).locator(".cm-content")
        editor.click()
        expect(editor).to_be_focused()

    def finished(self, cell: int) -> None:
        """Waits for the end of a cell: its prompt has a number."""
        prompt = self.cells.nth(cell).locator(".jp-InputPrompt")
        expect(prompt).to_have_text(re.compile(r"\[\d+\]"))

    def run(self, cell: int) -> Locator:
        """Runs a cell, waits for its end; what it shows."""
        self.start(cell)
        self.finished(cell)
        return self.shown(cell)

    def type(self, source: str) -> int:
        """Types into the last cell, and runs it; which it is."""
        cell = self.cells.count() - 1
        self.focus(cell)
        self.page.keyboard.insert_text(source)
        self.page.keyboard.press("Shift+Enter")
        return cell

    def answer(self, text: str) -> None:
        """Into the field that asks (Jupyter's stdin)."""
        field = self.panel.locator(".jp-Stdin-input").element_handle()
        field.fill(text)
        field.press("Enter")
        field.wait_for_element_state("hidden")  # It lingers, beside the next one perhaps.

    def restart(self) -> None:
        """Restarts the kernel, as the menu does, and says yes to Lab's question."""
        self.command("notebook:restart-kernel")
        self.page.locator(".jp-Dialog .jp-mod-accept").click()
        self.page.evaluate(READY)
        self.wait_idle()

    def trust(self) -> None:
        """Says that the notebook is trusted, as the menu does, which saves it."""
        self.command("notebook:trust")
        self.page.locator(".jp-Dialog .jp-mod-accept").click()
        self.page.wait_for_function(TRUSTED)
        self.page.wait_for_function("() => !window.jupyterapp.shell.currentWidget.context.model.dirty")

    @property
    def is_trusted(self) -> bool:
        return bool(self.page.evaluate(TRUSTED))

    def command(self, name: str) -> None:
        """One of Lab's commands, as its menus call it."""
        self.page.evaluate("name => { window.jupyterapp.commands.execute(name) }", name)
