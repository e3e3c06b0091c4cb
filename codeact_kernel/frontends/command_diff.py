"""Owns `codeact diff`: two saved runs, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from ..notebook.load import load
from ..trajectory import Trajectory
from ..wire.messages import Json
from . import brief
from .app import CodeactApp
from .cli import ENDED
from .documents import SCHEMA_VERSION, dumps, usage_document
from .doors import outlets
from .facts import one_line, totals
from .html_timeline import rows_of
from .page import Page
from .rundiff import SIDES, StepDiff, TurnDiff, compare
from .terminal import clean, clip
from .traits import readable_file

LINE = 1000
_STYLES = {"-": "red", "+": "green", "@": "cyan"}


class DiffApp(CodeactApp):
    """The traits of `codeact diff`."""

    name = "codeact-diff"
    command = "diff"

    def start(self) -> int:
        with outlets(self.json) as (console, document):
            paths = [
                readable_file(f"{side}.ipynb", name) for side, name in zip(SIDES, self.arguments, strict=True)
            ]
            a, b = map(load, paths)
            page = Page(console)
            for side, path, run in zip(SIDES, paths, (a, b), strict=True):
                said = f"{one_line(path.name)} · {one_line(run.info.model)} · {totals(run)}"
                page.line(f"{side}  {said} · {brief.seconds(_seconds(run))}", "bold")
            if kinship := kinship_of(a, b):
                page.line(kinship, "dim")
            turns: list[TurnDiff] = []
            for turn in compare(a, b):
                turns.append(turn)
                show_turn(page, turn, numbered=max(len(a.turns), len(b.turns)) > 1)
            same = all(turn.same for turn in turns)
            page.line(
                "\n" + ("The runs are the same." if same else "The runs differ."),
                "bold green" if same else "bold red",
            )
            if document is not None:
                print(dumps(diff_document(a, b, paths, turns)), file=document)
            return 0 if same else ENDED


def kinship_of(a: Trajectory, b: Trajectory) -> str:
    """Whether one was forked from the other, or both are the same run."""
    if a.info.run_id == b.info.run_id:
        return "Both are records of one run."
    for (old, first), (new, second) in (((a, "A"), (b, "B")), ((b, "B"), (a, "A"))):
        parent = new.info.parent
        if parent is not None and parent.run_id == old.info.run_id:
            return f"{second} was forked from {first} after step {parent.step}."
    return ""


def show_turn(page: Page, turn: TurnDiff, numbered: bool) -> None:
    """What is the same in short, what differs in full."""
    page.line(f"\nTask {turn.number}" if numbered else "", "bold cyan")
    _part(page, "task", turn.task)
    for same, steps in groupby(turn.steps, key=lambda step: step.same):
        if same:
            page.line(f"{_range(list(steps))} the same", "green")
            continue
        for step in steps:
            show_step(page, step)
    _part(page, "how it ends", turn.end)
    if not turn.end:
        page.line("the same end", "green")


def show_step(page: Page, step: StepDiff) -> None:
    """A step that differs, or that only one run has."""
    if step.a is None or step.b is None:
        side, number = ("B", step.b) if step.a is None else ("A", step.a)
        page.line(f"step {number} of {side}: only there", "bold yellow")
    else:
        page.line(f"{_numbers(step.a, step.b)}:", "bold yellow")
    _part(page, "code", step.code)
    _part(page, "calls", step.calls)
    _part(page, "outputs", step.outputs)
    if step.ended is not None:
        old, new = (clip(one_line(said), 200) for said in step.ended)
        page.line(f"  ended  {old} → {new}", "red")
    if step.thought:
        page.line("  the thought differs", "dim")


def _part(page: Page, name: str, lines: Sequence[str]) -> None:
    if not lines:
        return
    page.line(f"  {name}", "red")
    for line in lines:
        page.line(f"    {clip(clean(line[: 2 * LINE]), LINE)}", _STYLES.get(line[:1], ""))


def _range(steps: Sequence[StepDiff]) -> str:
    """`steps 1-3 are`, with the numbers in B where they are others."""
    first, last = steps[0], steps[-1]
    if len(steps) == 1:
        return f"{_numbers(first.a, first.b)} is"
    other = "" if first.a == first.b else f" (B: {first.b}-{last.b})"
    return f"steps {first.a}-{last.a}{other} are"


def _numbers(a: int | None, b: int | None) -> str:
    return f"step {a}" if a == b else f"step {a} (B: {b})"


def _seconds(run: Trajectory) -> float:
    return sum(row.total for row in rows_of(run))


def diff_document(
    a: Trajectory, b: Trajectory, paths: Sequence[Path], turns: Sequence[TurnDiff]
) -> dict[str, Json]:
    """What `codeact diff --json` prints. Lists of lines are empty where nothing differs."""
    return {
        "schema_version": SCHEMA_VERSION,
        "same": all(turn.same for turn in turns),
        "a": _run_document(a, paths[0]),
        "b": _run_document(b, paths[1]),
        "turns": [
            {
                "same": turn.same,
                "task": list(turn.task),
                "steps": [_step_document(step) for step in turn.steps],
                "end": list(turn.end),
            }
            for turn in turns
        ],
    }


def _run_document(run: Trajectory, path: Path) -> dict[str, Json]:
    parent = run.info.parent
    return {
        "trajectory": str(path),
        "run_id": run.info.run_id,
        "model": run.info.model,
        "steps": len(run.steps),
        "usage": usage_document(run.usage),
        "cost_usd": run.cost_usd,
        "duration_s": _seconds(run),
        "parent": None if parent is None else {"run_id": parent.run_id, "step": parent.step},
    }


def _step_document(step: StepDiff) -> dict[str, Json]:
    return {
        "a": step.a,
        "b": step.b,
        "same": step.same,
        "code": list(step.code),
        "calls": list(step.calls),
        "outputs": list(step.outputs),
        "ended": None if step.ended is None else list(step.ended),
        "thought_differs": step.thought,
    }
