"""Owns the picture of where a run's time went: a row a step, in the order they ran, as SVG.

A row begins where the one before it ended: the model's time, then the cell's, of which a part was spent
in tools. Between them time may have passed that nobody measured; it is not in the picture.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from ..trajectory import Step, Trajectory
from . import brief

MAX_ROWS = 200
_WIDTH, _LEFT, _RIGHT, _ROW, _TOP = 860, 84, 96, 22, 46
_PLOT = _WIDTH - _LEFT - _RIGHT
_MAX_S = 1e9
_TICKS = 5
KINDS = (("model", "model", 0), ("cell", "cell, without its tools", 80), ("tools", "tools", 248))
"""Class, legend, and where the legend stands."""


@dataclass(frozen=True)
class Row:
    """Seconds of one step. `cell`: without `tools`."""

    label: str
    target: str
    model: float
    cell: float = 0.0
    tools: float = 0.0

    @property
    def total(self) -> float:
        return self.model + self.cell + self.tools

    @property
    def said(self) -> str:
        """`model 2.1 s · cell 40 ms, 12 ms of it in tools`, without what took no time."""
        parts = [f"model {brief.seconds(self.model)}"] if self.model else []
        if self.cell or self.tools:
            inside = f", {brief.seconds(self.tools)} of it in tools" if self.tools else ""
            parts.append(f"cell {brief.seconds(self.cell + self.tools)}{inside}")
        return " · ".join(parts)


def row_of(step: Step) -> Row:
    """Where the time of a step went. Calls may overlap, so their sum can be more than the cell took."""
    took = _known(step.observation.duration_s)
    tools = min(took, sum(_known(call.duration_s) for call in step.observation.tool_calls))
    model = _known(step.reply.duration_s)
    return Row(f"Step {step.index}", f"step-{step.index}", model, took - tools, tools)


def rows_of(trajectory: Trajectory) -> Iterator[Row]:
    """Every step, and each last reply that was only an answer."""
    for number, turn in enumerate(trajectory.turns, 1):
        yield from map(row_of, turn.steps)
        if turn.stop is not None and turn.stop.reply is not None:
            yield Row("Answer", f"end-{number}", _known(turn.stop.reply.duration_s))


def timeline(trajectory: Trajectory) -> str:
    """The picture, with a legend; "" when no time is known."""
    rows = list(rows_of(trajectory))
    total = sum(row.total for row in rows)
    if not total:
        return ""
    height = _TOP + _ROW * min(len(rows), MAX_ROWS) + 8
    name = f"Where the {brief.seconds(total)} of this run went"
    told = "; ".join(f"{row.label}: {row.said or 'no time'}" for row in rows[:MAX_ROWS])
    starts = accumulate((row.total for row in rows), initial=0.0)
    drawn = zip(rows[:MAX_ROWS], starts, strict=False)
    return "".join(
        [
            f'<svg class="timeline" viewBox="0 0 {_WIDTH} {height}" role="img" ',
            'aria-labelledby="timeline-title timeline-desc">',
            f'<title id="timeline-title">{html.escape(name)}</title>',
            f'<desc id="timeline-desc">{html.escape(told)}</desc>',
            *_legend(),
            *_axis(total, height),
            *(_row(row, start, total, number) for number, (row, start) in enumerate(drawn)),
            "</svg>",
            _more(rows),
        ]
    )


def _legend() -> Iterator[str]:
    for kind, text, x in KINDS:
        yield f'<rect class="{kind}" x="{_LEFT + x}" y="4" width="12" height="12" rx="2"/>'
        yield f'<text x="{_LEFT + x + 18}" y="14">{text}</text>'


def _axis(total: float, height: int) -> Iterator[str]:
    for number in range(_TICKS):
        share = number / (_TICKS - 1)
        x = _LEFT + _PLOT * share
        anchor = "middle" if number else "start"
        yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP - 4}" y2="{height}"/>'
        text = brief.seconds(total * share) if number else "0"
        yield f'<text class="faint" text-anchor="{anchor}" x="{x:.1f}" y="{_TOP - 10}">{text}</text>'


def _row(row: Row, start: float, total: float, number: int) -> str:
    y = _TOP + _ROW * number
    x = _LEFT + _PLOT * start / total
    parts = [f'<a href="#{row.target}"><text x="0" y="{y + 15}">{html.escape(row.label)}</text></a>']
    for (kind, *_), took in zip(KINDS, (row.model, row.cell, row.tools), strict=True):
        if took:
            width = max(_PLOT * took / total, 1.0)
            parts.append(
                f'<rect class="{kind}" x="{x:.1f}" y="{y + 4}" width="{width:.1f}" height="{_ROW - 8}">'
                f"<title>{html.escape(row.label)}: {row.said}</title></rect>"
            )
            x += _PLOT * took / total
    end = f'<text class="faint" text-anchor="end" x="{_WIDTH}" y="{y + 15}">{brief.seconds(row.total)}</text>'
    return "".join([*parts, end])


def _more(rows: Sequence[Row]) -> str:
    left = len(rows) - MAX_ROWS
    if left <= 0:
        return ""
    took = brief.seconds(sum(row.total for row in rows[MAX_ROWS:]))
    return f'<p class="note">{brief.count(left, "more row")} ({took}) not drawn</p>'


def _known(seconds: float) -> float:
    """A file may say what no clock does."""
    return seconds if 0 <= seconds < _MAX_S else 0.0
