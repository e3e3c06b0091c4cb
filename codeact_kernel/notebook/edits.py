"""Owns what a person has changed in a saved run by hand: cells that were changed, added or removed.

`load` reads what was recorded; this reads what the notebook says now, as Run All would run it, so that a
replay or a run that goes on does not leave out what a person meant.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice, pairwise
from pathlib import Path
from typing import Literal

from ..outputs import Error
from ..trajectory import Action, Observation, Reply, Step, Trajectory, Turn
from ..wire.messages import Json
from ..wire.recorded import parse_recorded
from .cells import code_digest
from .load import Reading, journal_ahead, load_notebook, parse
from .outputs import joined, shown_of

ADDED = "This cell was added by a person."
MAX_REMOVED = 1000
"""Removed steps that are told; a number in a notebook may be any."""


@dataclass(frozen=True)
class Edit:
    """One change. `step`: the number of the step it is about; an added cell has got a number of its own."""

    kind: Literal["changed", "added", "removed", "moved"]
    step: int
    after: int = 0
    """The step that an added or a moved cell stands after."""

    @property
    def text(self) -> str:
        """A sentence."""
        match self.kind:
            case "changed":
                return f"A person has changed the code of step {self.step}."
            case "added":
                return f"A person has added a cell after step {self.after}; it is step {self.step} here."
            case "removed":
                return f"A person has removed step {self.step}."
            case "moved":
                return f"A person has moved steps: step {self.step} comes after step {self.after}."


@dataclass(frozen=True)
class Edited:
    """A saved run with what a person did to it. `chain`: the hashes that its steps carry, by number."""

    trajectory: Trajectory
    edits: tuple[Edit, ...] = ()
    chain: Mapping[int, str] = field(default_factory=dict)


def load_edited(path: str | Path) -> Edited:
    """The trajectory as `load` gives it, with added cells as steps, and every edit. Raises: as `load`."""
    path = Path(path)
    told = journal_ahead(path)
    return Edited(told) if told is not None else edited(parse(path), str(path))


def edited(notebook: Mapping[str, Json], name: str) -> Edited:
    """`load_edited` of a parsed notebook."""
    reading = _Editing()
    trajectory = load_notebook(notebook, name, reading)
    return Edited(trajectory, tuple(reading.edits), reading.chain)


class _Editing(Reading):
    """Also takes code cells that are not ours, and compares ours with what they say they were."""

    def __init__(self) -> None:
        super().__init__()
        self.edits: list[Edit] = []
        self.chain: dict[int, str] = {}

    def take(self, cell: Mapping[str, Json], where: str) -> None:
        metadata = cell.get("metadata")
        kept = metadata.get("codeact") if isinstance(metadata, dict) else None
        if not isinstance(kept, dict):
            self._adopt(cell, where)
            return
        before = len(self.turn_steps())
        super().take(cell, where)
        if kept.get("kind") == "step" and len(self.turn_steps()) > before:
            self._compare(kept, joined(cell.get("source")) or "")

    def turn_steps(self) -> list[Step]:
        return self._turns[-1].steps if self._turns else []

    def turns(self) -> tuple[Turn, ...]:
        """With numbers for the added cells, behind all others, and what is missing told."""
        highest = max(self._steps, default=0)
        self.edits += _moved(step for turn in self._turns for step in turn.steps)
        self.edits += [
            Edit("removed", number) for number in islice(_missing(sorted(self._steps)), MAX_REMOVED)
        ]
        numbers = {
            edit.step: highest + place
            for place, edit in enumerate((e for e in self.edits if e.kind == "added"), 1)
        }
        self.edits = [replace(edit, step=numbers.get(edit.step, edit.step)) for edit in self.edits]
        return tuple(
            replace(turn, steps=tuple(replace(s, index=numbers.get(s.index, s.index)) for s in turn.steps))
            for turn in super().turns()
        )

    def _adopt(self, cell: Mapping[str, Json], where: str) -> None:
        source = joined(cell.get("source")) or ""
        if cell.get("cell_type") != "code" or not source.strip() or not self.setup:
            return
        steps = self.turn().steps
        number = -1 - sum(edit.kind == "added" for edit in self.edits)
        shown = shown_of(cell.get("outputs", []), {}, where)
        failed = any(isinstance(item, Error) for item in shown)
        count = cell.get("execution_count")
        observation = Observation(
            "error" if failed else "ok", shown, None, count if isinstance(count, int) else None
        )
        steps.append(Step(number, Reply(code=source), Action(source), observation, (ADDED,)))
        after = next((step.index for step in reversed(steps[:-1]) if step.index > 0), 0)
        self.edits.append(Edit("added", number, after))

    def _compare(self, kept: Mapping[str, Json], source: str) -> None:
        steps = self.turn_steps()
        step, was, link = steps[-1], kept.get("code_digest"), kept.get("chain")
        if isinstance(link, str):
            self.chain[step.index] = link
        if step.action is None or not isinstance(was, str) or code_digest(step.action.code) == was:
            return
        observation = step.observation
        if observation.status in ("timeout", "killed") and parse_recorded(source) is None:
            observation = replace(observation, status="error")  # It is to be run: that is why it was changed.
        # What the model wrote is not what stands there now: a request is made from the cell.
        reply = replace(step.reply, raw="", code=step.action.code)
        steps[-1] = replace(step, reply=reply, observation=observation)
        self.edits.append(Edit("changed", step.index))


def _missing(numbers: list[int]) -> Iterator[int]:
    """Of 1, 2, 3 …, those that are not among these."""
    for before, number in pairwise([0, *numbers]):
        yield from range(before + 1, number)


def _moved(steps: Iterable[Step]) -> Iterator[Edit]:
    """Steps that stand after one with a higher number; that of an added cell is none of its place."""
    highest = 0
    for step in steps:
        if ADDED in step.notes:
            continue
        if step.index < highest:
            yield Edit("moved", step.index, highest)
        highest = max(highest, step.index)
