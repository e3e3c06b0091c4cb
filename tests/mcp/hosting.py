"""Owns a host of MCP servers in a test: their tools in a registry, what is told, what is left of them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil

from codeact_kernel.events import ToolProgress
from codeact_kernel.tools.mcp.asking import Elicit
from codeact_kernel.tools.mcp.config import parse_config
from codeact_kernel.tools.mcp.servers import McpServers
from codeact_kernel.tools.registry import ToolRegistry
from codeact_kernel.wire.messages import Json, ToolOutcome, ToolRequest, ToolSpec
from codeact_kernel.wire.values import encode

DEADLINE_S = 60.0
MARK = "SERVERS_OF_THE_TEST"
"""In the environment of servers and of all that they start."""


@dataclass
class Host:
    """`told`: to the user; `news`: to the model."""

    servers: McpServers
    registry: ToolRegistry
    told: list[str]
    news: list[str] = field(default_factory=list)
    progress: list[ToolProgress] = field(default_factory=list)
    numbers: Any = field(default_factory=lambda: count(1))

    async def call(self, tool: str, *args: Json, **named: Json) -> ToolOutcome:
        encoded = {name: encode(value) for name, value in named.items()}
        return await self.registry.call(ToolRequest(next(self.numbers), tool, args, encoded))

    def specs(self, module: str) -> list[ToolSpec]:
        """Without our own."""
        found = [spec for spec in self.registry.specs() if spec.module == module]
        return [spec for spec in found if not spec.function.startswith("_")]


@asynccontextmanager
async def hosted(
    document: Mapping[str, Any], *, cache: Path | None = None, ask: Elicit | None = None
) -> AsyncIterator[Host]:
    """Opened, and closed however it ends."""
    servers, told = McpServers(parse_config(document), cache=cache, ask=ask), list[str]()
    try:
        await servers.open(told.append)
        host = Host(servers, ToolRegistry(servers.tools(), modules=servers.modules()), told)
        servers.on_progress = host.progress.append

        def changed(tools: Any, said: str) -> None:
            host.registry.add(tools)
            host.news.append(said)

        servers.on_change = changed
        yield host
    finally:
        await servers.aclose()


def new_mark() -> str:
    """What no path and no text has: the values of an environment are masked in records."""
    return f"mark-{uuid4().hex}"


def marked(document: Mapping[str, Any], mark: str) -> Mapping[str, Any]:
    """The same servers, which `left` knows again."""
    entries = document["mcpServers"]
    return {
        "mcpServers": {
            name: {**entry, "env": {**entry.get("env", {}), MARK: mark}} for name, entry in entries.items()
        }
    }


def below() -> list[tuple[psutil.Process, str]]:
    """The processes that this one has started, with their commands."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if process.status() != psutil.STATUS_ZOMBIE:
                found.append((process, " ".join(process.cmdline())))
        except psutil.Error:
            pass  # It has ended meanwhile.
    return found


def left(mark: str) -> list[psutil.Process]:
    """Processes of these servers that live."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            pass  # It has ended meanwhile, or is somebody else's.
    return found


def none_left(mark: str) -> bool:
    """After the end; a process that was killed may be seen for a moment."""
    deadline = time.monotonic() + DEADLINE_S
    while left(mark) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not left(mark)
