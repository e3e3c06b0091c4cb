"""Owns the watching of functions: what each call of one was given and gave, told to the host.

Only in kernels that run a saved run again to make tests of it (`codeact skill save`).
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import count
from typing import Any
from uuid import UUID

from codeact_kernel.in_kernel import attach
from codeact_kernel.wire.messages import Json, Returned
from codeact_kernel.wire.records import Record
from codeact_kernel.wire.skill_watch import AGAIN, BEGAN, ENDED, MAX_TOLD, MAX_WATCHED
from codeact_kernel.wire.values import EncodeError, decode, encode

_numbers = count(1)
_inside: ContextVar[frozenset[str]] = ContextVar("_inside", default=frozenset())
"""Functions that are being called: only the outermost call of a function is told."""
_LEAVES = frozenset(
    {type(None), bool, int, float, str, bytes, Decimal, UUID, date, datetime, time, timedelta}
)
_MAX_PARTS = 2_000
_CELL = 50
"""Characters that one value of a frame counts."""


class _Untold(Exception):
    """A value that cannot be told; why."""


def watch(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator: calls of the function are told under this name. What it does and raises stays the same."""
    return lambda function: _watched(name, function)


def _watched(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def later(*args: object, **kwargs: object) -> object:
            __tracebackhide__ = True
            told = _Call(name, args, kwargs)
            with told:
                told.result = result = await function(*args, **kwargs)
            return result

        return later

    @functools.wraps(function)
    def now(*args: object, **kwargs: object) -> object:
        __tracebackhide__ = True
        told = _Call(name, args, kwargs)
        with told:
            told.result = result = function(*args, **kwargs)
        return result

    return now


def call(function: Callable[..., Any], number: int) -> Any:
    """Calls a function with the arguments of an example, and tells what it gave."""
    args, kwargs = _values(_ask(AGAIN, number))
    return _watched("", function)(*args, **kwargs)  # The host asks for one function at a time.


class _Call:
    """One call, told when it begins and when it has ended."""

    def __init__(self, name: str, args: tuple[object, ...], kwargs: Mapping[str, object]) -> None:
        self.result: object = None
        self._name, self._number = name, 0
        inside = _inside.get()
        if name in inside:
            return
        self._number = number = next(_numbers)
        if number > MAX_WATCHED:
            self._number = 0
            return
        try:
            given: tuple[Json, ...] = (_told(list(args)), _told(dict(kwargs)))
        except _Untold as why:
            given = (None, str(why))
        _ask(BEGAN, number, name, *given)

    def __enter__(self) -> None:
        self._token = _inside.set(_inside.get() | {self._name})

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        __tracebackhide__ = True
        _inside.reset(self._token)
        if not self._number:
            return
        try:
            if kind is not None:
                raise _Untold(f"raised {kind.__name__}")
            _ask(ENDED, self._number, {"returns": _told(self.result)})
        except _Untold as why:
            _ask(ENDED, self._number, {"refused": str(why)})


def _ask(tool: str, *args: Json) -> Json:
    if attach.channel is None:
        raise RuntimeError("calls are watched only where a host listens")
    outcome = attach.channel.call(tool, args, {})
    return outcome.value if isinstance(outcome, Returned) else None


def _values(given: Json) -> tuple[list[Any], dict[str, Any]]:
    if not isinstance(given, list) or len(given) != 2:
        raise RuntimeError("there is no such example")
    args, kwargs = decode(given[0]), decode(given[1])
    assert isinstance(args, list)
    assert isinstance(kwargs, dict)
    return args, kwargs


def _told(value: object) -> Json:
    """A value encoded. Raises _Untold for one whose type a test cannot write down, or that is too large."""
    left, parts, size = [value], 0, 0
    while left:
        item = left.pop()
        parts += 1
        kind = type(item)
        size += _frame_size(item)
        if isinstance(item, str | bytes):
            size += len(item)
        if parts > _MAX_PARTS or size > MAX_TOLD:
            raise _Untold("has a large value")
        if kind in (list, tuple, set, frozenset):
            left += item  # type: ignore[arg-type]  # one of those
        elif isinstance(item, dict) and kind is dict:
            left += [*item.keys(), *item.values()]
        elif isinstance(item, Record):
            left += Record._asdict(item).values()
        elif kind not in _LEAVES and not _is_of_numpy(item) and not _frame_size(item):
            raise _Untold(f"has a value of type {kind.__name__}")
    try:
        return encode(value)
    except EncodeError as problem:
        raise _Untold(f"has a value that cannot be told: {problem}") from None


def _frame_size(value: object) -> int:
    """How much of the room a frame or series takes; 0 for anything else."""
    pandas: Any = sys.modules.get("pandas")
    if pandas is None or type(value) not in (pandas.DataFrame, pandas.Series):
        return 0
    size: int = value.size  # type: ignore[attr-defined]  # it is one of these
    return 1 + _CELL * size


def _is_of_numpy(value: object) -> bool:
    """Whether it is a single number of numpy."""
    numpy: Any = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.bool_ | numpy.integer | numpy.floating)
