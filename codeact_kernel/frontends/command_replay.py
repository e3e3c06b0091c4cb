"""Owns `codeact replay`: a saved run again, and where it differs."""

from __future__ import annotations

from pathlib import Path

from ..events import SandboxReady
from ..notebook.load import load
from ..replay import ReplayReport, StepVerdict
from . import brief
from .app import CodeactApp
from .documents import dumps, replay_document
from .doors import outlets
from .page import Page
from .recorded_data import data_notes, import_note
from .replaying import replay_notebook
from .terminal import clean, clip
from .traits import readable_file

DETAIL = 2000


class ReplayApp(CodeactApp):
    """The traits of `codeact replay`."""

    name = "codeact-replay"
    command = "replay"

    def start(self) -> int:
        with outlets(self.json) as (console, document):
            readable_file("RUN.ipynb", self.argument or "")
            path = Path(self.argument or "")
            page, settings, trajectory = Page(console), self.settings(), load(path)
            notes = data_notes(trajectory, settings.profile.data)
            for note in filter(None, [*notes, import_note(trajectory, settings.profile)]):
                page.line(f"note: {note}", "yellow")
            ready: list[SandboxReady] = []
            report = replay_notebook(
                trajectory,
                settings=settings,
                on_event=lambda verdict: show_step(page, verdict),
                on_ready=ready.append,
            )
            show_verdict(page, report)
            if document is not None:
                print(dumps(replay_document(report, path, ready[0].sandbox)), file=document)
            return report.exit_code


def show_step(page: Page, step: StepVerdict) -> None:
    """A line that the step agrees, or each drift with its detail."""
    if not step.drifts:
        page.line(f"step {step.index}  ✓ agrees", "green")
    for drift in step.drifts:
        first, *others = clean(clip(drift.detail, DETAIL)).split("\n")
        page.line(f"step {step.index}  ✗ {drift.kind} differs: {first}", "red")
        page.lines(others, "red", prefix="        ")


def show_verdict(page: Page, report: ReplayReport) -> None:
    """Whether every step agrees."""
    drifted = sum(bool(step.drifts) for step in report.steps)
    steps = brief.count(len(report.steps), "step")
    if drifted:
        page.line(f"The replay differs in {drifted} of {steps}.", "bold red")
    else:
        page.line(f"The replay agrees: {steps}.", "bold green")
