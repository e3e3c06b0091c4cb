"""Owns `%codeact_replay` and `%codeact_show`: saved runs, run again and looked at."""

from __future__ import annotations

import html
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console

from ..config import Settings
from ..notebook.edits import load_edited
from ..notebook.load import load_saved
from ..outputs import MimeBundle
from ..replay import ReplayReport, StepVerdict
from . import brief, notebook_view
from .command_show import show_run
from .facts import facts_of, totals
from .html_page import page
from .magic_view import ShellPublish, in_terminal, near, style_of
from .page import Page, stdout_console
from .relay import new_id
from .replay_view import show_report, show_step
from .replaying import replay_notebook
from .terminal import clean

MAX_PAGE = 20_000_000
"""Characters of a page that is shown inside a notebook, which keeps it."""
HEIGHT = 520
ROWS = 200
_COLOURS = {
    "agrees": "var(--jp-success-color0,#1a8a55)",
    "differs": "var(--jp-error-color0,#c0392b)",
    "not run": "var(--jp-warn-color0,#b08800)",
}


def replayed(shell: Any, path: Path, settings: Settings) -> ReplayReport:
    """Runs a saved run again and shows the verdict of each step as it comes. Raises CodeActError."""
    edited = load_edited(path)
    total = sum(step.action is not None for step in edited.trajectory.steps)
    if in_terminal(shell):
        page = Page(stdout_console())
        report = replay_notebook(edited, settings=settings, on_event=lambda step: show_step(page, step))
        show_report(page, report)
        return report
    publish, display_id = ShellPublish(shell), new_id()
    seen: list[StepVerdict] = []

    def show(step: StepVerdict) -> None:
        seen.append(step)
        publish.update(
            display_id, _table(f"{len(seen)} of {brief.count(total, 'step')} have run again", seen)
        )

    if not style_of(shell).updates:
        report = replay_notebook(edited, settings=settings)
        publish.display(_report(report, near(path)))
        return report
    publish.display(_table(f"running {near(path)} again …", ()), display_id=display_id)
    report = replay_notebook(edited, settings=settings, on_event=show)
    publish.update(display_id, _report(report, near(path)))
    return report


def _report(report: ReplayReport, name: str) -> MimeBundle:
    agrees = "agrees" if report.agrees else "differs"
    drifts = [f"profile: {drift.kind}: {drift.detail}" for drift in report.profile]
    table = _table(f"{name}: the replay {agrees}", report.steps, [*drifts, *report.remarks])
    plain = io.StringIO()
    lines = Page(Console(file=plain, width=100, markup=False, force_terminal=False, force_jupyter=False))
    for step in report.steps[:ROWS]:
        show_step(lines, step)
    show_report(lines, report)
    return {**table, "text/plain": plain.getvalue().rstrip("\n")}


def _table(title: str, steps: Any, remarks: Any = ()) -> MimeBundle:
    rows = "".join(map(_row, steps[:ROWS]))
    more = f"<p>{len(steps) - ROWS:,} more steps</p>" if len(steps) > ROWS else ""
    head = f"<b>{html.escape(clean(title))}</b>"
    body = f"<table style='text-align:left'>{rows}</table>{more}" if rows else ""
    notes = "".join(f"<div style='opacity:.75'>{html.escape(clean(text)[:2000])}</div>" for text in remarks)
    return notebook_view.bundle(title, f"<div>{head}{body}{notes}</div>")


def _row(step: StepVerdict) -> str:
    said = "differs" if step.drifts else "agrees" if step.ran else "not run"
    detail = "<br>".join(
        f"{drift.kind}: <span style='white-space:pre-wrap'>{html.escape(clean(drift.detail)[:2000])}</span>"
        for drift in step.drifts[:20]
    )
    style = "text-align:left;vertical-align:top"
    return (
        f"<tr><td style='{style}'>step {step.index}</td>"
        f"<td style='{style};color:{_COLOURS[said]}'>{said}</td><td style='{style}'>{detail}</td></tr>"
    )


def shown(shell: Any, path: Path) -> None:
    """Shows a saved run: its page in a frame of its own; in a terminal as lines. Raises CodeActError."""
    saved = load_saved(path)
    if in_terminal(shell):
        show_run(saved)
        return
    run = saved.trajectory
    plain = "\n".join(
        [*(f"{fact.label}: {fact.text}" for fact in facts_of(run, saved.redacted)), totals(run)]
    )
    source = _bounded(page(run, path.name, saved.redacted))
    if source is None:
        told = f"this run is too large to be shown here: codeact show {near(path)} --html run.html"
        ShellPublish(shell).display(notebook_view.notice(f"{plain}\n{told}"))
        return
    # No permission at all: no script, no origin, no form, no way to the notebook around it.
    frame = (
        f'<iframe sandbox="" referrerpolicy="no-referrer" title="{html.escape(clean(path.name))}" '
        f'style="width:100%;height:{HEIGHT}px;border:1px solid #8884;resize:vertical" '
        f'srcdoc="{html.escape(source, quote=True)}"></iframe>'
    )
    ShellPublish(shell).display(notebook_view.bundle(plain, frame))


def _bounded(parts: Iterator[str]) -> str | None:
    """The page; None when it is too large."""
    kept, size = [], 0
    for part in parts:
        size += len(part)
        if size > MAX_PAGE:
            return None
        kept.append(part)
    return "".join(kept)
