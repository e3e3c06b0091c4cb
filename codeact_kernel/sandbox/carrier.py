"""Owns the host's end of the tool channel: takes calls from the running cell, sends outcomes back.

A socket pair that the kernel inherits. Everything that arrives is untrusted: what is no well-formed
frame ends the channel for good, and calls outside a running cell are refused.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, cast, get_args

from ..config import ToolLimits
from ..interfaces import CallHandler, Later
from ..trajectory import Refusal, RefusalKind
from ..wire.frames import HEADER, MAX_FRAME, MAX_PARTS, FrameError, answer, called, too_large
from ..wire.messages import Json, Raised, Returned, ToolOutcome, ToolRequest
from .duplex import Duplex

EAGER = sys.version_info >= (3, 12)
REFUSAL_KINDS = get_args(RefusalKind)
MAX_REFUSALS = 1000
"""Recorded per cell; a cell that loops over a refused import is told each time, but recorded so often."""


class Carrier:
    """Our end of a socket pair, served on the running event loop.

    `on_trouble` is called when `broken` or `failure` has been set.
    """

    def __init__(self, limits: ToolLimits, on_trouble: Callable[[], None], sock: socket.socket) -> None:
        self._limits = limits
        self._max_payload = min(limits.max_payload_bytes, MAX_FRAME)
        self._on_trouble = on_trouble
        self._handler: CallHandler | None = None
        self._refusals = 0
        self._calls: dict[int, asyncio.Task[None]] = {}
        self._loop = asyncio.get_running_loop()
        self._socket = Duplex(sock, self._on_message, on_trouble)
        self.failure: Exception | None = None
        """What the handler of a call raised: the host failed, not the program."""

    @property
    def broken(self) -> str | None:
        """Why the channel cannot be used any more."""
        return self._socket.broken

    def begin(self, handler: CallHandler) -> None:
        """Calls that arrive from now on are the running cell's."""
        self._handler, self._refusals = handler, 0

    async def end(self) -> None:
        """The cell is over: what it still waits for is cancelled, what comes later is refused."""
        self._socket.drain()  # Refusals and cancellations that the cell sent last.
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
        await self.cancel_calls()
        self._socket.close()

    # --- from the kernel ---

    def _on_message(self, message: Mapping[str, Json]) -> None:
        kind, call_id = message.get("t"), message.get("id")
        if kind == "call" and type(call_id) is int:
            tool, args, kwargs = message.get("tool"), message.get("args"), message.get("kwargs")
            if type(tool) is str and type(args) is list and type(kwargs) is dict:
                self._on_call(ToolRequest(call_id, tool, tuple(args), kwargs))
                return
        self._on_other(message)

    def _on_other(self, message: Mapping[str, Json]) -> None:
        match message:
            case {"t": "cancel", "id": int(call_id)}:
                if call_id in self._calls:
                    self._calls[call_id].cancel()
            case {"t": "crowded", "id": int(call_id), "tool": str(tool)}:
                problem = (
                    f"{called(tool)}: the arguments have more than {MAX_PARTS:,} parts; send less, or an "
                    "array, a series or one text in place of a long list"
                )
                self._answer(ToolRequest(call_id, tool), Raised("ValueError", problem))
            case {"t": "refused", "kind": str(kind), "name": str(name)} if kind in REFUSAL_KINDS:
                self._refusals += 1
                if self._handler is not None and self._refusals <= MAX_REFUSALS:
                    self._handler.refused(Refusal(cast(RefusalKind, kind), name[:200]))
            case _:
                raise FrameError(f"no message of ours: {str(message)[:200]!r}")

    def _on_call(self, request: ToolRequest) -> None:
        if self._handler is None:
            problem = "no cell is running; a tool cannot be called from a thread that outlives its cell"
            self._answer(request, Raised("RuntimeError", problem))
        elif request.call_id in self._calls:
            raise FrameError(f"call {request.call_id} is in flight already")
        elif self._socket.size > self._max_payload:
            problem = (
                f"{called(request.tool)}: the arguments take {self._socket.size:,} bytes, and at most "
                f"{self._max_payload:,} are taken; send less, or in parts"
            )
            self._answer(request, Raised("ValueError", problem))
        elif len(self._calls) >= self._limits.max_concurrent:
            most = self._limits.max_concurrent
            problem = (
                f"{called(request.tool)}: more than {most} calls at once; gather them in smaller batches"
            )
            self._answer(request, Raised("RuntimeError", problem))
        else:
            self._begin(request, self._handler)

    def _begin(self, request: ToolRequest, handler: CallHandler) -> None:
        """Most calls are answered on the spot; a task, and a turn of the loop, take longer than they do."""
        try:
            found = handler.at_once(request)
        except Exception as problem:
            self._fail(problem)
            return
        if isinstance(found, Returned | Raised):
            self._answer(request, found)
            return
        task = start_task(self._serve(request, handler, found), self._loop)
        if not task.done():
            self._calls[request.call_id] = task
            if not EAGER:
                # A task that is cancelled before it begins never comes to its own `finally`.
                task.add_done_callback(lambda done: self._forget(request.call_id, done))

    async def _serve(self, request: ToolRequest, handler: CallHandler, begun: Later | None) -> None:
        try:
            self._answer(request, await (begun or handler.call(request)))
        except Exception as problem:
            self._fail(problem)
        finally:
            self._calls.pop(request.call_id, None)

    def _fail(self, problem: Exception) -> None:
        self.failure = self.failure or problem
        self._on_trouble()

    def _forget(self, call_id: int, task: asyncio.Task[None]) -> None:
        if self._calls.get(call_id) is task:
            del self._calls[call_id]

    # --- to the kernel ---

    def _answer(self, request: ToolRequest, outcome: ToolOutcome) -> None:
        frame = answer(request.call_id, outcome)
        size = len(frame) - HEADER
        if size > self._max_payload:
            frame = answer(request.call_id, too_large(request.tool, size, self._max_payload))
        self._socket.send(frame)


def start_task(coroutine: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop) -> asyncio.Task[None]:
    """A task that runs up to its first wait at once, where Python can do that (3.12): most tools never
    wait, and a turn of the event loop costs as much as such a call."""
    if sys.version_info >= (3, 12):  # Not `EAGER`, which mypy does not know.
        return asyncio.Task(coroutine, loop=loop, eager_start=True)
    return loop.create_task(coroutine)
