"""Owns the MCP servers of a run, as whoever runs it sees them: modules, tools, what they change and tell."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic

from ...events import ToolProgress
from ...wire.messages import ToolModule, ToolSpec
from ..tool import Tool
from .asking import Asking
from .catalogue import CatalogueCache
from .extras import extras
from .questions import Elicit
from .remote import RemoteTool
from .running import PROBLEMS, Running
from .server import ServerConfig

PROGRESS_S = 0.05
"""Seconds between two words of progress, of all servers."""


class McpServers:
    """The servers of a run, on one event loop.

    Args:
        cache: folder of what servers offered when they were last seen; None: the user's.
        ask: asks the person what a server wants to know; None: there never is anybody.
    """

    def __init__(
        self, servers: Sequence[ServerConfig], *, cache: Path | None = None, ask: Elicit | None = None
    ) -> None:
        kept = CatalogueCache(cache)
        self.on_change: Callable[[tuple[Tool, ...], str], None] = lambda tools, said: None
        """Told of tools that are to be had from now on, and the sentence for the model."""
        self.on_progress: Callable[[ToolProgress], None] = lambda event: None
        self._tell: Callable[[str], None] = lambda text: None
        self._last = 0.0
        self._servers = [
            Running(config, Asking(config.module, ask, self.tell), self, kept) for config in servers
        ]
        self._extras = tuple(tool for server in self._servers for tool in extras(server))

    async def open(self, tell: Callable[[str], None]) -> None:
        """Gets the tools of all, at once. A server that fails is told; the run goes on without it."""
        self._tell = tell
        await asyncio.gather(*(server.open() for server in self._servers))
        for server in self._servers:
            if server.config.sampling != "decline":
                tell(f"server {server.config.module}: sampling is declined whatever its configuration says")
            if server.problem:
                tell(f"{server.problem}; the run goes on without its tools")

    async def look(self, modules: Container[str] | None = None) -> tuple[ToolSpec, ...]:
        """What each offers now, for which it is asked; of one that cannot say it stays what is known.
        `modules`: only these are asked."""

        async def one(server: Running) -> None:
            with suppress(*PROBLEMS):
                await server.be_current()

        asked = [server for server in self._servers if modules is None or server.config.module in modules]
        await asyncio.gather(*map(one, asked))
        return tuple(tool.current for server in self._servers for tool in server.offers.tools)

    def modules(self) -> tuple[ToolModule, ...]:
        return tuple(server.module for server in self._servers)

    def tools(self) -> tuple[Tool, ...]:
        """Those of all servers, and those that the kernel calls by itself (`Tool.hidden`)."""
        return (*(tool for server in self._servers for tool in server.offers.tools), *self._extras)

    @property
    def failed(self) -> Mapping[str, str]:
        """Modules that cannot be had, and why."""
        return {server.config.module: server.problem for server in self._servers if server.problem}

    @property
    def calls(self) -> Mapping[str, int]:
        """How often each server was called, by module."""
        return {server.config.module: server.allowed.calls for server in self._servers}

    async def aclose(self) -> None:
        """Ends them all. May be called twice."""
        await asyncio.gather(*(server.aclose() for server in self._servers))

    # --- what a server tells (`running.Around`) ---------------------------------------------------

    def tell(self, text: str) -> None:
        self._tell(text)

    def changed(self, tools: tuple[RemoteTool, ...], said: str) -> None:
        self.on_change(tools, said)

    def progress(self, event: ToolProgress) -> None:
        """Some twenty a second are passed on, and the end of each."""
        now = monotonic()
        if now - self._last >= PROGRESS_S or event.done == event.total:
            self._last = now
            self.on_progress(event)
