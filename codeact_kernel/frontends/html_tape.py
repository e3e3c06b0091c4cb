"""Owns the tool calls of a run in its page: a line a call in the step, and the whole tape as a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..wire.messages import Json, Raised, Returned, ToolCall
from . import brief
from .html_text import Room, esc, json_text, line, note, passage

LINES_SHOWN = 8
MAX_ROWS = 2000
MAX_VALUE = 20_000
"""Characters of the arguments, or of the result, of one call."""


def call_lines(calls: Sequence[ToolCall]) -> str:
    """The first calls of a step."""
    shown = [call for call in calls if brief.listed(call)]
    if not shown:
        return ""
    items = [f"<li>{esc(brief.call(call))}</li>" for call in shown[:LINES_SHOWN]]
    left = len(shown) - LINES_SHOWN
    if left > 0:
        items.append(f'<li><a href="#tape">{brief.count(left, "more call")}, all in the tape</a></li>')
    return f'<ul class="calls">{"".join(items)}</ul>'


def tape(calls: Sequence[ToolCall], room: Room) -> Iterator[str]:
    """Every call with its arguments and its result to unfold."""
    if not calls:
        return
    yield f'<section id="tape"><h2>Tape: {brief.count(len(calls), "recorded tool call")}</h2>'
    yield '<table class="tape"><thead><tr><th>Step</th><th>Call</th><th>Approved by</th><th>Time</th>'
    yield "</tr></thead><tbody>"
    for call in calls[:MAX_ROWS]:
        yield _row(call, room)
    yield "</tbody></table>"
    if len(calls) > MAX_ROWS:
        yield note(f"{len(calls) - MAX_ROWS:,} more calls are left out; the notebook has them")
    yield "</section>"


def _row(call: ToolCall, room: Room) -> str:
    by = line(call.approved_by, 60) or '<span class="faint">nobody was asked</span>'
    if call.denied_by:
        by = f"<b>denied</b> by {line(call.denied_by, 60)}"
    asked: Json = {"args": call.args, "kwargs": call.kwargs}
    parts = [_part("asked", asked, room)]
    if call.edited is not None:
        made: Json = {"args": call.edited[0], "kwargs": call.edited[1]}
        parts.append(_part("called with, as a person changed it", made, room))
    match call.outcome:
        case Returned(value):
            parts.append(_part("returned", value, room))
        case Raised(kind, message):
            parts.append(_part("raised", {"type": kind, "message": message}, room))
        case None:
            parts.append(note("In doubt: it was begun, and its outcome was never recorded."))
    shown = f"<details><summary>{esc(brief.called(call))}</summary>{''.join(parts)}</details>"
    return (
        f'<tr><td class="n">{call.step}.{call.index}</td><td class="call">{shown}</td><td>{by}</td>'
        f'<td class="n">{brief.seconds(call.duration_s)}</td></tr>'
    )


def _part(label: str, value: Json, room: Room) -> str:
    return (
        f'<div class="label">{label}</div>{passage(json_text(value, MAX_VALUE), room, "out", 2 * MAX_VALUE)}'
    )
