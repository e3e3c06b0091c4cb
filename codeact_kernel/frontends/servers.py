"""Owns the MCP servers of a run: which the user named, and their life, from its kernel's start to its end."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ..events import Event
from ..exceptions import UsageError
from ..sandbox.session import to_the_end
from ..tools.mcp.config import load_config, parse_config, together
from ..tools.mcp.questions import Elicit
from ..tools.mcp.server import ServerConfig
from ..tools.registry import Tool, ToolRegistry
from ..wire.messages import ToolCall, ToolModule
from . import brief

if TYPE_CHECKING:
    from ..tools.mcp.servers import McpServers

Mcp: TypeAlias = "str | Path | Mapping[str, Any] | ServerConfig | Iterable[Any]"
"""A file such as mcp.json, what such a file holds, one server, or several of all these."""
SLOW_S = 0.5
"""Seconds after which it is said that servers are being started."""
SHOWN = 10
ORDINARY = ("HOME", "LANG", "LOGNAME", "PATH", "PWD", "SHELL", "TERM", "TMPDIR", "USER")
"""Of the host's environment, what is no secret: a record without `/home/me` could not be read."""
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
    `problem`: why it cannot be had."""

    config: ServerConfig
    state: str
    tools: int | None = None
    calls: int = 0
    problem: str = ""


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


class Servers:
    """The servers of one run, on the portal. Without any, nothing of all this happens.

    Args:
        registry: gets their tools when they are opened, and what is added later.
    """

    def __init__(self, configs: Iterable[ServerConfig], registry: ToolRegistry) -> None:
        self.configs = tuple(configs)
        self._registry = registry
        self._servers: McpServers | None = None
        self.emit: Callable[[Event], None] = lambda event: None
        """Gets the progress of calls."""
        self.ask: Elicit | None = None
        """Asks the person what a server wants to know."""
        self.offered: Callable[[tuple[Tool, ...]], Iterable[Tool]] = lambda tools: tools
        """What the registry gets of tools, those that come later too."""
        registry.add((), (ToolModule(config.module, "mcp_servers") for config in self.configs))

    @property
    def secrets(self) -> Mapping[str, str]:
        """What must not be in any record, by the name that stands there instead."""
        ordinary = {os.environ.get(name) for name in ORDINARY}
        return {
            f"mcp_{config.module}_{number}": value
            for config in self.configs
            for number, value in enumerate(config.confidential, 1)
            if value not in ordinary
        }

    @property
    def missing(self) -> tuple[str, ...]:
        """Modules whose server cannot be had."""
        return () if self._servers is None else tuple(self._servers.failed)

    async def open(self, tell: Callable[[str], None]) -> None:
        """Starts those that have to be, before the kernel gets its tools. One that fails is told."""
        if not self.configs or self._servers is not None:
            return
        from ..tools.mcp.servers import McpServers

        self._servers = servers = McpServers(self.configs, ask=self.ask)
        servers.on_change = self._changed
        servers.on_progress = lambda event: self.emit(event)
        try:
            slow = asyncio.get_running_loop().call_later(SLOW_S, tell, self._starting)
            try:
                await servers.open(tell)
            finally:
                slow.cancel()
        except BaseException:  # Stopped meanwhile: the task may be given again.
            self._servers = None
            await to_the_end(servers.aclose())
            raise
        self._registry.describe(servers.modules())
        self._registry.add(self.offered(servers.tools()))

    @property
    def _starting(self) -> str:
        names = ", ".join(config.module for config in self.configs[:SHOWN])
        more = f" and {len(self.configs) - SHOWN} more" if len(self.configs) > SHOWN else ""
        return f"starting {brief.count(len(self.configs), 'MCP server')}: {names}{more}"

    async def look(self) -> None:
        """Asks all of them for what they offer now: it may be known from another day."""
        if self._servers is not None:
            await self._servers.look()

    def _changed(self, tools: tuple[Tool, ...], said: str) -> None:
        self._registry.add(self.offered(tools), news=said)

    def states(self, calls: Iterable[ToolCall]) -> tuple[ServerState, ...]:
        """What became of each. `calls`: of the run."""
        if self._servers is None:
            return tuple(map(waiting, self.configs))
        made = Counter(call.tool.partition(".")[0] for call in calls)
        offered = Counter(spec.module for spec in self._registry.specs() if not spec.function.startswith("_"))
        failed = self._servers.failed
        return tuple(
            ServerState(
                config,
                "cannot be had" if config.module in failed else "there",
                offered[config.module],
                made[config.module],
                failed.get(config.module, ""),
            )
            for config in self.configs
        )

    async def aclose(self) -> None:
        """Ends them all; also those that are being started."""
        if self._servers is not None:
            await self._servers.aclose()
