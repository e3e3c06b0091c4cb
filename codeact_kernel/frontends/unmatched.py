"""Owns what a user has said of tools of servers that there are not: a misspelt "deny" denies nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase

from ..exceptions import UsageError
from ..tools.mcp.server import ServerConfig
from ..tools.tool import Tool
from .approval_modes import Modes, is_pattern

MAX_TOLD = 10
SHOWN = 20


@dataclass(frozen=True)
class Unmatched:
    """`said` matches no tool of `module`. `where`: it stands there; `grave`: it was to keep a tool, that was
    called by its name, from being called."""

    said: str
    module: str
    where: str
    grave: bool
    there: tuple[str, ...]

    @property
    def text(self) -> str:
        kind = "matches no tool" if is_pattern(self.said) else "is no tool"
        # Without the module, which is the same of all of them and would make any two alike.
        own = self.said.removeprefix(f"{self.module}.")
        names = {name.removeprefix(f"{self.module}."): name for name in self.there}
        near = [names[name] for name in get_close_matches(own, names, 1)]
        known = ", ".join(self.there[:SHOWN]) + ", …" * (len(self.there) > SHOWN)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {known or 'none'}"
        return f"{self.where}: {self.said!r:.200} {kind} of {self.module} now; {hint}"


def unmatched(
    modes: Modes | None, configs: Iterable[ServerConfig], tools: Iterable[Tool], modules: Iterable[str]
) -> tuple[Unmatched, ...]:
    """What is said of tools of `modules` that is said of none.

    Args:
        modes: what was said for the run; None: nothing.
        configs: what the file of a server says.
        modules: those whose lists are known.
    """
    listed, known = [tool for tool in tools if tool.spec.module], frozenset(modules)
    by_module = {config.module: config for config in configs}
    found = [*_of_run(modes, listed, known, by_module)] if modes is not None else []
    for config in by_module.values():
        if config.module in known:
            found += _of_config(config, listed)
    return tuple(found)


def refuse_grave(found: Iterable[Unmatched]) -> None:
    """Raises: UsageError, before anything has run that was to be denied."""
    for one in found:
        if one.grave:
            later = one.said + "*"
            raise UsageError(f"{one.text} For one that may come later, give a pattern: {later!r:.200}")


def tell_all(found: Iterable[Unmatched], tell: Callable[[str], None]) -> None:
    """Some of them, to the user."""
    texts = [one.text for one in found]
    for text in texts[:MAX_TOLD]:
        tell(text)
    if (more := len(texts) - MAX_TOLD) > 0:
        tell(f"and {more} more rules that match no tool")


def _of_run(
    modes: Modes, tools: list[Tool], known: frozenset[str], configs: Mapping[str, ServerConfig]
) -> Iterator[Unmatched]:
    for name, lenient in modes.unmatched(tools):
        module, _, own = name.partition(".")
        if module not in known or name == module:
            continue
        left_out, wanted = _offered(own, configs.get(module), _loosely)
        if not left_out:
            there = tuple(tool.name for tool in tools if tool.spec.module == module and not tool.hidden)
            grave = not lenient and wanted and not is_pattern(name)
            yield Unmatched(name, module, "approve", grave, there)


def _of_config(config: ServerConfig, tools: list[Tool]) -> Iterator[Unmatched]:
    mine = [tool.spec for tool in tools if tool.spec.module == config.module and not tool.hidden]
    there = tuple(spec.schema.tool for spec in mine if spec.schema is not None)
    place = f"{config.source or 'MCP'}: server {config.name!r:.100}: 'codeact'"
    for key, names in (("approve", config.approve), ("tools", config.tools), ("reads", config.reads)):
        for name in names:
            left_out, wanted = _offered(name, config)
            if name != "*" and not left_out and not any(fnmatchcase(tool, name) for tool in there):
                denies = key == "approve" and config.approve[name] != "allow" and not is_pattern(name)
                yield Unmatched(name, config.module, f"{place}: {key!r}", denies and wanted, there)


def _offered(
    name: str, config: ServerConfig | None, matches: Callable[[str, str], bool] = fnmatchcase
) -> tuple[bool, bool]:
    """Whether the file leaves a tool of that name out, and whether it takes it in: what is not offered may
    well be there, and cannot be called."""
    if config is None:
        return False, True
    left_out = any(matches(name, pattern) for pattern in config.exclude)
    return left_out, not config.include or any(matches(name, pattern) for pattern in config.include)


def _loosely(function: str, pattern: str) -> bool:
    """Whether the tool of a function may match: the file has the names of the server, as `read-file`."""
    return fnmatchcase(function, pattern) or fnmatchcase(function, re.sub(r"[^\w*?\[\]]+", "_", pattern))
