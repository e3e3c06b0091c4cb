"""Owns the MCP servers of a run: their life, from its kernel's start to its end."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from ..events import Event
from ..sandbox.session import to_the_end
from ..tools.mcp.questions import Elicit
from ..tools.mcp.server import ServerConfig
from ..tools.registry import Tool, ToolRegistry
from ..wire.messages import ToolCall, ToolModule, ToolSpec
from . import brief
from .approval_modes import Modes
from .server_configs import ServerState, waiting
from .unmatched import refuse_grave, tell_all, unmatched

if TYPE_CHECKING:
    from ..tools.mcp.servers import McpServers

SLOW_S = 0.5
"""Seconds after which it is said that servers are being started."""
SHOWN = 10
ORDINARY = ("HOME", "LANG", "LOGNAME", "PATH", "PWD", "SHELL", "TERM", "TMPDIR", "USER")
"""Of the host's environment, what is no secret: a record without `/home/me` could not be read."""


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
        self.modes: Modes | None = None
        """What is said of their calls, which is to be said of tools that there are."""
        self._tell: Callable[[str], None] = lambda text: None
        self._unheard: set[str] = set()
        """Modules whose tools are not known yet."""
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
        """Starts those that have to be, before the kernel gets its tools. One that fails is told.

        Raises: UsageError for a tool that is named to be denied or asked about, and that there is not.
        """
        if not self.configs or self._servers is not None:
            return
        self._tell = tell
        from ..tools.mcp.servers import McpServers

        self._servers = servers = McpServers(self.configs, ask=self.ask)
        servers.on_progress = lambda event: self.emit(event)
        try:
            slow = asyncio.get_running_loop().call_later(SLOW_S, tell, self._starting)
            try:
                await servers.open(tell)
            finally:
                slow.cancel()
            await self._check(servers, tell)
            self._registry.describe(servers.modules())
            self._registry.add(self.offered(servers.tools()))
        except BaseException:  # Stopped meanwhile: the task may be given again.
            self._servers = None
            await to_the_end(servers.aclose())
            raise
        # Only now: what one of them has changed while others started is among `servers.tools()`.
        servers.on_change = self._changed

    async def _check(self, servers: McpServers, tell: Callable[[str], None]) -> None:
        """Whether what the user says of tools is said of any. Raises: UsageError."""
        self._unheard = {*servers.failed}
        known = {config.module for config in self.configs} - self._unheard
        found = unmatched(self.modes, self.configs, servers.tools(), known)
        if grave := {one.module for one in found if one.grave}:
            await servers.look(grave)  # What is known may be from another day.
            found = unmatched(self.modes, self.configs, servers.tools(), known)
            refuse_grave(found)
        tell_all(found, tell)

    @property
    def _starting(self) -> str:
        names = ", ".join(config.module for config in self.configs[:SHOWN])
        more = f" and {len(self.configs) - SHOWN} more" if len(self.configs) > SHOWN else ""
        return f"starting {brief.count(len(self.configs), 'MCP server')}: {names}{more}"

    async def look(self) -> tuple[ToolSpec, ...]:
        """What they offer now, for which they are asked: it may be known from another day."""
        return () if self._servers is None else await self._servers.look()

    def _changed(self, tools: tuple[Tool, ...], said: str) -> None:
        self._registry.add(self.offered(tools), news=said)
        heard = {tool.spec.module for tool in tools} & self._unheard
        self._unheard -= heard
        tell_all(unmatched(self.modes, self.configs, tools, heard), self._tell)

    def states(self, calls: Iterable[ToolCall]) -> tuple[ServerState, ...]:
        """What became of each; on any thread. `calls`: of the run."""
        if self._servers is None:
            return tuple(map(waiting, self.configs))
        made = Counter(call.tool.partition(".")[0] for call in calls)
        names = tuple(self._registry.tools)  # At once: the portal may add some meanwhile.
        offered = Counter(name.partition(".")[0] for name in names if "._" not in name)
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
