"""Owns the tables: every figure of every run, and what they come to for each task."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from .running import Channel, Measured
from .tasks import KINDS

SHOWN = (1, 10, 100, 1000)
WINDOW = 200_000
INPUT, CACHED, WALL = "input tokens", "… with a prompt cache", "wall time, s"
JSON: tuple[Channel, ...] = ("one call", "parallel")
COLUMNS: dict[str, Callable[[Measured], float]] = {
    "turns": lambda one: one.spent.turns,
    INPUT: lambda one: one.spent.input,
    CACHED: lambda one: one.spent.cached,
    "output tokens": lambda one: one.spent.output,
    "largest request": lambda one: one.spent.largest,
    WALL: lambda one: one.wall_s,
}


def figures(runs: Sequence[Measured]) -> str:
    """A line for each task and N; in a cell one call a turn / parallel calls / code."""
    head = ["task", "N", *COLUMNS]
    lines = [_line(head), _line(["---"] * len(head))]
    for kind in KINDS:
        for size in SHOWN:
            of = [one for one in runs if (one.task, one.size) == (kind.name, size)]
            if of:
                cells = [" / ".join(_number(value(one)) for one in of) for value in COLUMNS.values()]
                lines.append(_line([f"{kind.name} ({kind.n})", f"{size:,}", *cells]))
    return "\n".join(lines)


def verdicts(runs: Sequence[Measured]) -> str:
    """From which N on code is cheaper, and by how much at the largest; against one call / parallel calls."""
    head = [
        "task",
        "code reads less from N =",
        CACHED,
        "writes less from N =",
        "is done earlier from N =",
        "largest N",
        "JSON reads … times as much",
        CACHED,
        "takes … times as long",
        f"a window of {WINDOW:,} tokens holds JSON up to about N =",
    ]
    values = (COLUMNS[INPUT], COLUMNS[CACHED])
    lines = [_line(head), _line(["---"] * len(head))]
    for kind in KINDS:
        code, *others = [runs_of(runs, kind.name, channel) for channel in ("code", *JSON)]
        last, rivals = code[-1], [other[-1] for other in others]
        points = (*values, COLUMNS["output tokens"], COLUMNS[WALL])
        cells = [" / ".join(_cheaper_from(of, code, other) for other in others) for of in points]
        cells.append(f"{last.size:,}")
        for of in (*values, COLUMNS[WALL]):
            cells.append(" / ".join(_number(of(rival) / of(last)) for rival in rivals))
        cells.append(" / ".join(_fits(other) for other in others))
        lines.append(_line([kind.name, *cells]))
    return "\n".join(lines)


def runs_of(runs: Iterable[Measured], task: str, channel: Channel) -> list[Measured]:
    return [one for one in runs if (one.task, one.channel) == (task, channel)]


def _cheaper_from(of: Callable[[Measured], float], code: list[Measured], other: list[Measured]) -> str:
    """The least N from which on, up to the largest, code is below the other."""
    first = "never"
    for mine, theirs in zip(reversed(code), reversed(other), strict=True):
        if of(mine) >= of(theirs):
            break
        first = f"{mine.size:,}"
    return first


def _fits(runs: list[Measured]) -> str:
    """The N at which the largest request fills the window: measured, or in a straight line from there."""
    first, last = runs[0], runs[-1]
    a_piece = (last.spent.largest - first.spent.largest) / (last.size - first.size)
    most = first.size + (WINDOW - first.spent.largest) / a_piece
    return f"{float(f'{most:.1e}'):,.0f}"


def _number(value: float) -> str:
    return f"{value:,.1f}" if value < 100 and value != int(value) else f"{value:,.0f}"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
