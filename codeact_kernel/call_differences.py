"""Owns what is said of the tool calls of a step that was run again: changed, new, missing, in doubt."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from .rebuild import Miss, Rebuilt
from .wire.messages import ToolCall
from .wire.tape import call_key, differences, show_call

MAX_SAID = 20
"""Differences of one step that are told one by one."""
_CANDIDATES = 20


def call_differences(rebuilt: Rebuilt) -> list[str]:
    """One sentence for each difference; of many the first, and how many more there are."""
    left: dict[str, list[ToolCall]] = {}
    for call in rebuilt.unused:
        left.setdefault(call.tool, []).append(call)
    known = _keys(rebuilt) if rebuilt.misses else frozenset()
    found = [_missed(miss, left, known) for miss in rebuilt.misses]
    found += rebuilt.changes
    found += _unused(left)
    more = len(found) - MAX_SAID + rebuilt.more if len(found) > MAX_SAID else rebuilt.more
    return [*found[:MAX_SAID], *([f"… and {more:,} more"] if more else [])]


def _keys(rebuilt: Rebuilt) -> frozenset[str]:
    return frozenset(map(_key, rebuilt.step.observation.tool_calls))


def _key(call: ToolCall) -> str:
    return call_key(call.tool, call.args, call.kwargs)


def _missed(miss: Miss, left: dict[str, list[ToolCall]], known: frozenset[str]) -> str:
    """What is said of a call that the tape did not answer; takes the call it stands for out of `left`."""
    asked = miss.asked
    if asked is None:
        return miss.message
    calls = left.get(asked.tool, [])
    if miss.in_doubt:
        doubtful = islice((call for call in calls if call.outcome is None), _CANDIDATES)
        if (same := next((call for call in doubtful if _key(call) == _key(asked)), None)) is not None:
            calls.remove(same)
        return f"in doubt, it was begun and no outcome was recorded: {show_call(asked)}"
    if _key(asked) in known:
        return f"called more often than it was recorded: {show_call(asked)}"
    candidates = [call for call in calls[:_CANDIDATES] if call.outcome is not None]
    nearest = min(candidates, key=lambda call: len(differences(call, asked)), default=None)
    if nearest is None:
        return f"called now, and not recorded: {show_call(asked)}"
    calls.remove(nearest)
    return f"{show_call(nearest)}: {_listed(differences(nearest, asked))}"


def _listed(found: tuple[str, ...]) -> str:
    more = f"; … and {len(found) - MAX_SAID} more" if len(found) > MAX_SAID else ""
    return ("; ".join(found[:MAX_SAID]) or "a later argument") + more


def _unused(left: dict[str, list[ToolCall]]) -> Iterator[str]:
    calls = sorted((call for calls in left.values() for call in calls), key=lambda call: call.index)
    for number, call in enumerate(calls):
        # Only so many are shown; that there are more is counted.
        yield f"recorded, but not called again: {show_call(call)}" if number < MAX_SAID else ""
