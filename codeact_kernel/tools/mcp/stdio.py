"""Owns messages over the standard streams of a server: one JSON a line, bounded, in both directions."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.client._transport import TransportStreams
from mcp.shared.message import SessionMessage
from mcp_types import PARSE_ERROR, ErrorData, JSONRPCError, jsonrpc_message_adapter

from .process import CHUNK, ServerProcess
from .server import Stdio
from .tail import Tail

MAX_MESSAGE = 64 * 1024 * 1024
MAX_SKIPPED = 4 * MAX_MESSAGE
"""Of a longer one so much is read over, in the hope of its end."""
ENDS = 300
MAX_REMARKS = 20
_HEAD = re.compile(rb'\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"id"\s*:\s*(\d{1,18})\s*,')
_END = re.compile(rb'"id"\s*:\s*(\d{1,18})\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*\Z')

Received = SessionMessage | Exception


class _Lines:
    """Lines from chunks. Of one that is too long the ends are kept, where the id of its request may be."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._skipped = 0
        self._head = b""

    def feed(self, data: bytes) -> list[bytes | TooLong]:
        """The lines that have ended. Raises OverflowError: one that does not end."""
        found: list[bytes | TooLong] = []
        *ended, rest = data.split(b"\n")
        for part in ended:
            self._add(part)
            found.append(self._taken())
        self._add(rest)
        return found

    def _add(self, part: bytes) -> None:
        self._line += part
        if not self._head and len(self._line) <= MAX_MESSAGE:
            return
        self._head = self._head or bytes(self._line[:ENDS])
        self._skipped += max(0, len(self._line) - ENDS)
        self._line = self._line[-ENDS:]
        if self._skipped > MAX_SKIPPED:
            raise OverflowError

    def _taken(self) -> bytes | TooLong:
        line = TooLong(self._head, bytes(self._line)) if self._head else bytes(self._line)
        self._line, self._head, self._skipped = bytearray(), b"", 0
        return line


class TooLong:
    """A message that is not kept."""

    def __init__(self, head: bytes, end: bytes) -> None:
        found = _HEAD.match(head) or _END.search(end)
        self.request = int(found[1]) if found else None


@asynccontextmanager
async def stdio(launch: Stdio, tail: Tail, ended: anyio.Event) -> AsyncIterator[TransportStreams]:
    """A transport of the SDK. `ended` is set when the server says no more. Raises: Unavailable."""
    process = await ServerProcess.start(launch, tail)
    into, incoming = anyio.create_memory_object_stream[Received](0)
    outgoing, out = anyio.create_memory_object_stream[SessionMessage](0)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_read, process, into, tail, ended)
            tasks.start_soon(_write, process, out)
            try:
                yield incoming, outgoing
            finally:
                incoming.close()  # What comes now is read and forgotten, so that the server can end.
                outgoing.close()
                with anyio.CancelScope(shield=True):
                    await process.stop()
                tasks.cancel_scope.cancel()
    finally:
        if how := process.how_it_ended():
            tail.ended = how
        for stream in (into, incoming, outgoing, out):
            stream.close()


async def _read(
    process: ServerProcess, into: MemoryObjectSendStream[Received], tail: Tail, ended: anyio.Event
) -> None:
    lines = _Lines()
    try:
        with into:
            while data := await process.stdout.read(CHUNK):
                for line in lines.feed(data):
                    if line and (message := _parsed(line, tail)) is not None:
                        await into.send(message)
                await anyio.lowlevel.checkpoint()  # A server that never stops is one among others.
    except OverflowError:
        tail.note(f"[a message of over {MAX_SKIPPED} bytes, without an end; it was stopped]")
    except (anyio.BrokenResourceError, anyio.ClosedResourceError, ConnectionError):
        pass
    finally:
        ended.set()
    with anyio.CancelScope(shield=True):
        while await process.stdout.read(CHUNK):
            pass


def _parsed(line: bytes | TooLong, tail: Tail) -> Received | None:
    if isinstance(line, TooLong):
        text = f"a message of over {MAX_MESSAGE} bytes is not taken"
        tail.note(f"[{text}]")
        if line.request is None:
            return None
        error = ErrorData(code=PARSE_ERROR, message=text)
        return SessionMessage(JSONRPCError(jsonrpc="2.0", id=line.request, error=error))
    try:
        return SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False))
    except ValueError:
        # A banner, a print for debugging: no message, and no reason to give the server up.
        if line.strip():
            tail.note(f"[on stdout, no message] {line[:200].decode('utf-8', 'replace')}")
        return None


async def _write(process: ServerProcess, out: MemoryObjectReceiveStream[SessionMessage]) -> None:
    try:
        with out:
            async for item in out:
                text = item.message.model_dump_json(by_alias=True, exclude_unset=True)
                process.stdin.write(text.encode() + b"\n")
                await process.stdin.drain()
    except (anyio.ClosedResourceError, ConnectionError, RuntimeError):
        pass  # It has ended; its stdout says so.
