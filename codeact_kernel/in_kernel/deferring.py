"""Owns what rewritten cells call where it is known only when they run whether something is awaited.

A place that wants an awaitable takes a value too, which in Python is a TypeError: so calls that were made are
not lost. What is a mistake anyhow (a function that was not called, a generator) stays one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from functools import partial
from types import CoroutineType, ModuleType
from typing import Any

from codeact_kernel.in_kernel.functions import AWAITABLE, awaitable, tool_of
from codeact_kernel.in_kernel.tools import gives_awaitable

GIVEN = "__codeact_given__"
ALL_GIVEN = "__codeact_all_given__"
STARTING = "__codeact_starting__"
LATER = "__codeact_later__"


def given(value: Any) -> Any:
    """What is awaited in place of `value`: itself, or a coroutine that returns it."""
    return _returning(value) if _is_value(value) else value


def all_given(values: Any) -> Any:
    """What is awaited in place of the elements of `values`."""
    if isinstance(values, Mapping | str | bytes) or not hasattr(type(values), "__iter__"):
        return values
    if hasattr(type(values), "__await__"):
        return values
    items = [*values]
    return [_done(item) if _is_value(item) else item for item in items]


class _Later:
    """A call of a tool that is not made yet."""

    def __init__(self, tool: Callable[..., Any], *args: object, **kwargs: object) -> None:
        self.tool, self.args, self.kwargs = tool, args, kwargs


def later(function: Any, *method: Any) -> Any:
    """What is called in place of `function`, for an argument of what `starting` gives. With `method`, which
    is started: the call waits only for the `create_task` of a loop, a group or asyncio."""
    tool = tool_of(function)
    if tool is None or gives_awaitable(tool) or not all(map(_starts, method)):
        return function
    return partial(_Later, function)


def starting(method: Any) -> Callable[..., Any]:
    """`method`, which is called `create_task`. That of a loop, a group or asyncio gets a coroutine; that of
    anything else what the tool returns."""
    starts = _starts(method)

    def call(*args: object, **kwargs: object) -> Any:
        __tracebackhide__ = True
        if args:
            args = (_argument(args[0], starts), *args[1:])
        elif "coro" in kwargs:
            kwargs["coro"] = _argument(kwargs["coro"], starts)
        return method(*args, **kwargs)

    return call


def _argument(value: object, starts: bool) -> object:
    __tracebackhide__ = True
    if isinstance(value, _Later):
        value = (awaitable(value.tool) if starts else value.tool)(*value.args, **value.kwargs)
    return given(value) if starts else value


def _starts(method: Any) -> bool:
    owner = getattr(method, "__self__", None)
    return method is asyncio.create_task or isinstance(owner, asyncio.TaskGroup | asyncio.AbstractEventLoop)


def _is_value(value: object) -> bool:
    kind = type(value)
    if kind is CoroutineType or hasattr(kind, "__await__"):
        return False
    if hasattr(kind, "add_done_callback"):  # A future of a pool: its value is not there yet.
        return False
    if callable(value) or isinstance(value, Iterator | AsyncIterator | ModuleType):
        return False
    return not hasattr(kind, "__aenter__")


async def _returning(value: object) -> object:
    return value


def _done(value: object) -> Any:
    """As a future: `asyncio.wait` takes no coroutines."""
    try:
        future = asyncio.get_running_loop().create_future()
    except RuntimeError:
        return _returning(value)
    future.set_result(value)
    return future


HELPERS: dict[str, Callable[..., Any]] = {
    AWAITABLE: awaitable,
    GIVEN: given,
    ALL_GIVEN: all_given,
    STARTING: starting,
    LATER: later,
}
"""By their names among the builtins of action code."""
