"""Owns MCP over the standard streams of the process, such that a signal ends it too.

The SDK reads stdin in a thread that nothing can stop, so that its server hangs after SIGTERM until the next
line comes. It takes other streams: these read and write on the event loop.
"""

from __future__ import annotations

import asyncio
import os
import stat
from typing import Any, BinaryIO

MAX_LINE = 32 * 1024 * 1024
"""Bytes of one message."""
DRAIN_S = 5.0
"""Seconds that the client gets to read the last answers."""


class Lines:
    """What the client sends, line by line; ends with its end of the pipe."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader

    def __aiter__(self) -> Lines:
        return self

    async def __anext__(self) -> str:
        try:
            line = await self._reader.readline()
        except ValueError:
            return "a line that is too long"  # No JSON: the SDK says so to the client.
        if not line:
            raise StopAsyncIteration
        return line.decode("utf-8", "replace")


class Wire:
    """Where answers go."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    async def write(self, text: str) -> None:
        self._writer.write(text.encode("utf-8", "replace"))

    async def flush(self) -> None:
        await self._writer.drain()

    async def aclose(self) -> None:
        self._writer.close()
        try:
            async with asyncio.timeout(DRAIN_S):
                await self._writer.wait_closed()
        except (OSError, TimeoutError):
            pass  # The client is gone, or reads no more.


class Paper:
    """Where answers go when that is a plain file: nothing has to be waited for."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    async def write(self, text: str) -> None:
        self._file.write(text.encode("utf-8", "replace"))

    async def flush(self) -> None:
        """It is not buffered."""

    async def aclose(self) -> None:
        self._file.close()


async def opened(stdin: BinaryIO, stdout: BinaryIO) -> tuple[Lines, Wire | Paper]:
    """The two streams; the files are closed with them. Plain files are taken too; such a `stdin` is read at
    once."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=MAX_LINE)
    if _can_be_waited_for(stdin):
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), stdin)
    else:
        with stdin:
            reader.feed_data(stdin.read(MAX_LINE))
        reader.feed_eof()
    if stat.S_ISREG(os.fstat(stdout.fileno()).st_mode):
        return Lines(reader), Paper(stdout)
    protocol = asyncio.StreamReaderProtocol(asyncio.StreamReader())
    transport, _ = await loop.connect_write_pipe(lambda: protocol, stdout)
    return Lines(reader), Wire(asyncio.StreamWriter(transport, protocol, None, loop))


async def serve_stdio(server: Any, stdin: BinaryIO, stdout: BinaryIO) -> None:
    """Serves the one client until its end of the pipe. `server`: the SDK's, as `Server`."""
    from mcp.server.stdio import stdio_server

    lines, wire = await opened(stdin, stdout)
    # Typed as anyio's files; it iterates over the one, and writes to and flushes the other.
    files: Any = (lines, wire)
    try:
        async with stdio_server(*files) as (read, write):
            await server.run(read, write, server.create_initialization_options())
    finally:
        await wire.aclose()


def _can_be_waited_for(file: BinaryIO) -> bool:
    mode = os.fstat(file.fileno()).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(file.fileno())
