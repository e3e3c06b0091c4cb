"""Owns the places of a saved run: what each cell is called, which are missing, added, doubled or moved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ..wire.messages import Json
from .chain_content import LINKS, cells_of, counted, kept_of, mapping
from .chain_order import Order

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

    def found(self, problem: str) -> Finding:
        return Finding(self.name, problem, self.step)


def name_of(kind: str, number: int = 0) -> str:
    """What a cell is called in findings."""
    match kind:
        case "step":
            return f"step {number}" if number >= 0 else "a step without a number"
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


class _EnoughFound(Exception):
    """`MAX_FINDINGS` were found."""


class Structure:
    """What is wrong with the places themselves, whatever their hashes say; at most `MAX_FINDINGS`."""

    def __init__(self, notebook: Mapping[str, Json], ours: list[Place], has_calls: bool) -> None:
        self.findings: list[Finding] = []
        self._disturbed: set[tuple[str, int]] = set()
        self._ours = ours
        self._once = _first_of_each(ours)
        self._recorded = _Recorded.of(notebook)
        numbers = {place.number for place in ours if place.family == FAMILY_STEP}
        self._rank_of = dict(zip(numbers, self._recorded.steps.ranks(numbers), strict=True))
        try:
            self._added(len(cells_of(notebook)))
            self._doubled()
            self._moved()
            self._missing(has_calls)
        except _EnoughFound:
            pass  # What else there is would not be listed.

    def disturbed(self, place: Place) -> bool:
        """Whether what stands beside this place was found to be wrong already."""
        return (place.family, self._rank(place)[0]) in self._disturbed

    def _rank(self, place: Place) -> tuple[int, int]:
        """Grows from cell to cell within a family; (0, …) for a step that was not recorded."""
        match place.family:
            case "step":
                return (self._rank_of[place.number] or 0, _STEP_PARTS[place.kind])
            case "turn":
                return (place.number, _TURN_PARTS[place.kind])
        return (_FRAME.index(place.kind) if place.kind in _FRAME else len(_FRAME), 0)

    def _find(self, found: Finding, family: str, *ranks: int) -> None:
        self.findings.append(found)
        if len(self.findings) == MAX_FINDINGS:
            raise _EnoughFound
        self._disturbed |= {(family, rank + beside) for rank in ranks for beside in (-1, 0, 1)}

    def _found(self, problem: str, *places: Place) -> None:
        first = places[0]
        self._find(first.found(problem), first.family, *(self._rank(place)[0] for place in places))

    def _added(self, cells: int) -> None:
        ours = {place.index: place for place in self._ours}
        last: Place | None = None
        for index in range(cells):
            if index in ours:
                last = ours[index]
                continue
            cell = f"(cell {index + 1} of the notebook)"
            if last is None:
                self._find(Finding("the beginning", f"a cell was added there {cell}"), FAMILY_FRAME)
            else:
                self._find(last.found(f"a cell was added after it {cell}"), last.family)

    def _doubled(self) -> None:
        for place in self._ours:
            if self._once[place.kind, place.number] is not place:
                self._found("appears twice", place)

    def _moved(self) -> None:
        last: dict[str, Place] = {}
        for place in self._ours:
            is_known = place.family != FAMILY_STEP or self._rank(place)[0]
            if self._once[place.kind, place.number] is not place or not is_known:
                continue
            before = last.get(place.family)
            if before is not None and self._rank(before) > self._rank(place):
                self._found(f"stands before {place.name}", before, place)
            last[place.family] = place
        self._frame_moved()

    def _frame_moved(self) -> None:
        """Title, setup and table stand before the first task, the usage after everything."""
        story = [place for place in self._ours if place.family != FAMILY_FRAME]
        for place in self._ours:
            if place.family != FAMILY_FRAME or not story:
                continue
            if place.kind == "usage" and place.index < story[-1].index:
                self._found(f"stands before {story[-1].name}", place)
            elif place.kind != "usage" and place.index > story[0].index:
                self._found(f"stands after {story[0].name}", place)

    def _missing(self, has_calls: bool) -> None:
        for kind in ("title", "setup", *(("tape",) if has_calls else ()), "usage"):
            if (kind, -1) not in self._once:
                self._find(Finding(name_of(kind), "missing"), FAMILY_FRAME, -1)
        turns = Order(((1, self._recorded.turns),) if self._recorded.turns else ())
        self._numbered("task", FAMILY_TURN, turns)
        self._numbered("step", FAMILY_STEP, self._recorded.steps)
        for number in self._recorded.stops:
            if ("stop", number) not in self._once:
                self._find(Finding(name_of("stop", number), "missing"), FAMILY_TURN, number)
        for place in self._ours:
            if place.kind == "step":
                self._part("thought", place, _has_thought(place))
                self._part("notes", place, bool(place.kept.get("notes")))

    def _numbered(self, kind: str, family: str, recorded: Order) -> None:
        """The gaps and the surplus; a gap may be as long as a hostile file says."""
        there = [place for place in self._ours if place.kind == kind]
        ranks = list(recorded.ranks(place.number for place in there))
        for place, rank in zip(there, ranks, strict=True):
            if rank is None:
                self._found(f"was added: {len(recorded)} were recorded", place)
        wanted = 1
        for rank in (*sorted(filter(None, ranks)), len(recorded) + 1):
            if rank > wanted:
                self._gap(kind, family, recorded, wanted, rank - 1)
            wanted = max(wanted, rank + 1)

    def _gap(self, kind: str, family: str, recorded: Order, first: int, last: int) -> None:
        for begin, end in recorded.spans_between(first, last):
            step = begin if family == FAMILY_STEP else None
            name = name_of(kind, begin) if begin == end else f"{kind}s {begin} to {end}"
            self._find(Finding(name, "missing", step), family, first, last)

    def _part(self, kind: str, step: Place, recorded: bool) -> None:
        there = (kind, step.number) in self._once
        if there != recorded:
            said = "missing" if recorded else "was added"
            found = Finding(name_of(kind, step.number), said, step.number)
            self._find(found, FAMILY_STEP, self._rank(step)[0])


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
    steps: Order
    stops: tuple[int, ...]

    @classmethod
    def of(cls, notebook: Mapping[str, Json]) -> _Recorded:
        ours = mapping(mapping(notebook.get("metadata")).get("codeact"))
        counts, reasons = ours.get("recorded"), ours.get("stop_reasons")
        turns = counted(counts[0]) if isinstance(counts, list) and counts else None
        reasons = reasons if isinstance(reasons, list) else []
        stops = tuple(number for number, reason in enumerate(reasons, 1) if reason is not None)
        return cls(turns or 0, Order.read(ours.get("order")) or Order(()), stops)
