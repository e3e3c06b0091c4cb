"""Owns how tests of MCP servers reach one: configurations of the servers beside, waiting for a condition."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from codeact_kernel.tools.mcp.callbacks import Callbacks
from codeact_kernel.tools.mcp.connection import Connection
from codeact_kernel.tools.mcp.server import ServerConfig, Stdio

SERVERS = Path(__file__).parent / "servers"
HOSTILE = Path(__file__).parents[2] / "mcp" / "hostile_server.py"
PATIENCE_S = 60.0


def plain(**more: Any) -> ServerConfig:
    return program(SERVERS / "plain.py", **more)


def raw(mode: str, mark: Path | None = None, **more: Any) -> ServerConfig:
    return program(SERVERS / "raw.py", mode, env={} if mark is None else {"MARK": str(mark)}, **more)


def hostile(mode: str, **more: Any) -> ServerConfig:
    return program(HOSTILE, mode, **more)


def program(path: Path, *args: str, env: dict[str, str] | None = None, **more: Any) -> ServerConfig:
    return ServerConfig(path.stem, path.stem, Stdio(sys.executable, (str(path), *args), env or {}), **more)


@asynccontextmanager
async def connected(config: ServerConfig, callbacks: Callbacks | None = None) -> AsyncIterator[Connection]:
    connection = Connection(config, callbacks)
    try:
        yield connection
    finally:
        await connection.aclose()


def within(
    config: ServerConfig, work: Callable[[Connection], Awaitable[Any]], callbacks: Callbacks | None = None
) -> Any:
    """What `work` returns, given a connection."""

    async def run() -> Any:
        async with connected(config, callbacks) as connection:
            return await asyncio.wait_for(work(connection), 2 * PATIENCE_S)

    return asyncio.run(run())


async def until(condition: Callable[[], Any]) -> Any:
    """What it gives, once that is true."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < deadline, "the condition did not come about"
        await asyncio.sleep(0.01)
    return found


def alive(pid: int) -> bool:
    """Whether it runs; who has ended and waits for a parent to hear of it does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def marked(mark: Path) -> list[int]:
    """The process ids that the server `raw.py` wrote, once they are there."""
    text = mark.read_text() if mark.exists() else ""
    return [int(word) for word in text.split()] if text.endswith("\n") else []


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))
