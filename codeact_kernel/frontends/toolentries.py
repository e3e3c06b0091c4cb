"""Owns what `--tools` names: files, modules, installed toolkits; and the modules that they are put into.

A toolkit is an entry point of the group `codeact_kernel.tools` of an installed package. It is loaded when it
is named, and not before: loading runs code on the host, with the rights of the user.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from ..exceptions import ToolDefinitionError, UsageError
from ..tools.home import toolkit
from ..tools.registry import Tool
from ..tools.toolkits import tools_in, within
from .toolsfile import is_file_name, load_module_tools, load_tools, split_entry

GROUP = "codeact_kernel.tools"


@dataclass(frozen=True)
class Toolkit:
    """One that is installed. `package`: which brings it, with its version; `value`: where it is."""

    name: str
    package: str
    value: str


def load_named(entry: str) -> tuple[Tool, ...]:
    """The tools of one entry; see `load_entries`. Raises: UsageError."""
    return load_entries([entry])


def load_entries(entries: Iterable[str]) -> tuple[Tool, ...]:
    """The tools of `FILE.py`, `package.module`, `package.module:object` as plain functions; those of an
    installed toolkit in a module of its name; those of `NAME=ENTRY`, whatever the entry, in the module NAME.

    A toolkit comes before an importable module of the same name, which `NAME:*` names. Raises: UsageError.
    """
    modules: dict[str, list[Tool]] = {}
    seen: dict[str, str] = {}
    for entry in dict.fromkeys(entries):
        name, tools = _loaded(entry)
        for made in tools:
            known = f"{name}.{made.name}" if name else made.name
            if (other := seen.setdefault(known, entry)) != entry:
                raise UsageError(_both(known, other, entry))
        modules.setdefault(name, []).extend(tools)
    return tuple(made for name, tools in modules.items() for made in (within(name, tools) if name else tools))


def installed_toolkits() -> tuple[Toolkit, ...]:
    """Those that could be named. Nothing of them is loaded."""
    found = [Toolkit(point.name, _package(point), point.value) for point in entry_points(group=GROUP)]
    return tuple(sorted(dict.fromkeys(found), key=lambda one: (one.name, one.package)))


def _loaded(entry: str) -> tuple[str, tuple[Tool, ...]]:
    """The module, "" for none, and the tools as they were made."""
    name, what = split_entry(entry)
    if name:
        toolkit(name)  # Whether it can be one is said before anything is run.
    if is_file_name(what):
        return name, load_tools(Path(what).expanduser())
    if points := entry_points(group=GROUP, name=what):
        return name or _module_name(what), _of_entry_point(what, tuple(points))
    return name, load_module_tools(what)


def _of_entry_point(name: str, points: tuple[EntryPoint, ...]) -> tuple[Tool, ...]:
    point, *others = points
    if any(other.value != point.value for other in others):
        places = ", ".join(f"{name}={other.value} ({_package(other)})" for other in points)
        raise UsageError(f"toolkit {name!r} is there more than once; give the place instead: {places}")
    said = f"toolkit {name!r} ({_package(point)}, {point.value})"
    try:
        found: Any = point.load()
        return tools_in(found() if _makes_tools(found) else found)
    except ToolDefinitionError as problem:
        raise ToolDefinitionError(f"{said}: {problem}") from problem
    except (Exception, SystemExit) as problem:  # Whatever somebody's code raises when it is loaded.
        text = f"{type(problem).__name__}: {problem}".removesuffix(": ")
        raise UsageError(f"{said} cannot be loaded: {text}") from problem


def _makes_tools(found: object) -> bool:
    """Whether it is a plain function without parameters: such a one makes the tools when it is called."""
    return inspect.isfunction(found) and not inspect.signature(found).parameters


def _module_name(toolkit_name: str) -> str:
    """`acme-shop` is imported as `acme_shop`."""
    name = re.sub(r"\W", "_", toolkit_name)
    try:
        return toolkit(name).name
    except ToolDefinitionError as problem:
        raise UsageError(f"toolkit {toolkit_name!r}: {problem}; write --tools NAME={toolkit_name}") from None


def _package(point: EntryPoint) -> str:
    return "an unknown package" if point.dist is None else f"{point.dist.name} {point.dist.version}"


def _both(tool: str, first: str, second: str) -> str:
    _, what = split_entry(second)
    return (
        f"tools {first!r} and {second!r} both make {tool!r}; put one of them into a module of its own, as in "
        f"--tools NAME={what}: then it is called NAME.{tool.rpartition('.')[2]}"
    )
