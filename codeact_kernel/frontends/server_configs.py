"""Owns which MCP servers a user has named, and how they are listed."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from ..exceptions import UsageError
from ..tools.mcp.config import load_config, parse_config, together
from ..tools.mcp.server import ServerConfig
from ..wire.messages import ToolSpec
from . import brief

Mcp: TypeAlias = "str | Path | Mapping[str, Any] | ServerConfig | Iterable[Any]"
"""A file such as mcp.json, what such a file holds, one server, or several of all these."""
MISSING = "MCP servers need an extra that is not installed: pip install 'codeact_kernel[mcp]'"


def configs_of(mcp: Mcp | None) -> tuple[ServerConfig, ...]:
    """The servers that are named. Raises: UsageError."""
    configs = together(_configs(mcp)) if mcp is not None else ()
    if configs and importlib.util.find_spec("mcp") is None:
        raise UsageError(MISSING)
    return configs


def read_config(source: bytes, file: Path) -> tuple[ServerConfig, ...]:
    """The servers of a file whose content was read. Raises: UsageError."""
    try:
        document = json.loads(source.decode("utf-8-sig"))
    except (ValueError, RecursionError) as problem:
        raise UsageError(f"{str(file)!r} is not JSON: {problem}") from None
    return parse_config(document, source=str(file), folder=file.parent)


def _configs(mcp: Any) -> Iterator[ServerConfig]:
    match mcp:
        case ServerConfig():
            yield mcp
        case str() | Path():
            yield from load_config(mcp)
        case Mapping():
            yield from parse_config(mcp)
        case Iterable():
            for one in mcp:
                yield from _configs(one)
        case _:
            raise UsageError(
                f"mcp={mcp!r:.100}: give a file such as 'mcp.json', or what it holds, as a mapping"
            )


@dataclass(frozen=True)
class ServerState:
    """A server, for people. `tools`: how many it offers, None: not known yet; `calls`: that were made so far;
    `problem`: why it cannot be had; `functions`: the tools, where an agent was asked."""

    config: ServerConfig
    state: str
    tools: int | None = None
    calls: int = 0
    problem: str = ""
    functions: tuple[ToolSpec, ...] = ()


def waiting(config: ServerConfig) -> ServerState:
    """Of a server that nothing has needed yet."""
    return ServerState(config, "starts with the first task")


def listed(states: Iterable[ServerState]) -> str:
    """A line a server."""
    rows = [*states]
    width = max((len(row.config.module) for row in rows), default=0)
    return "\n".join(f"{row.config.module:<{width}}  {_said(row)}" for row in rows)


def _said(row: ServerState) -> str:
    tools = [] if row.tools is None else [brief.count(row.tools, "tool")]
    calls = [brief.count(row.calls, "call")] if row.calls else []
    where = f"{row.config.where} ({row.config.source})" if row.config.source else row.config.where
    return " · ".join([row.state, *tools, *calls, where, *filter(None, [row.problem])])


class Named:
    """The servers that a user names, one file after the other.

    Args:
        first: what is configured, read when it is needed.
    """

    def __init__(self, first: Callable[[], Iterable[Mcp]] = tuple) -> None:
        self._first = first
        self._configs: tuple[ServerConfig, ...] | None = None

    @property
    def configs(self) -> tuple[ServerConfig, ...]:
        """All so far. Raises: UsageError."""
        if self._configs is None:
            self._configs = configs_of(self._first())
        return self._configs

    def add(self, files: Iterable[Mcp]) -> None:
        """Raises: UsageError."""
        self._configs = self.plus(files)

    def plus(self, files: Iterable[Mcp]) -> tuple[ServerConfig, ...]:
        """All so far, and those of `files`; the same one twice is one. Raises: UsageError."""
        named = configs_of(files)
        return configs_of((*self.configs, *(one for one in named if one not in self.configs)))

    def states(self, made: Iterable[ServerState] = ()) -> tuple[ServerState, ...]:
        """Of all of them. `made`: what is known of those that an agent has."""
        known = {state.config.module: state for state in made}
        return tuple(known.get(config.module) or waiting(config) for config in self.configs)
