"""Owns messages over the standard streams of a server: one JSON a line, bounded, in both directions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.client._transport import TransportStreams
from mcp.shared.message import SessionMessage

from .messages import MAX_SKIPPED, Lines, Received, parsed
from .process import CHUNK, ServerProcess
from .server import Stdio
from .tail import Tail

NOISE, NOISE_S = 100, 0.01
"""After so many lines that are no messages so long is slept: the loop is others' too."""
DRAIN_S = 0.01
"""Between two chunks that nobody wants any more."""


@asynccontextmanager
async def stdio(launch: Stdio, tail: Tail, ended: anyio.Event) -> AsyncIterator[TransportStreams]:
    """A transport of the SDK. `ended` is set when the server says no more. Raises: Unavailable."""
    process = await _started(launch, tail, ended)
    into, incoming = anyio.create_memory_object_stream[Received](0)
    outgoing, out = anyio.create_memory_object_stream[SessionMessage](0)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_read, process, into, tail, ended)
            tasks.start_soon(_write, process, out, ended)
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


async def _started(launch: Stdio, tail: Tail, ended: anyio.Event) -> ServerProcess:
    """Cancelled or not, what has been started is stopped. Raises: Unavailable."""
    starting = asyncio.ensure_future(ServerProcess.start(launch, tail, ended))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        if not starting.cancelled():
            await (await starting).stop()
        raise


async def _read(
    process: ServerProcess, into: MemoryObjectSendStream[Received], tail: Tail, ended: anyio.Event
) -> None:
    lines, noise = Lines(), count(1)
    try:
        with into:
            while data := await process.stdout.read(CHUNK):
                for line in lines.feed(data):
                    if (message := parsed(line, tail)) is not None:
                        await into.send(message)
                    elif next(noise) % NOISE == 0:
                        await anyio.sleep(NOISE_S)
    except OverflowError:
        tail.note(f"[a message of over {MAX_SKIPPED} bytes, without an end; it was stopped]")
    except (anyio.BrokenResourceError, anyio.ClosedResourceError, ConnectionError):
        pass
    finally:
        ended.set()
    with anyio.CancelScope(shield=True):
        while True:
            await anyio.sleep(DRAIN_S)
            if not await process.stdout.read(CHUNK):
                break


async def _write(
    process: ServerProcess, out: MemoryObjectReceiveStream[SessionMessage], ended: anyio.Event
) -> None:
    try:
        with out:
            async for item in out:
                text = item.message.model_dump_json(by_alias=True, exclude_unset=True)
                process.stdin.write(text.encode() + b"\n")
                await process.stdin.drain()
    except ConnectionError:
        ended.set()  # It hears nothing any more, whatever it still says.
    except (anyio.ClosedResourceError, RuntimeError):
        pass  # It has ended; its stdout says so.
