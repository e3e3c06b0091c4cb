"""Owns the tape: the recorded tool calls of a trajectory, as what answers them again.

A call is found by what it asks (tool, arguments), not by when it comes, so that the concurrent calls
of one cell get their own answers back in whatever order they are made this time.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

from .lines import canonical, dump_line
from .messages import Json, ToolCall, ToolOutcome
from .values import decode

_LONG_KEY = 512
_CANDIDATES = 20
_SHOWN = 80
_COMPARED = 100
_DECODED = 4000
"""Characters of JSON up to which a value is decoded to be shown; it would be cut anyway."""
_ABSENT = "(absent)"


class TapeMiss(LookupError):
    """A call that the tape cannot answer. `recorded`: the nearest unused recorded call, if any; `in_doubt`:
    that one asked the same, and its outcome is not known."""

    def __init__(self, message: str, recorded: ToolCall | None = None, *, in_doubt: bool = False) -> None:
        super().__init__(message)
        self.recorded = recorded
        self.in_doubt = in_doubt


class Tape:
    """Answers calls from a recording, each recorded call once, in O(1) per call.

    Safe to be called from several threads.
    """

    def __init__(self, calls: Iterable[ToolCall]) -> None:
        self._calls = tuple(calls)
        self._by_step: dict[int, list[ToolCall]] = {}
        for call in self._calls:
            self._by_step.setdefault(call.step, []).append(call)
        self._pools: dict[int, _Pool] = {}
        self._whole: _Pool | None = None
        self._step: int | None = None

    def begin_step(self, step: int | None) -> None:
        """From now on only that step's calls count, all of them unused.

        None: no step is known (cells run by hand in stock Jupyter). Then the first unused call of
        the whole tape that asks the same answers, and when all are used the last of them again.
        """
        self._step = step
        if step is not None:
            self._pools[step] = _Pool(self._by_step.get(step, ()))

    def answer(self, tool: str, args: Sequence[Json], kwargs: Mapping[str, Json]) -> ToolOutcome:
        """The recorded outcome of this call; arguments are encoded values.

        Raises: TapeMiss when there is none, or when the call was in doubt.
        """
        pool, again = self._pool()
        key = call_key(tool, args, kwargs)
        found = pool.take(key)
        if found is None and again:
            found = pool.last.get(key)
        if found is not None and found.outcome is not None:
            return found.outcome
        raise self._miss(pool, key, ToolCall(self._step or 0, 0, tool, tuple(args), kwargs, None))

    def unused(self, step: int | None) -> tuple[ToolCall, ...]:
        """Calls of `step` (None: of the whole tape) that were recorded and not asked for again."""
        if step is not None and step in self._pools:
            return self._pools[step].unused()
        if self._whole is not None:
            return tuple(call for call in self._whole.unused() if step is None or call.step == step)
        if step is not None:
            return tuple(self._by_step.get(step, ()))
        return tuple(call for known in self._by_step for call in self.unused(known))

    def _pool(self) -> tuple[_Pool, bool]:
        if self._step is not None:
            return self._pools[self._step], False
        if self._whole is None:
            self._whole = _Pool(self._calls)
        return self._whole, True

    def _miss(self, pool: _Pool, key: str, asked: ToolCall) -> TapeMiss:
        where = "the tape" if self._step is None else f"the tape of step {self._step}"
        if key in pool.in_doubt:
            return TapeMiss(
                f"{show_call(asked)} is in doubt on {where}: it was begun and its outcome was never "
                "recorded: it may or may not have been done. Check its effect by hand; it is not repeated.",
                pool.in_doubt[key][0],
                in_doubt=True,
            )
        if key in pool.last:
            times = pool.times[key]
            return TapeMiss(
                f"{show_call(asked)} is on {where} {times} time{'s'[: times != 1]} and is now called once "
                "more. The cell does not do what it did when it was recorded.",
                pool.last[key],
            )
        nearest = min(
            pool.candidates(asked.tool), key=lambda call: len(differences(call, asked)), default=None
        )
        if nearest is None:
            instead = f"no{' other' if asked.tool in pool.tools else ''} call of {asked.tool!r} is left there"
        else:
            instead = f"recorded was {show_call(nearest)}: {'; '.join(differences(nearest, asked))}"
        return TapeMiss(
            f"{show_call(asked)} is not on {where}: {instead}. Run the cells unchanged and in their recorded "
            "order in a fresh kernel; a cell that asks something else than it did cannot be answered.",
            nearest,
        )


class _Pool:
    """The calls that may answer, by what they ask."""

    def __init__(self, calls: Iterable[ToolCall]) -> None:
        self._left: dict[str, deque[ToolCall]] = {}
        self.last: dict[str, ToolCall] = {}
        self.times: dict[str, int] = {}
        self.in_doubt: dict[str, list[ToolCall]] = {}
        self.tools: set[str] = set()
        for call in calls:
            key = call_key(call.tool, call.args, call.kwargs)
            self.tools.add(call.tool)
            if call.outcome is None:
                self.in_doubt.setdefault(key, []).append(call)
                continue
            self._left.setdefault(key, deque()).append(call)
            self.last[key] = call
            self.times[key] = self.times.get(key, 0) + 1

    def take(self, key: str) -> ToolCall | None:
        left = self._left.get(key)
        try:
            return left.popleft() if left is not None else None
        except IndexError:
            return None

    def unused(self) -> tuple[ToolCall, ...]:
        left = [call for calls in (*self._left.values(), *self.in_doubt.values()) for call in calls]
        return tuple(sorted(left, key=lambda call: (call.step, call.index)))

    def candidates(self, tool: str) -> Iterator[ToolCall]:
        """Some unused calls of that tool: bounded work, however often a program misses."""
        some = islice((calls[0] for calls in self._left.values() if calls), 10 * _CANDIDATES)
        return islice((call for call in some if call.tool == tool), _CANDIDATES)


def call_key(tool: str, args: Sequence[Json], kwargs: Mapping[str, Json]) -> str:
    """Equal for calls that ask the same; the order of keywords does not count."""
    text = canonical([tool, list(args), dict(kwargs)])
    return text if len(text) <= _LONG_KEY else hashlib.sha256(text.encode("ascii")).hexdigest()


def differences(recorded: ToolCall, asked: ToolCall) -> tuple[str, ...]:
    """What each argument was and is now: "argument 'amount': 40 → 50". Looks at so many arguments only."""
    found: list[str] = []
    for index in range(min(max(len(recorded.args), len(asked.args)), _COMPARED)):
        old, new = (call.args[index] if index < len(call.args) else _ABSENT for call in (recorded, asked))
        if canonical(old) != canonical(new):
            found.append(f"argument {index + 1}: {show_value(old)} → {show_value(new)}")
    for name in sorted({*recorded.kwargs, *asked.kwargs})[:_COMPARED]:
        old, new = recorded.kwargs.get(name, _ABSENT), asked.kwargs.get(name, _ABSENT)
        if canonical(old) != canonical(new):
            found.append(f"argument {name!r}: {show_value(old)} → {show_value(new)}")
    return tuple(found)


def show_call(call: ToolCall) -> str:
    """The call as a person writes it, bounded: `refund(7, amount=40)`."""
    # Each part has a character and a separator at least: further ones could not be seen.
    parts = [
        *map(show_value, call.args[:_SHOWN]),
        *(f"{_cut(name)}={show_value(value)}" for name, value in islice(call.kwargs.items(), _SHOWN)),
    ]
    more = len(call.args) > _SHOWN or len(call.kwargs) > _SHOWN
    return f"{_cut(call.tool)}({_cut(', '.join(parts) + ', …' * more, 2 * _SHOWN)})"


def _cut(text: str, limit: int = _SHOWN) -> str:
    return text if len(text) <= limit else text[:limit] + "…"


def show_value(value: Json, limit: int = _SHOWN) -> str:
    """An encoded value for a person, bounded: `Decimal('12.50')`, and JSON where that says it.

    Args:
        limit: characters.
    """
    if value == _ABSENT:
        return _ABSENT
    text = dump_line(value)
    if '"$"' in text and len(text) <= _DECODED:
        try:
            text = repr(decode(value))
        except Exception:  # Hostile: whatever its parts raise; or an int with more digits than Python prints.
            pass
    return _cut(text, limit)
