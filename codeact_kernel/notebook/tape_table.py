"""Owns the recorded calls as a table of the notebook, for a person to read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

from ..wire.lines import dump_line
from ..wire.messages import Json, Raised, Returned, ToolCall
from ..wire.tape import show_call, show_value
from .markdown import inline, table

TABLE_ROWS = 50
FOLDED = 1000
"""Characters of a value in the table, behind a fold."""
LOOKED_AT = 20 * FOLDED
"""Characters of a value that are looked at for them: blanks are left out."""


def tape_source(calls: Sequence[ToolCall]) -> str:
    """The recorded calls as a table, folded."""
    head, rows = ["step", "call", "what was asked", "what came back"], [*map(_row, islice(calls, TABLE_ROWS))]
    if any(call.approved_by or call.denied_by for call in calls):
        head.append("who allowed it")
        rows = [[*row, _decision(call)] for row, call in zip(rows, calls, strict=False)]
    text = table(head, rows)
    more = len(calls) - len(rows)
    rest = f"\n\n… and {more} more; all of them are with the setup cell." if more else ""
    summary = (
        f"<details><summary>Recorded tool calls ({len(calls)})</summary>"  # Folded: the story comes first.
    )
    return f"{summary}\n\n{text}{rest}\n\n</details>"


def _row(call: ToolCall) -> list[str]:
    asked = _folded(show_call(call), [*call.args, dict(call.kwargs)] if call.kwargs else call.args, 120)
    return [str(call.step), str(call.index), asked, _outcome(call)]


def _decision(call: ToolCall) -> str:
    if call.denied_by:
        return f"denied by {inline(call.denied_by)}"
    if call.edited is None:
        return inline(call.approved_by)
    made = show_call(replace(call, args=call.edited[0], kwargs=call.edited[1]))
    return f"{inline(call.approved_by)}, as {inline(made)}"


def _folded(short: str, value: Json, limit: int = 80) -> str:
    """What a person sees of a value; more of it, and its size, behind it when that is cut."""
    if len(short) <= limit and "…" not in short:
        return inline(short, limit)
    text = dump_line(value)
    size = f" ({len(text):,} bytes)" if len(text) > FOLDED else ""
    more = inline(text[:LOOKED_AT], FOLDED)
    return f"<details><summary>{inline(short, limit)}</summary>{more}{size}</details>"


def _outcome(call: ToolCall) -> str:
    match call.outcome:
        case Returned(value):
            return _folded(show_value(value), value)
        case Raised(kind, message):
            return inline(f"{kind}: {message}")
        case None:
            return "in doubt: begun, and its outcome was never recorded"
