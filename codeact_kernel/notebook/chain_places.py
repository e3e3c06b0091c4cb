"""Owns the places of a saved run: what each cell is called, which are missing, added, doubled or moved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ..wire.messages import Json
from .chain_content import LINKS, cells_of, counted, kept_of, mapping

MAX_FINDINGS = 1000
_STEP_PARTS = {"thought": 0, "step": 1, "notes": 2}
_TURN_PARTS = {"task": 0, "stop": 1}
_FRAME = ("title", "setup", "tape")
"""What stands before the first task, in this order; the usage is last."""
FAMILY_STEP, FAMILY_TURN, FAMILY_FRAME = "step", "turn", "frame"


@dataclass(frozen=True)
class Finding:
    """Something that is not as it was recorded. `place`: "step 3", "task 1", "the setup cell", …"""

    place: str
    problem: str
    step: int | None = None

    @property
    def text(self) -> str:
        return f"{self.place}: {self.problem}"


@dataclass(frozen=True, slots=True)
class Place:
    """A cell of ours. `number`: of its step or turn, -1 where it does not say; `index`: in the notebook."""

    index: int
    kind: str
    number: int
    cell: Mapping[str, Json] = field(repr=False)
    kept: Mapping[str, Json] = field(repr=False)

    @property
    def family(self) -> str:
        if self.kind in _STEP_PARTS:
            return FAMILY_STEP
        return FAMILY_TURN if self.kind in _TURN_PARTS else FAMILY_FRAME

    @property
    def name(self) -> str:
        return name_of(self.kind, self.number)

    @property
    def step(self) -> int | None:
        return self.number if self.family == FAMILY_STEP else None

    @property
    def is_link(self) -> bool:
        return self.kind in LINKS

    @property
    def rank(self) -> tuple[int, int]:
        """Grows from cell to cell within its family."""
        part = _STEP_PARTS.get(self.kind, _TURN_PARTS.get(self.kind, 0))
        if self.family == FAMILY_FRAME:
            return (_FRAME.index(self.kind) if self.kind in _FRAME else len(_FRAME), 0)
        return (self.number, part)

    def found(self, problem: str) -> Finding:
        return Finding(self.name, problem, self.step)


def name_of(kind: str, number: int = 0) -> str:
    """What a cell is called in findings."""
    match kind:
        case "step":
            return f"step {number}"
        case "thought":
            return f"the thought of step {number}"
        case "notes":
            return f"the notes of step {number}"
        case "task":
            return f"task {number}"
        case "stop":
            return f"the end of task {number}"
        case "tape":
            return "the table of calls"
    return {"setup": "the setup cell", "title": "the title"}.get(kind, "the usage")


def places(notebook: Mapping[str, Json]) -> list[Place]:
    found = []
    for index, cell in enumerate(cells_of(notebook)):
        kept = kept_of(cell)
        if kept is None or not isinstance(cell, Mapping):
            continue
        kind = str(kept["kind"])
        number = counted(kept.get("step" if kind in _STEP_PARTS else "turn"))
        found.append(Place(index, kind, -1 if number is None else number, cell, kept))
    return found


class Structure:
    """What is wrong with the places themselves, whatever their hashes say; at most `MAX_FINDINGS`."""

    def __init__(self, notebook: Mapping[str, Json], ours: list[Place], has_calls: bool) -> None:
        self.findings: list[Finding] = []
        self._disturbed: set[tuple[str, int]] = set()
        self._ours = ours
        self._once = _first_of_each(ours)
        self._recorded = _Recorded.of(notebook)
        self._added(cells_of(notebook))
        self._doubled()
        self._moved()
        self._missing(has_calls)

    def disturbed(self, place: Place) -> bool:
        """Whether what stands beside this place was found to be wrong already."""
        return (place.family, place.number) in self._disturbed

    def _find(self, place: str, problem: str, family: str = "", *numbers: int) -> None:
        step = numbers[0] if family == FAMILY_STEP else None
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(Finding(place, problem, step))
        self._disturbed |= {(family, number + beside) for number in numbers for beside in (-1, 0, 1)}

    def _added(self, cells: Sequence[Json]) -> None:
        ours = {place.index: place for place in self._ours}
        last: Place | None = None
        for index in range(len(cells)):
            if index in ours:
                last = ours[index]
                continue
            if len(self.findings) >= MAX_FINDINGS:
                return
            place = last.name if last is not None else "the beginning"
            step = last.step if last is not None else None
            what = "a cell was added after it" if last is not None else "a cell was added there"
            self.findings.append(Finding(place, f"{what} (cell {index + 1} of the notebook)", step))

    def _doubled(self) -> None:
        for place in self._ours:
            if self._once[place.kind, place.number] is not place:
                self._find(place.name, "appears twice", place.family, place.number)

    def _moved(self) -> None:
        last: dict[str, Place] = {}
        for place in self._ours:
            if self._once[place.kind, place.number] is not place:
                continue
            before = last.get(place.family)
            if before is not None and before.rank > place.rank:
                numbers = (before.number, place.number)
                self._find(before.name, f"stands before {place.name}", place.family, *numbers)
            last[place.family] = place
        self._frame_moved()

    def _frame_moved(self) -> None:
        """Title, setup and table stand before the first task, the usage after everything."""
        story = [place for place in self._ours if place.family != FAMILY_FRAME]
        for place in self._ours:
            if place.family != FAMILY_FRAME or not story:
                continue
            if place.kind == "usage" and place.index < story[-1].index:
                self._find(place.name, f"stands before {story[-1].name}", FAMILY_FRAME, place.number)
            elif place.kind != "usage" and place.index > story[0].index:
                self._find(place.name, f"stands after {story[0].name}", FAMILY_FRAME, place.number)

    def _missing(self, has_calls: bool) -> None:
        for kind in ("title", "setup", *(("tape",) if has_calls else ()), "usage"):
            if (kind, -1) not in self._once:
                self._find(name_of(kind), "is missing", FAMILY_FRAME, -1)
        self._numbered("task", FAMILY_TURN, range(1, self._recorded.turns + 1))
        self._numbered("step", FAMILY_STEP, range(1, self._recorded.steps + 1))
        for number in self._recorded.stops:
            if ("stop", number) not in self._once:
                self._find(name_of("stop", number), "is missing", FAMILY_TURN, number)
        for place in self._ours:
            if place.kind == "step":
                self._part("thought", place, _has_thought(place))
                self._part("notes", place, bool(place.kept.get("notes")))

    def _numbered(self, kind: str, family: str, recorded: range) -> None:
        """The gaps and the surplus; a gap may be as long as a hostile file says."""
        present = sorted(number for known, number in self._once if known == kind)
        wanted = recorded.start
        for number in present:
            if number not in recorded:
                self._find(name_of(kind, number), f"was added: {len(recorded)} were recorded", family, number)
            elif number > wanted:
                self._gap(kind, family, wanted, number - 1)
            wanted = max(wanted, number + 1)
        if wanted < recorded.stop:
            self._gap(kind, family, wanted, recorded.stop - 1)

    def _gap(self, kind: str, family: str, first: int, last: int) -> None:
        if first == last:
            self._find(name_of(kind, first), "is missing", family, first)
        else:
            self._find(f"{kind}s {first} to {last}", "are missing", family, first, last)

    def _part(self, kind: str, step: Place, recorded: bool) -> None:
        there = (kind, step.number) in self._once
        if there != recorded:
            said = "is missing" if recorded else "was added"
            self._find(name_of(kind, step.number), said, FAMILY_STEP, step.number)


def _first_of_each(ours: Iterable[Place]) -> dict[tuple[str, int], Place]:
    found: dict[tuple[str, int], Place] = {}
    for place in ours:
        found.setdefault((place.kind, place.number), place)
    return found


def _has_thought(step: Place) -> bool:
    """Whether the thought is a cell of its own."""
    thought = mapping(step.kept.get("reply")).get("thought")
    return step.cell.get("cell_type") == "code" and isinstance(thought, str) and bool(thought.strip())


@dataclass(frozen=True)
class _Recorded:
    """How far the run came, as the notebook's metadata says. `stops`: the turns that ended."""

    turns: int
    steps: int
    stops: tuple[int, ...]

    @classmethod
    def of(cls, notebook: Mapping[str, Json]) -> _Recorded:
        ours = mapping(mapping(notebook.get("metadata")).get("codeact"))
        turns, steps = _first_two(ours.get("recorded"))
        reasons = ours.get("stop_reasons")
        reasons = reasons if isinstance(reasons, list) else []
        return cls(turns, steps, tuple(n for n, reason in enumerate(reasons, 1) if reason is not None))


def _first_two(counts: Json) -> Iterator[int]:
    known = counts if isinstance(counts, list) else []
    for index in range(2):
        yield counted(known[index] if index < len(known) else None) or 0
