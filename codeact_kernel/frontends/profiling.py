"""Owns where the time of a run goes: a meter of its parts, and the `Timings` that comes of it.

At every moment exactly one part has the time, so that the parts add up and nothing counts twice: of all that
goes on at once, the first in `RANKS`. What of ours keeps the loop busy comes before what runs beside it (a
cell, a tool on another thread), so ours is never made smaller than it is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Literal, TypeAlias, TypeVar, get_args

Ranked: TypeAlias = Literal[
    "notebook",
    "record",
    "outputs",
    "person",
    "tools",
    "calls",
    "cells",
    "model",
    "context",
    "start",
    "rest",
]
Part: TypeAlias = Ranked | Literal["wire", "program", "verification", "end"]
RANKS: tuple[Part, ...] = get_args(Ranked)
"""start: of the kernel, also of a fresh one after a kill. rest: whatever is none of the others."""
OURS: tuple[Part, ...] = ("wire", "notebook", "record", "outputs", "calls", "context", "rest")
"""wire: of a cell, all but the time from its kernel's word that it begins to its reply."""
AROUND: tuple[Part, ...] = ("program", "start", "verification", "end")
"""What is no part of the steps. program: until the task is given, imports above all. end: the last lines,
copies of files, the end of the kernel."""
T = TypeVar("T")


@dataclass(frozen=True)
class ToolTime:
    """Of one tool, in its own function. `seconds`: the sum, also of calls at the same time."""

    calls: int = 0
    seconds: float = 0.0
    slowest: float = 0.0


@dataclass(frozen=True)
class Timings:
    """Where the wall time of a task went; seconds.

    `seconds`: by part, adding up to `total`. `rendering`: what the listener of events took on the caller's
    thread, beside all this.
    """

    seconds: Mapping[Part, float]
    replies: int = 0
    cells: int = 0
    tools: Mapping[str, ToolTime] = field(default_factory=dict)
    rendering: float = 0.0

    @property
    def total(self) -> float:
        return sum(self.seconds.values())

    @property
    def steps(self) -> float:
        """Without what comes before and after them."""
        return self.total - sum(self.seconds.get(part, 0.0) for part in AROUND)

    @property
    def ours(self) -> float:
        """Of the steps: all but the model, the cells, the tools and waiting for a person."""
        return sum(self.seconds.get(part, 0.0) for part in OURS)

    @property
    def share(self) -> float:
        """Ours of the steps, 0 to 1."""
        return self.ours / self.steps if self.steps > 0 else 0.0


class _Task:
    """What was measured of one task. A call that outlives its task is counted there, not in the next one."""

    def __init__(self, now: float) -> None:
        self.since = now
        self.open: dict[Part, int] = dict.fromkeys(RANKS, 0)
        self.seconds: dict[Part, float] = dict.fromkeys((*RANKS, "wire"), 0.0)
        self.replies = self.cells = 0
        self.tools: dict[str, ToolTime] = {}
        self.rendering = 0.0
        self.ended = False

    def turn(self, now: float) -> None:
        """Gives the time since the last turn to who has it."""
        if not self.ended:
            first: Part = next((part for part in RANKS if self.open[part]), "rest")
            self.seconds[first] += now - self.since
        self.since = now

    def timings(self) -> Timings:
        return Timings(dict(self.seconds), self.replies, self.cells, dict(self.tools), self.rendering)


class Meter:
    """Measures one task after the other. Parts may be opened on any thread."""

    def __init__(self, clock: Callable[[], float] = perf_counter) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._task: _Task | None = None

    def begin(self) -> None:
        self._task = _Task(self._clock())

    def end(self) -> None:
        self.timings()
        if self._task is not None:
            self._task.ended = True

    def timings(self) -> Timings | None:
        """Of the last task, so far; None before the first."""
        task = self._task
        if task is None:
            return None
        with self._lock:
            task.turn(self._clock())
            return task.timings()

    @contextmanager
    def of(self, part: Part) -> Iterator[None]:
        """While it goes on. May be nested, and open several times at once."""
        task = self._task
        if task is None:
            yield
            return
        self._open(task, part, 1)
        try:
            yield
        finally:
            self._open(task, part, -1)

    def _open(self, task: _Task, part: Part, by: int) -> None:
        with self._lock:
            task.turn(self._clock())
            task.open[part] += by

    @contextmanager
    def reply(self) -> Iterator[None]:
        """While a model is waited for."""
        if self._task is not None:
            self._task.replies += 1
        with self.of("model"):
            yield

    @contextmanager
    def call(self, tool: str) -> Iterator[None]:
        """While a tool is at work."""
        task, began = self._task, self._clock()
        try:
            with self.of("tools"):
                yield
        finally:
            took = self._clock() - began
            if task is not None:
                with self._lock:
                    was = task.tools.get(tool, ToolTime())
                    slowest = max(was.slowest, took)
                    task.tools[tool] = ToolTime(was.calls + 1, was.seconds + took, slowest)

    @contextmanager
    def rendering(self) -> Iterator[None]:
        """While the listener of events is at work, on a thread of its own."""
        task, began = self._task, self._clock()
        try:
            yield
        finally:
            if task is not None:
                task.rendering += self._clock() - began

    @contextmanager
    def cell(self) -> Iterator[CellTime]:
        """While a cell runs. What its kernel was not at work on it is the wire's."""
        task, began, cell = self._task, self._clock(), CellTime()
        before = task.seconds["cells"] if task is not None else 0.0
        try:
            with self.of("cells"):
                yield cell
        finally:
            if task is not None:
                with self._lock:
                    task.cells += 1
                    beside = 0.0 if cell.inside is None else self._clock() - began - cell.inside
                    beside = min(max(0.0, beside), task.seconds["cells"] - before)
                    task.seconds["cells"] -= beside
                    task.seconds["wire"] += beside


@dataclass
class CellTime:
    """How long the kernel was at work on a cell; None where nobody knows."""

    inside: float | None = None


def whole(timings: Timings, *, program: float, verification: float, total: float) -> Timings:
    """With what came before and after the task; what is left of `total` is the end."""
    end = max(0.0, total - program - verification - timings.total)
    around: dict[Part, float] = {"program": program, "verification": verification, "end": end}
    return replace(timings, seconds={**timings.seconds, **around})


def tenths(parts: Mapping[T, float]) -> dict[T, float]:
    """Percentages to one place that add up to 100: largest remainders are rounded up."""
    total = sum(parts.values())
    if total <= 0:
        return dict.fromkeys(parts, 0.0)
    exact = {part: 1000 * seconds / total for part, seconds in parts.items()}
    found = {part: int(value) for part, value in exact.items()}
    left = 1000 - sum(found.values())
    for part in sorted(exact, key=lambda part: found[part] - exact[part])[:left]:
        found[part] += 1
    return {part: count / 10 for part, count in found.items()}
