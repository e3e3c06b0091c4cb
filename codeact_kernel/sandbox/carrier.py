"""Owns the host's end of the tool channel: takes calls from the running cell, sends outcomes back.

A socket pair that the kernel inherits. Everything that arrives is untrusted: what is no well-formed
frame closes the channel, and calls outside a running cell are refused.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from typing import Literal, cast

from ..config import ToolLimits
from ..interfaces import CallHandler
from ..trajectory import Refusal
from ..wire.frames import FrameError, FrameReader, pack
from ..wire.messages import Json, Raised, Returned, ToolOutcome, ToolRequest

CHUNK = 1 << 18
REFUSAL_KINDS = ("import", "builtin", "magic", "attribute")
MAX_REFUSALS = 1000
"""Recorded per cell; a cell that loops over a refused import is told each time, but recorded so often."""


class Carrier:
    """One end of a socket pair, served on the running event loop."""

    def __init__(self, limits: ToolLimits) -> None:
        self._limits = limits
        self._sock, self.kernel_end = socket.socketpair()
        self._sock.setblocking(False)
        self._reader = FrameReader(limits.max_payload_bytes)
        self._handler: CallHandler | None = None
        self._refusals = 0
        self._calls: dict[int, asyncio.Task[None]] = {}
        self._unsent = bytearray()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._sock, self._on_readable)
        self.broken: str | None = None
        """Why the channel cannot be used any more."""

    def begin(self, handler: CallHandler) -> None:
        """Calls that arrive from now on are the running cell's."""
        self._handler, self._refusals = handler, 0

    async def end(self) -> None:
        """The cell is over: what it still waits for is cancelled, what comes later is refused."""
        self._on_readable()  # Refusals and cancellations that the cell sent last.
        self._handler = None
        await self.cancel_calls()

    async def cancel_calls(self) -> None:
        calls = list(self._calls.values())
        for task in calls:
            task.cancel()
        if calls:
            await asyncio.wait(calls)

    async def aclose(self) -> None:
        self._handler = None
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock)
            self._loop.remove_writer(self._sock)
        await self.cancel_calls()
        self._sock.close()
        self.kernel_end.close()

    # --- from the kernel ---

    def _on_readable(self) -> None:
        try:
            while data := self._sock.recv(CHUNK):
                for message in self._reader.feed(data):
                    self._on_message(message)
                if len(data) < CHUNK:
                    return
            self._break("the kernel closed it")
        except BlockingIOError:
            pass
        except OSError as problem:
            self._break(str(problem))
        except FrameError as problem:
            self._break(f"the kernel broke the protocol: {problem}")

    def _break(self, reason: str) -> None:
        self.broken = self.broken or reason
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock)

    def _on_message(self, message: Mapping[str, Json]) -> None:
        match message:
            case {
                "t": "call",
                "id": int(call_id),
                "tool": str(tool),
                "args": list(args),
                "kwargs": dict(kwargs),
            }:
                request = ToolRequest(call_id, tool, tuple(args), cast("dict[str, Json]", kwargs))
                self._on_call(request)
            case {"t": "cancel", "id": int(call_id)}:
                if call_id in self._calls:
                    self._calls[call_id].cancel()
            case {"t": "refused", "kind": str(kind), "name": str(name)} if kind in REFUSAL_KINDS:
                self._refusals += 1
                if self._handler is not None and self._refusals <= MAX_REFUSALS:
                    self._handler.refused(Refusal(cast("Literal['import']", kind), name[:200]))
            case _:
                raise FrameError(f"no message of ours: {str(message)[:200]!r}")

    def _on_call(self, request: ToolRequest) -> None:
        if self._handler is None:
            problem = "no cell is running; a tool cannot be called from a thread that outlives its cell"
            self._answer(request, Raised("RuntimeError", problem))
        elif request.call_id in self._calls:
            raise FrameError(f"call {request.call_id} is in flight already")
        elif len(self._calls) >= self._limits.max_concurrent:
            most = self._limits.max_concurrent
            problem = f"{request.tool}(): more than {most} calls at once; gather them in smaller batches"
            self._answer(request, Raised("RuntimeError", problem))
        else:
            self._calls[request.call_id] = self._loop.create_task(self._serve(request, self._handler))

    async def _serve(self, request: ToolRequest, handler: CallHandler) -> None:
        try:
            outcome = await handler.call(request)
            self._answer(request, outcome)
        finally:
            self._calls.pop(request.call_id, None)

    # --- to the kernel ---

    def _answer(self, request: ToolRequest, outcome: ToolOutcome) -> None:
        match outcome:
            case Returned(value):
                message: dict[str, Json] = {"t": "return", "id": request.call_id, "value": value}
            case Raised(kind, text):
                message = {"t": "raise", "id": request.call_id, "type": kind, "message": text}
        self._send(pack(message))

    def _send(self, frame: bytes) -> None:
        if self.broken is not None:
            return
        if not self._unsent:
            try:
                sent = self._sock.send(frame)
            except BlockingIOError:
                sent = 0
            except OSError as problem:
                self._break(str(problem))
                return
            frame = frame[sent:]
        if frame:
            self._unsent += frame
            self._loop.add_writer(self._sock, self._on_writable)

    def _on_writable(self) -> None:
        try:
            del self._unsent[: self._sock.send(self._unsent)]
        except BlockingIOError:
            return
        except OSError as problem:
            self._unsent.clear()
            self._break(str(problem))
        if not self._unsent:
            self._loop.remove_writer(self._sock)
