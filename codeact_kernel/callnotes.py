"""Owns what the model is told of the calls that a failed cell had made: they stay made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from .trajectory import Observation
from .wire.frames import FINAL_ANSWER, is_ours
from .wire.messages import Json, Made, Raised, Returned, ToolCall
from .wire.tape import show_call, show_value
from .wire.weight import weight

MAX_CALLS = 20
MAX_CHARS = 2_000
MAX_TOOLS = 10
_VALUE = 40
_LARGE = 100_000
"""Bytes up to which a value is looked at, for the few characters that are shown of it."""


def calls_notes(observation: Observation) -> Iterator[str]:
    """Of a cell that did not end well; nothing where it called nothing, or nothing but what was denied."""
    if observation.status == "ok":
        return
    calls = [call for call in observation.tool_calls if _counts(call)]
    done = [call for call in calls if _made(call) == "yes"]
    doubt = [call for call in calls if _made(call) == "unknown"]
    if done:
        yield f"Before it failed these calls were made, and count: {_listed(done)}."
    if doubt:
        yield f"It is in doubt whether these were done: {_listed(doubt)}. Look before you repeat one."


def _counts(call: ToolCall) -> bool:
    """Not what was never made, nor what only we ask."""
    return call.tool != FINAL_ANSWER and not is_ours(call.tool) and not call.denied_by


def _made(call: ToolCall) -> Made:
    match call.outcome:
        case None:
            return "unknown"
        case Raised(made=made):
            return made
    return "yes"


def _listed(calls: Sequence[ToolCall]) -> str:
    shown: list[str] = []
    room = MAX_CHARS
    for call in calls[:MAX_CALLS]:
        text = _shown(call)
        room -= len(text)
        if room < 0:
            break
        shown.append(text)
    if len(shown) == len(calls):
        return "; ".join(shown)
    counts = Counter(call.tool[:100] for call in calls).most_common(MAX_TOOLS)
    in_all = ", ".join(f"{tool} {count:,} times" for tool, count in counts)
    return f"{'; '.join(shown)}; … in all {len(calls):,} calls ({in_all}), the last one {_shown(calls[-1])}"


def _result(value: Json) -> str:
    if value is None or isinstance(value, bool):
        return repr(value)
    size = weight(value)
    return show_value(value, _VALUE) if size <= _LARGE else f"(about {size:,} bytes)"


def _shown(call: ToolCall) -> str:
    """Such as `refund(order_id=7) → None`."""
    match call.outcome:
        case Returned(value):
            return f"{show_call(call)} → {_result(value)}"
        case Raised(kind):
            return f"{show_call(call)} raised {kind[:_VALUE]}"
        case None:
            return show_call(call)
