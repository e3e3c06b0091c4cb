"""Owns the comparison of two runs, step by step: what each did, called, showed, and answered.

Within a turn, steps with the same code are matched first; what stands between two matches is compared by
position, and a rest is in one run only. Thoughts, times and costs differ between any two runs: they are
told, and do not count.
"""

from __future__ import annotations

import difflib
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from ..comparison import bounded_diff, output_diff
from ..replay import ending
from ..trajectory import Step, Stop, Trajectory, Turn
from ..wire.entries import decision_to_json, outcome_to_json
from ..wire.lines import canonical
from ..wire.messages import Raised, Returned, ToolCall
from ..wire.tape import call_key, differences, show_call, show_value
from .html_text import json_text

SIDES = ("A", "B")
MAX_ALIGNED = 500
"""Steps of a turn that are matched by code, which takes a time that grows with the square of them; more are
compared by position."""
MAX_LINES = 200
"""Of a difference in code, task or answer."""
MAX_CALLS = 20
_CANDIDATES = 20
_ANSWER = 20_000


@dataclass(frozen=True)
class StepDiff:
    """Two steps that stand for each other. `a`, `b`: their numbers; None: this step is in the other run only.

    `ended`: how each ended, when that differs. `thought`: whether the thoughts differ.
    """

    a: int | None
    b: int | None
    code: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    ended: tuple[str, str] | None = None
    thought: bool = False

    @property
    def same(self) -> bool:
        both = self.a is not None and self.b is not None
        return both and not (self.code or self.calls or self.outputs or self.ended)


@dataclass(frozen=True)
class TurnDiff:
    """Two turns. `task`, `end`: how their tasks, and how they ended, differ; empty when they do not."""

    number: int
    task: tuple[str, ...]
    steps: tuple[StepDiff, ...]
    end: tuple[str, ...]

    @property
    def same(self) -> bool:
        return not (self.task or self.end) and all(step.same for step in self.steps)


def compare(a: Trajectory, b: Trajectory) -> Iterator[TurnDiff]:
    """The turns of two runs, in order; one that only one of them has stands against an empty one."""
    pairs = zip_longest(a.turns, b.turns, fillvalue=Turn(""))
    for number, (old, new) in enumerate(pairs, 1):
        yield TurnDiff(
            number,
            _text_diff(old.task, new.task),
            tuple(_step(*pair) for pair in _aligned(old.steps, new.steps)),
            _text_diff(_end(old.stop), _end(new.stop)),
        )


def _aligned(a: Sequence[Step], b: Sequence[Step]) -> Iterator[tuple[Step | None, Step | None]]:
    if max(len(a), len(b)) > MAX_ALIGNED:
        yield from zip_longest(a, b)
        return
    matcher = difflib.SequenceMatcher(None, [*map(_code, a)], [*map(_code, b)], autojunk=False)
    for _, first, last, start, end in matcher.get_opcodes():
        yield from zip_longest(a[first:last], b[start:end])


def _code(step: Step) -> str:
    return "" if step.action is None else step.action.code


def _step(a: Step | None, b: Step | None) -> StepDiff:
    if a is None or b is None:
        old_code, new_code = ("" if step is None else _code(step) for step in (a, b))
        diff = _text_diff(old_code, new_code)
        return StepDiff(None if a is None else a.index, None if b is None else b.index, diff)
    old, new = a.observation, b.observation
    endings = (ending(old), ending(new))
    return StepDiff(
        a.index,
        b.index,
        _text_diff(_code(a), _code(b)),
        tuple(_calls(old.tool_calls, new.tool_calls)),
        () if old.shown == new.shown else tuple(output_diff(old.shown, new.shown, SIDES)),
        endings if old.status != new.status or endings[0] != endings[1] else None,
        a.reply.thought != b.reply.thought,
    )


def _text_diff(a: str, b: str) -> tuple[str, ...]:
    if a == b:
        return ()
    # Where only line ends differ there is a difference, and no line of it.
    return tuple(bounded_diff(a.splitlines(), b.splitlines(), SIDES, MAX_LINES)) or ("only line ends differ",)


def _end(stop: Stop | None) -> str:
    if stop is None:
        return "no end: cut off"
    if stop.reason != "answer":
        return f"stopped: {stop.reason}\n{stop.detail}".strip()
    return stop.answer if isinstance(stop.answer, str) else json_text(stop.answer, _ANSWER)


# --- tool calls --------------------------------------------------------------------------------


def _calls(a: Sequence[ToolCall], b: Sequence[ToolCall]) -> list[str]:
    """One line for each difference; of many the first, and how many more there are."""
    asked: dict[str, deque[ToolCall]] = {}
    for call in a:
        asked.setdefault(_key(call), deque()).append(call)
    found: list[str] = []
    added: list[ToolCall] = []
    for call in b:
        pool = asked.get(_key(call))
        if not pool:
            added.append(call)
        elif _outcome(old := pool.popleft()) != _outcome(call):
            found.append(f"{show_call(call)}: {_said(old)} → {_said(call)}")
    removed = sorted((call for pool in asked.values() for call in pool), key=lambda call: call.index)
    found += _unmatched(removed[:MAX_CALLS], added[:MAX_CALLS])
    more = (
        max(len(removed) - MAX_CALLS, 0) + max(len(added) - MAX_CALLS, 0) + max(len(found) - 2 * MAX_CALLS, 0)
    )
    return [*found[: 2 * MAX_CALLS], *([f"… and {more:,} more"] if more else [])]


def _unmatched(removed: list[ToolCall], added: list[ToolCall]) -> Iterator[str]:
    """Calls of the same tool are taken for each other, the nearest first."""
    left = list(removed)
    for call in added:
        same = [old for old in left if old.tool == call.tool][:_CANDIDATES]
        nearest = min(same, key=lambda old: len(differences(old, call)), default=None)
        if nearest is None:
            yield f"only in B: {show_call(call)}"
            continue
        left.remove(nearest)
        changes = differences(nearest, call)
        more = f"; … and {len(changes) - MAX_CALLS} more" if len(changes) > MAX_CALLS else ""
        yield f"{show_call(nearest)}: {'; '.join(changes[:MAX_CALLS])}{more}"
    yield from (f"only in A: {show_call(call)}" for call in left)


def _key(call: ToolCall) -> str:
    return call_key(call.tool, call.args, call.kwargs)


def _outcome(call: ToolCall) -> str:
    return canonical({**outcome_to_json(call.outcome), **decision_to_json(replace(call, approved_by=""))})


def _said(call: ToolCall) -> str:
    if call.edited is None:
        return _came(call)
    made = show_call(replace(call, args=call.edited[0], kwargs=call.edited[1]))
    return f"{_came(call)}, called as {made}"


def _came(call: ToolCall) -> str:
    match call.outcome:
        case Returned(value):
            return show_value(value)
        case Raised(kind, message):
            return f"raised {show_value(f'{kind}: {message}')}"
        case None:
            return "in doubt"
