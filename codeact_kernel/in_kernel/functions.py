"""Owns the functions of a module of tools: real functions, made of the generated stubs, that forward calls.

Arguments travel by name, so that a call is the same on the tape however it was written.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from types import FunctionType
from typing import Any
from weakref import WeakKeyDictionary

from codeact_kernel.in_kernel.channel import Caller
from codeact_kernel.in_kernel.tools import ToolFunction, value_of
from codeact_kernel.wire.frames import TOO_MANY
from codeact_kernel.wire.messages import Json, Raised, ToolOutcome, ToolSpec
from codeact_kernel.wire.search import nearest
from codeact_kernel.wire.stubs import parameters_hint

AWAITABLE = "__codeact_awaitable__"
"""Name of `awaitable` among the builtins of action code."""
_SHOWN = 5
_tools: WeakKeyDictionary[Callable[..., Any], ToolFunction] = WeakKeyDictionary()
"""Of each function its tool. Not an attribute of it: `functools.wraps` would copy that."""


class ModuleTool(ToolFunction):
    """A tool with a schema: required parameters by place or by name, optional ones by name."""

    def __init__(self, spec: ToolSpec, caller: Caller) -> None:
        # A plain call gives the value, in a coroutine too: what is awaited is rewritten (`awaiting`).
        super().__init__(replace(spec, is_async=False), caller)
        self._places = [p.name for p in spec.parameters if p.kind == "positional_or_keyword"]
        self._names = [p.name for p in spec.parameters if p.kind != "var_keyword"]
        self._takes_more = len(self._names) < len(spec.parameters)
        self._optional = {p.name for p in spec.parameters if p.default is not None}

    def _encode(
        self, args: tuple[object, ...], kwargs: Mapping[str, object]
    ) -> tuple[tuple[Json, ...], dict[str, Json]]:
        __tracebackhide__ = True
        return super()._encode((), self._bound(args, kwargs))

    def _unwrap(self, outcome: ToolOutcome) -> object:
        __tracebackhide__ = True
        hint = isinstance(outcome, Raised) and TOO_MANY not in outcome.message
        return value_of(outcome, parameters_hint(self._spec) if hint else "")

    def _bound(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> dict[str, object]:
        """The arguments by name, in the order of the signature. Raises TypeError."""
        __tracebackhide__ = True
        if len(args) > len(self._places):
            most = len(self._places)
            raise self._wrong(f"takes at most {most} by place, got {len(args)}; give the others by name")
        given = dict(zip(self._places, args, strict=False))
        more = {name: value for name, value in kwargs.items() if name not in self._names}
        if more and not self._takes_more:
            raise self._wrong(f"got an unexpected {_listed(more)}{self._meant(next(iter(more)))}")
        if twice := [name for name in kwargs if name in given]:
            raise self._wrong(f"got {_listed(twice)} twice, by place and by name")
        given |= kwargs
        if missing := [name for name in self._places if name not in given]:
            raise self._wrong(f"got no {_listed(missing)}")
        named = {name: given[name] for name in self._names if name in given}
        # What is `...` is left out; so is None where that is no value, which the host knows.
        return {n: v for n, v in named.items() if v is not ... or n not in self._optional} | more

    def _wrong(self, what: str) -> TypeError:
        return TypeError(f"{self._spec.name}() {what}. {parameters_hint(self._spec)}")

    def _meant(self, name: str) -> str:
        found = nearest(name, self._names, 1)
        return f" (did you mean {found[0]!r}?)" if found else ""


def function_of(tool: ToolFunction, stub: FunctionType) -> Callable[..., Any]:
    """The function that calls `tool`, and is in all else what `stub` is."""

    def function(*args: object, **kwargs: object) -> Any:
        __tracebackhide__ = True
        return tool(*args, **kwargs)

    functools.update_wrapper(function, stub)
    function.__dict__["aio"] = tool.aio
    _tools[function] = tool
    return function


def awaitable(function: Any) -> Any:
    """What is called in place of `function` where its result is awaited: `aio`, where it is a tool."""
    tool = tool_of(function)
    return function if tool is None else tool.aio


def tool_of(function: Any) -> ToolFunction | None:
    """The tool that `function` is, or calls."""
    if isinstance(function, FunctionType):
        return _tools.get(function)
    return function if isinstance(function, ToolFunction) else None


def _listed(names: Iterable[str]) -> str:
    shown = [*map(repr, names)]
    return ", ".join(shown[:_SHOWN]) + (", …" if len(shown) > _SHOWN else "")
