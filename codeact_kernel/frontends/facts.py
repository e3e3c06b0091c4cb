"""Owns what is said of a saved run as a whole: one list of facts for the terminal and for the page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ..notebook.cage import UNSANDBOXED, cage_line
from ..trajectory import Parent, Trajectory, Verdict
from . import brief
from .terminal import clean, clip

Tone = Literal["", "good", "bad", "wary"]
_LINE = 400


@dataclass(frozen=True)
class Fact:
    """`label: text`, clean and on one line. `tone`: how it should be taken."""

    label: str
    text: str
    tone: Tone = ""


def facts_of(trajectory: Trajectory, redacted: tuple[str, ...] = ()) -> Iterator[Fact]:
    """What holds for the whole run. `redacted`: names of what is masked in the record."""
    info = trajectory.info
    yield Fact("Run", f"{one_line(info.run_id)} · {one_line(info.created)}")
    yield Fact("Model", one_line(info.model))
    if said := cage_line(info.sandbox):
        yield Fact("Sandbox", one_line(said), "bad" if said.startswith(UNSANDBOXED) else "")
    if info.parent is not None:
        yield Fact("Forked from", parent_text(info.parent))
    if trajectory.verdict is not None:
        yield verdict_fact(trajectory.verdict)
        for remark in trajectory.verdict.remarks:
            yield Fact("Not shown by a replay", one_line(remark))
    if redacted:
        names = ", ".join(brief.name(name) for name in redacted[:20])
        more = f" and {len(redacted) - 20:,} more" if len(redacted) > 20 else ""
        yield Fact("Masked in the record", names + more, "wary")


def totals(trajectory: Trajectory) -> str:
    """`4 steps · 12,345 tokens in, 678 out, $0.0312`."""
    steps = brief.count(len(trajectory.steps), "step")
    return f"{steps} · {brief.usage(trajectory.usage, trajectory.cost_usd)}"


def parent_text(parent: Parent) -> str:
    """Which run, and after which step of it."""
    name = (
        f"{one_line(parent.name)} (run {one_line(parent.run_id)})" if parent.name else one_line(parent.run_id)
    )
    return f"{name} after step {parent.step}" if parent.step else f"{name}, before its first step"


def verdict_fact(verdict: Verdict) -> Fact:
    """What a replay at the end of the run has shown."""
    said = one_line(verdict.text)
    if verdict.status == "identical":
        return Fact("Verified", said, "good")
    return Fact("Verified", f"no, {said}", "bad" if verdict.status == "drift" else "wary")


def one_line(text: str) -> str:
    """Clean, on one line, cut."""
    return clip(" ".join(clean(text[: 4 * _LINE]).split()), _LINE)
