"""Owns the tool channel inside the kernel: one inherited socket, many calls in flight.

No background thread reads it. A synchronous caller that waits reads for everybody until its own
answer is in (leader and followers); while coroutines wait, the event loop reads. That saves two
thread switches a call, which is most of what a call costs.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Mapping
from itertools import count
from typing import Protocol, cast
from weakref import WeakKeyDictionary

from codeact_kernel.in_kernel.interrupts import Deferral
from codeact_kernel.wire.frames import HEADER, MAX_FRAME, FrameError, FrameReader, pack
from codeact_kernel.wire.messages import Json, Raised, Returned, ToolOutcome

CHUNK = 1 << 16
"""Bytes read at once. For more than 128 KiB the C library maps memory anew each time, which takes longer
than a whole call."""
LOOK_UP_S = 0.1
"""Seconds a waiting caller takes at most to notice an interrupt."""
CLOSED = Raised("ConnectionError", "the agent's host has closed the tool channel")


AT_ONCE = 200
"""Calls that the coroutines of one event loop wait for; further ones wait for their turn. The host refuses
what is beyond 256 of all (`ToolLimits.max_concurrent`)."""


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
    """The kernel's end of the tool channel. An interrupt waits while the main thread is in here, or the
    stream would lose its framing and a caller its turn."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._reader = FrameReader()
        # A blocking read gives up by itself: one system call, where a poll before it would be a second.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, int(LOOK_UP_S * 1e6)))
        self._state = threading.Condition()
        self._sending = threading.Lock()
        self._reading = False
        self._followers = 0
        self._pending: dict[int, _Pending] = {}
        self._watchers: dict[asyncio.AbstractEventLoop, int] = {}
        """Coroutines that wait, by the event loop that reads for them."""
        self._rooms: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()
        self._ids = count(1)
        self.interrupts = Deferral()

    # --- calls ---

    def call(self, tool: str, args: tuple[Json, ...], kwargs: Mapping[str, Json]) -> ToolOutcome:
        """Sends a call and waits. Raises ValueError when it is too large to send."""
        with self.interrupts:
            call_id, pending = next(self._ids), _Pending()
            self._pending[call_id] = pending
            try:
                self._send_call(call_id, tool, args, kwargs)
                while pending.outcome is None:
                    self._wait_or_read(pending)
                    self.interrupts.checkpoint()
                return pending.outcome
            except BaseException:
                self._abandon(call_id)
                raise

    async def acall(self, tool: str, args: tuple[Json, ...], kwargs: Mapping[str, Json]) -> ToolOutcome:
        """Sends a call, once there is room for it, and awaits its answer; cancelling it tells the host.
        Raises ValueError as `call`."""
        loop = asyncio.get_running_loop()
        room = self._rooms.get(loop) or self._rooms.setdefault(loop, asyncio.Semaphore(AT_ONCE))
        async with room:
            return await self._acall(loop, tool, args, kwargs)

    async def _acall(
        self,
        loop: asyncio.AbstractEventLoop,
        tool: str,
        args: tuple[Json, ...],
        kwargs: Mapping[str, Json],
    ) -> ToolOutcome:
        call_id, pending = next(self._ids), _Pending(loop)
        self._pending[call_id] = pending
        assert pending.waiter is not None
        self._watch(loop)
        try:
            with self.interrupts:
                self._send_call(call_id, tool, args, kwargs)
            await pending.waiter
            assert pending.outcome is not None
            return pending.outcome
        except BaseException:
            with self.interrupts:
                self._abandon(call_id)
            raise
        finally:
            self._unwatch(loop)

    def refused(self, kind: str, name: str) -> None:
        """Tells the host that the allow-lists refused something. Never raises."""
        with self.interrupts:
            try:
                self._send(pack({"t": "refused", "kind": kind, "name": name}))
            except OSError:
                pass  # The host is gone; the refusal itself still stands.

    # --- reading ---

    def _wait_or_read(self, pending: _Pending) -> None:
        with self._state:
            if pending.outcome is not None:
                return
            if self._reading:
                self._followers += 1
                try:
                    self._state.wait(LOOK_UP_S)
                finally:
                    self._followers -= 1
                return
            self._reading = True
        self._lead(0, None)

    def _on_readable(self, loop: asyncio.AbstractEventLoop) -> None:
        with self.interrupts:
            with self._state:
                if self._reading:
                    return  # A thread is at it; it delivers to coroutines too.
                self._reading = True
            self._lead(socket.MSG_DONTWAIT, loop)

    def _lead(self, flags: int, here: asyncio.AbstractEventLoop | None) -> None:
        """Reads once, for everybody. `here`: the event loop whose thread this is."""
        try:
            data = self._sock.recv(CHUNK, flags)
            for message in self._reader.feed(data):
                self._deliver(cast(int, message["id"]), _outcome(message), here)
            if not data:
                self._close()
        except BlockingIOError:
            pass
        except (OSError, FrameError):
            self._close()
        finally:
            with self._state:
                self._reading = False
                if self._followers:
                    self._state.notify_all()

    def _close(self) -> None:
        """Nothing will be answered any more: everybody who waits is told."""
        for loop in list(self._watchers):
            loop.call_soon_threadsafe(loop.remove_reader, self._sock.fileno())
        for call_id in list(self._pending):
            self._deliver(call_id, CLOSED)

    def _deliver(
        self, call_id: int, outcome: ToolOutcome, here: asyncio.AbstractEventLoop | None = None
    ) -> None:
        pending = self._pending.pop(call_id, None)
        if pending is None:
            return  # Nobody waits any more.
        pending.outcome = outcome
        if pending.loop is None or pending.waiter is None:
            return
        if pending.loop is here:
            _wake(pending.waiter)
        else:
            try:
                pending.loop.call_soon_threadsafe(_wake, pending.waiter)
            except RuntimeError:
                pass  # Its loop is closed, and with it whoever waited.

    # --- sending ---

    def _send_call(self, call_id: int, tool: str, args: tuple[Json, ...], kwargs: Mapping[str, Json]) -> None:
        frame = pack({"t": "call", "id": call_id, "tool": tool, "args": args, "kwargs": kwargs})
        if len(frame) - HEADER > MAX_FRAME:
            raise ValueError(
                f"{tool}(): the arguments take {len(frame) - HEADER:,} bytes, and one call can send "
                f"{MAX_FRAME:,}; send less, or in parts"
            )
        try:
            self._send(frame)
        except OSError:
            self._deliver(call_id, CLOSED)

    def _send(self, frame: bytes) -> None:
        with self._sending:
            self._sock.sendall(frame)

    # --- bookkeeping ---

    def _abandon(self, call_id: int) -> None:
        if self._pending.pop(call_id, None) is None:
            return
        try:
            self._send(pack({"t": "cancel", "id": call_id}))
        except OSError:
            pass  # The host is gone; there is nobody to tell.

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        self._watchers[loop] = self._watchers.get(loop, 0) + 1
        if self._watchers[loop] == 1:
            loop.add_reader(self._sock.fileno(), self._on_readable, loop)

    def _unwatch(self, loop: asyncio.AbstractEventLoop) -> None:
        self._watchers[loop] -= 1
        if self._watchers[loop] == 0:
            del self._watchers[loop]
            loop.remove_reader(self._sock.fileno())


def _outcome(message: Mapping[str, Json]) -> ToolOutcome:
    if message["t"] == "return":
        return Returned(message["value"])
    return Raised(str(message["type"]), str(message["message"]))


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
