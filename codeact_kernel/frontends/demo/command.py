"""Owns `codeact demo`: the run, what it did to the database, the replay that must do nothing to it."""

from __future__ import annotations

from pathlib import Path
from time import monotonic

from rich.console import Console
from traitlets import Unicode

from .. import brief
from ..app import CodeactApp
from ..assembly import Agent
from ..cli import ENDED
from ..command_run import EXIT, summary, verified
from ..doors import outlets
from ..finished import Run
from ..page import Page
from ..render import Renderer
from ..replay_view import show_step, show_verdict
from ..replaying import replay_notebook
from ..terminal import clean
from ..toolsfile import load_tools
from . import database
from .folder import DATABASE, NOTEBOOK, SCRIPT, TOOLS, prepare

TASK = "Refund every order over 100 EUR that was paid twice."


class DemoApp(CodeactApp):
    """The traits of `codeact demo`."""

    name = "codeact-demo"
    command = "demo"
    out = Unicode("codeact-demo", help="The folder of the demo.").tag(config=True)

    def start(self) -> int:
        with outlets(False) as (console, _):
            page, folder = Page(console), Path(self.out).expanduser()
            replaced = prepare(folder)
            if replaced:
                page.line(f"Starting afresh in {clean(str(folder))}: replacing {', '.join(replaced)}", "dim")
            expected = _before(page, folder / DATABASE)
            run = self._run(console, folder)
            if run.stop_reason != "answer":
                return EXIT.get(run.stop.reason, ENDED)
            right = _after(page, folder / DATABASE, expected)
            code = self._replay(page, run.path, folder / DATABASE)
            _next(page, folder)
            return code if right else ENDED

    def _run(self, console: Console, folder: Path) -> Run:
        started = monotonic()
        model, out = f"scripted:{folder / SCRIPT}", folder / NOTEBOOK
        with Agent(load_tools(folder / TOOLS), model=model, settings=self.settings(), out=out) as agent:
            with Renderer(console) as show:
                run = agent.run_sync(TASK, on_event=show)
            took = monotonic() - started
            verified(console, run, lambda: summary(Page(console), run, took))
        return run

    def _replay(self, page: Page, notebook: Path, path: Path) -> int:
        """Replays against the tape; the database file must be the same, byte for byte."""
        page.line("\nReplaying the notebook; the tools answer from its tape", "bold")
        before = database.digest(path)
        report = replay_notebook(
            notebook, settings=self.settings(), on_event=lambda verdict: show_step(page, verdict)
        )
        show_verdict(page, report)
        after = database.digest(path)
        if after != before:
            page.line(
                f"The replay changed the database: SHA-256 {before[:12]} became {after[:12]}.", "bold red"
            )
            return ENDED
        page.line(
            f"The database was not touched again: SHA-256 {before[:12]} before and after.", "bold green"
        )
        return report.exit_code


def _before(page: Page, path: Path) -> database.Amounts:
    expected = database.to_refund(path)
    so_far = brief.count(len(database.refunded(path)), "refund")
    page.line(f"{clean(str(path))}: {database.ORDERS} orders, {len(expected)} to refund, {so_far} so far.")
    page.line("The model is scripted: no key, no network. Kernel, tools, database and notebook are real.\n")
    return expected


def _after(page: Page, path: Path, expected: database.Amounts) -> bool:
    """Says what the database holds now; whether that is exactly what the task asked for."""
    found = database.refunded(path)
    page.line("\nRefunds in the database after the run", "bold")
    for order in sorted(expected.keys() | found.keys()):
        is_, due = found.get(order, 0), expected.get(order, 0)
        sign = "✓" if is_ == due else f"✗ {due / 100:.2f} EUR due"
        page.line(f"  order {order:>2}  {is_ / 100:>9.2f} EUR  {sign}", "green" if is_ == due else "red")
    right = found == expected
    verdict = "exactly the refunds that were due" if right else "not the refunds that were due"
    page.line(f"{brief.count(len(found), 'row')}: {verdict}.", "bold green" if right else "bold red")
    return right


def _next(page: Page, folder: Path) -> None:
    tools = clean(str(folder / TOOLS))
    page.line("\nYour own task (copy and change the tools file):", "bold")
    page.line(f'  ANTHROPIC_API_KEY=… codeact run "TASK" --tools {tools}')
