"""Owns the tool channel inside the kernel: one inherited socket, many calls in flight.

No background thread reads it. A synchronous caller that waits reads for everybody until its own
answer is in (leader and followers); while coroutines wait, the event loop reads. That saves two
thread switches a call, which is most of what a call costs.
"""

from __future__ import annotations

import asyncio
import select
import socket
import threading
from collections.abc import Mapping
from typing import Protocol

from codeact_kernel.wire.frames import FrameReader, pack
from codeact_kernel.wire.messages import Json, Raised, Returned, ToolOutcome

MAX_FRAME = 256 * 1024 * 1024
"""Bytes of one answer. The host's own limits are lower; this only bounds a broken host."""
CHUNK = 1 << 18


class Caller(Protocol):
    """Answers tool calls: the channel to the host, or the tape of a notebook."""

    def call(self, tool: str, args: tuple[Json, ...], kwargs: Mapping[str, Json]) -> ToolOutcome: ...

    async def acall(self, tool: str, args: tuple[Json, ...], kwargs: Mapping[str, Json]) -> ToolOutcome: ...

    def refused(self, kind: str, name: str) -> None: ...


class _Pending:
    """One call in flight. `outcome` is set before anybody is told."""

    __slots__ = ("loop", "outcome", "waiter")

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.outcome: ToolOutcome | None = None
        self.loop = loop
        self.waiter: asyncio.Future[None] | None = None if loop is None else loop.create_future()


class Channel:
    """The kernel's end of the tool channel.

    `deferring` is true while a frame is being read or written: an interrupt that arrives then must
    wait for `after_io`, or the stream would lose its framing.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._reader = FrameReader(MAX_FRAME)
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)
        self._state = threading.Condition()
        self._sending = threading.Lock()
        self._reading = False
        self._pending: dict[int, _Pending] = {}
        self._async_waiting = 0
        self._next = 0
        self._main = threading.main_thread().ident
        self.deferring = False
        self.interrupted = False

    # --- calls ---

    def call(self, tool: str, args: tuple[Json, ...], kwargs: Mapping[str, Json]) -> ToolOutcome:
        """Sends a call and waits. Raises ConnectionError when the host is gone."""
        call_id, pending = self._register(None)
        try:
            self._send({"t": "call", "id": call_id, "tool": tool, "args": args, "kwargs": kwargs})
            while pending.outcome is None:
                self._wait_or_read(pending)
            return pending.outcome
        except BaseException:
            self._abandon(call_id)
            raise

    async def acall(self, tool: str, args: tuple[Json, ...], kwargs: Mapping[str, Json]) -> ToolOutcome:
        """Sends a call and awaits its answer; cancelling it tells the host."""
        loop = asyncio.get_running_loop()
        call_id, pending = self._register(loop)
        assert pending.waiter is not None
        try:
            self._send({"t": "call", "id": call_id, "tool": tool, "args": args, "kwargs": kwargs})
            self._watch(loop)
            await pending.waiter
            assert pending.outcome is not None
            return pending.outcome
        except BaseException:
            self._abandon(call_id)
            raise
        finally:
            self._unwatch(loop)

    def refused(self, kind: str, name: str) -> None:
        """Tells the host that the allow-lists refused something. Never raises."""
        try:
            self._send({"t": "refused", "kind": kind, "name": name})
        except OSError:
            pass  # The host is gone; the refusal itself still stands.

    # --- reading ---

    def _wait_or_read(self, pending: _Pending) -> None:
        with self._state:
            if pending.outcome is not None:
                return
            if self._reading:
                self._state.wait(1.0)
                return
            self._reading = True
        try:
            self._poll.poll()  # interruptible: nothing has been taken from the socket yet
            self._read_available()
        finally:
            with self._state:
                self._reading = False
                self._state.notify_all()

    def _on_readable(self) -> None:
        with self._state:
            if self._reading:
                return  # A thread is at it; it delivers to coroutines too.
            self._reading = True
        try:
            self._read_available()
        finally:
            with self._state:
                self._reading = False
                self._state.notify_all()

    def _read_available(self) -> None:
        self._begin_deferring()
        try:
            data = self._sock.recv(CHUNK, socket.MSG_DONTWAIT)
            if not data:
                raise ConnectionError("the agent's host has closed the tool channel")
            for message in self._reader.feed(data):
                self._deliver(message)
        except BlockingIOError:
            pass
        finally:
            self._end_deferring()

    def _deliver(self, message: Mapping[str, Json]) -> None:
        pending = self._pending.pop(int(str(message["id"])), None)
        if pending is None:
            return
        if message["t"] == "return":
            pending.outcome = Returned(message["value"])
        else:
            pending.outcome = Raised(str(message["type"]), str(message["message"]))
        if pending.loop is not None and pending.waiter is not None:
            pending.loop.call_soon_threadsafe(_wake, pending.waiter)

    # --- sending ---

    def _send(self, message: Mapping[str, Json]) -> None:
        frame = pack(message)
        with self._sending:
            self._begin_deferring()
            try:
                self._sock.sendall(frame)
            finally:
                self._end_deferring()

    def _begin_deferring(self) -> None:
        if threading.get_ident() == self._main:  # Signal handlers run there, and only there.
            self.deferring = True

    def _end_deferring(self) -> None:
        if threading.get_ident() == self._main:
            self.deferring = False
            if self.interrupted:
                self.interrupted = False
                raise KeyboardInterrupt

    # --- bookkeeping ---

    def _register(self, loop: asyncio.AbstractEventLoop | None) -> tuple[int, _Pending]:
        with self._state:
            self._next += 1
            pending = self._pending[self._next] = _Pending(loop)
            return self._next, pending

    def _abandon(self, call_id: int) -> None:
        if self._pending.pop(call_id, None) is None:
            return
        try:
            self._send({"t": "cancel", "id": call_id})
        except OSError:
            pass  # The host is gone; there is nobody to tell.

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        self._async_waiting += 1
        if self._async_waiting == 1:
            loop.add_reader(self._sock.fileno(), self._on_readable)

    def _unwatch(self, loop: asyncio.AbstractEventLoop) -> None:
        self._async_waiting -= 1
        if self._async_waiting == 0:
            loop.remove_reader(self._sock.fileno())


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
