"""Owns what is taken for tools where a program offers some: functions, lists of them, modules of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any, TypeAlias

from ..exceptions import ToolDefinitionError
from .home import toolkit
from .tool import Tool, tool

Tools: TypeAlias = "Iterable[Tool | Callable[..., Any]] | Mapping[str, Any]"
"""Tools and plain functions; or by the name of the module they are to be in: {"shop": [refund, total]}."""


def offered(tools: Tools) -> tuple[Tool, ...]:
    """All of them as tools. Raises: ToolDefinitionError."""
    if isinstance(tools, Mapping):
        return tuple(made for name, some in tools.items() for made in within(name, tools_in(some)))
    return tuple(made if isinstance(made, Tool) else tool(made) for made in tools)


def tools_in(found: object) -> tuple[Tool, ...]:
    """The tools that an object stands for: a tool or a function, all of a list of them, or what `tool` has
    made in a module. Raises: ToolDefinitionError."""
    if isinstance(found, ModuleType):
        made = made_by_tool(vars(found).values())
        if not made:
            raise ToolDefinitionError(f"the module {found.__name__!r} makes no tools; decorate them: @tool")
        return made
    several: list[Any] = list(found) if isinstance(found, list | tuple) else [found]
    if not several or not all(callable(each) for each in several):
        raise ToolDefinitionError(f"neither a tool, nor a function, nor a list of them, but {found!r:.80}")
    return tuple(each if isinstance(each, Tool) else tool(each) for each in several)


def made_by_tool(values: Iterable[object]) -> tuple[Tool, ...]:
    """Each once, in the order they are defined."""
    return tuple({id(value): value for value in values if isinstance(value, Tool)}.values())


def within(name: str, tools: Iterable[Tool]) -> tuple[Tool, ...]:
    """The same tools, in a module of that name, which says what the module they come from says of itself.

    Raises: ToolDefinitionError.
    """
    several = tuple(tools)
    home = toolkit(name, _doc(several))
    return tuple(made.within(home) for made in several)


def _doc(tools: tuple[Tool, ...]) -> str:
    source = inspect.getmodule(tools[0].function) if tools else None
    known = source is not None and source.__name__ != "__main__"  # Of which a notebook says nothing.
    return (inspect.getdoc(source) or "") if known else ""
