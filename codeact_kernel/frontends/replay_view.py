"""Owns the report of a replay for people: steps as they come, what it ran on, the verdict, and remarks."""

from __future__ import annotations

from collections.abc import Set

from ..replay import COUNTED, Drift, ReplayReport, StepVerdict
from ..trajectory import DriftKind
from . import brief
from .page import Page
from .terminal import clean, clip

DETAIL = 4000
_STYLES = {"-": "red", "+": "green", "@": "cyan"}


def show_step(page: Page, step: StepVerdict, counted: Set[DriftKind] = COUNTED) -> None:
    """A line that the step agrees, or each drift with its detail."""
    if not step.drifts and step.ran:
        page.line(f"step {step.index}  ✓ agrees", "green")
    elif not step.drifts:
        page.line(f"step {step.index}  · its error was raised as recorded, nothing was run", "yellow")
    for drift in step.drifts:
        _show(page, f"step {step.index}", drift, counted)


def show_report(page: Page, report: ReplayReport) -> None:
    """What is left to say when all steps were told."""
    for drift in report.profile:
        _show(page, "profile", drift, report.counted)
    show_verdict(page, report)
    for remark in report.remarks:
        page.line(f"note: {clean(remark)}", "yellow")


def show_verdict(page: Page, report: ReplayReport) -> None:
    """Whether it agrees, and how it differs."""
    steps = brief.count(len(report.steps), "step")
    if report.agrees:
        other = ", ".join(report.uncounted)
        page.line(f"The replay agrees: {steps}{f'; not counted: {other}' if other else ''}.", "bold green")
        return
    drifted = sum(bool(step.kinds & report.counted) for step in report.steps)
    where = f" in {drifted} of {steps}" if drifted else ""
    page.line(f"The replay differs{where}: {', '.join(report.kinds)}.", "bold red")


def _show(page: Page, where: str, drift: Drift, counted: Set[DriftKind]) -> None:
    detail = clean(clip(drift.detail, DETAIL))
    first, *others = f"\n{detail}".split("\n") if drift.kind == "output" else detail.split("\n")
    said = "what it ran on" if drift.kind == "profile" else drift.kind
    if drift.kind in counted:
        page.line(f"{where}  ✗ {said} differs: {first}".rstrip(), "red")
    else:
        page.line(f"{where}  · {said} differs (not counted): {first}".rstrip(), "yellow")
    for line in others:
        page.line(f"        {line}", _STYLES.get(line[:1], "dim"))
