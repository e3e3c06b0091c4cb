"""What hostile code shows does nothing in the user's browser: live, saved, and as `show --html` has it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from codeact_kernel import Agent, SandboxProfile, ScriptedModel

from .desk import Book, Desk
from .hostile import bundle_cells, widget_cell
from .lab import Lab
from .trap import Trap, trap

pytestmark = pytest.mark.kernel
PROFILE = SandboxProfile(allow_imports=("comm", "traitlets"))
CLICK = """() => {
    const ours = one => one.closest(".jp-OutputPrompt, .jp-OutputArea-promptOverlay")
        || one.textContent.endsWith(".ipynb") || one.textContent === one.href  // What Lab made of plain text.
    const shown = ".jp-OutputArea :is(a, button, input, summary), body > :is(a, button, input, summary)"
    for (const one of document.querySelectorAll(shown)) if (!ours(one)) one.click()
}"""
"""What may wait for a click gets one."""
PAUSE = "() => new Promise(done => setTimeout(() => requestAnimationFrame(() => done()), 500))"
"""For requests that are under way; the control test shows how soon they come."""
STATE = "() => [window.pwned ?? null, document.title.includes('pwned')]"


@pytest.fixture(scope="module")
def caught() -> Iterator[Trap]:
    with trap() as made:
        yield made


@pytest.fixture(scope="module")
def other(context: BrowserContext, lab: Lab, pictures: Path, caught: Trap) -> Iterator[Desk]:
    """A page of its own, watched."""
    with context.new_page() as page:
        yield watched(page, lab, pictures, caught)


def watched(page: Page, lab: Lab, pictures: Path, caught: Trap) -> Desk:
    caught.watch(page, lab.origin, lab.origin.replace("http", "ws"))
    desk = Desk(page, lab, pictures)
    desk.enter()
    return desk


def all_shown(book: Book, cell: int) -> None:
    """Lab shows the first fifty outputs, and the rest when it is asked for."""
    more = book.shown(cell).get_by_role("button", name="Show more outputs")
    while more.count():
        more.first.click()


def check(page: Page, caught: Trap) -> None:
    page.evaluate(CLICK)
    page.evaluate(PAUSE)
    assert page.evaluate(STATE) == [None, False]
    assert caught.caught() == []


def test_the_trap_catches(page: Page, lab: Lab, pictures: Path) -> None:
    """The same outputs from a kernel that filters nothing: else the other tests could not fail."""
    with trap() as caught:
        desk = watched(page, lab, pictures, caught)
        book = desk.open(lab.notebook("control", bundle_cells(caught.url)[0], kernel="python3"))
        book.run(0)
        page.wait_for_function("() => window.pwned")
        page.evaluate(PAUSE)
        assert caught.calls
        assert caught.requests
        desk.clear()


def test_live_outputs_are_inert(other: Desk, lab: Lab, caught: Trap) -> None:
    first, *more = bundle_cells(caught.url)
    model = lab.script("hostile", {"code": first}, {"answer": "Done."})
    own = [f"%%python\n{code}" for code in (*more, widget_cell(caught.url))]
    book = other.open(lab.notebook("hostile", f"%model {model}", "Show it", *own))
    book.run(0)
    for cell in range(1, 2 + len(own)):
        shown = book.run(cell)
        all_shown(book, cell)
        expect(shown).to_contain_text("all shown")
        expect(shown).not_to_contain_text("is refused")
    check(other.page, caught)
    other.clear()


@pytest.fixture(scope="module")
def saved(lab: Lab, caught: Trap) -> str:
    """A run that showed it all; its name in Lab's folder."""
    path = lab.folder / "hostile-run.ipynb"
    codes = [*bundle_cells(caught.url), widget_cell(caught.url)]
    model = ScriptedModel([*({"code": code} for code in codes), {"answer": "Done."}])
    with Agent(model=model, profile=PROFILE, verify=False, out=path) as agent:
        agent.run_sync("Show it")
    return path.name


def test_saved_outputs_are_inert(other: Desk, lab: Lab, caught: Trap, saved: str) -> None:
    """As Lab shows a stranger's notebook, and when the user has said that it is to be trusted."""
    book = other.open(saved)
    expect(book.panel).to_contain_text("all shown")
    check(other.page, caught)
    book.trust()
    other.clear()
    book = other.open(saved)
    assert book.is_trusted
    expect(book.panel).to_contain_text("all shown")
    check(other.page, caught)
    other.clear()


def test_page_of_a_saved_run_is_inert(page: Page, lab: Lab, caught: Trap, saved: str) -> None:
    lab.run("codeact_kernel", "show", saved, "--html", "hostile.html")
    address = (lab.folder / "hostile.html").as_uri()
    caught.watch(page, address)
    page.goto(address)
    expect(page.locator("body")).to_contain_text("all shown")
    check(page, caught)
