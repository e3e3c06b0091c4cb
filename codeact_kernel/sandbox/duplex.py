"""Owns the socket of the tool channel on the event loop: messages in, a few a turn, and frames out."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator

from ..wire.frames import MAX_FRAME, MAX_PARTS, FrameError, FrameReader
from ..wire.messages import Json

CHUNK = 1 << 16
"""Bytes read at once. For more than 128 KiB the C library maps memory anew each time, which takes longer
than a whole call."""
BREATH = 64
"""Messages taken before others on this event loop get a turn."""
DRAINED = 8
"""Reads, at most: more than the system keeps for a socket pair."""
MAX_UNSENT = 4 * MAX_FRAME
"""Bytes of frames that wait for a kernel which does not read them."""


class Duplex:
    """What arrives goes to `take`, which may raise FrameError. `on_break` is called once, when `broken` has
    been set: nothing goes in or out any more."""

    def __init__(
        self, sock: socket.socket, take: Callable[[dict[str, Json]], None], on_break: Callable[[], None]
    ) -> None:
        self._sock = sock
        self._take = take
        self._on_break = on_break
        self._sock.setblocking(False)
        self._reader = FrameReader(max_parts=MAX_PARTS)
        self._messages: Iterator[dict[str, Json]] = iter(())
        self._left = False
        """Some of these are not taken yet."""
        self._reads = 0
        self._unsent = bytearray()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._sock, self._on_readable)
        self.broken: str | None = None
        """Why the socket cannot be used any more."""

    @property
    def size(self) -> int:
        """Bytes of the message that was taken last."""
        return self._reader.size

    def drain(self) -> None:
        """Takes what has arrived; what a kernel that never pauses sends meanwhile has to wait."""
        last = self._reads + DRAINED
        while self._take_some() and self._reads < last:
            pass
        if self._left:
            self._loop.call_soon(self._go_on)

    def close(self) -> None:
        """May be called twice."""
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock)
            self._loop.remove_writer(self._sock)
        self._sock.close()

    def send(self, frame: bytes) -> None:
        """What the kernel does not take at once waits for it."""
        if self.broken is not None or self._sock.fileno() < 0:
            return
        sent = 0
        if not self._unsent:
            try:
                sent = self._sock.send(frame)
            except BlockingIOError:
                pass
            except OSError as problem:
                self._break(str(problem))
                return
        if sent < len(frame):
            self._unsent += memoryview(frame)[sent:]
            self._loop.add_writer(self._sock, self._on_writable)
        if len(self._unsent) > MAX_UNSENT:
            self._break(f"the kernel left {len(self._unsent):,} bytes of answers unread")

    def _on_writable(self) -> None:
        try:
            del self._unsent[: self._sock.send(self._unsent)]
        except BlockingIOError:
            return
        except OSError as problem:
            self._break(str(problem))
            return
        if not self._unsent:
            self._loop.remove_writer(self._sock)

    def _on_readable(self) -> None:
        if not self._left:
            self._go_on()

    def _go_on(self) -> None:
        self._take_some()
        if self._left:
            self._loop.call_soon(self._go_on)

    def _take_some(self) -> bool:
        """Takes messages, as many as others on this loop can wait for; whether there may be more."""
        if self.broken is not None or self._sock.fileno() < 0:
            self._left = False
            return False
        try:
            more = self._left or self._read()
            for _ in range(BREATH):
                message = next(self._messages, None)
                self._left = message is not None
                if message is None or self.broken is not None:
                    return more
                self._take(message)
            return True
        except BlockingIOError:
            pass
        except OSError as problem:
            self._break(str(problem))
        except FrameError as problem:
            self._break(f"the kernel broke the protocol: {problem}")
        return False

    def _read(self) -> bool:
        """Whether there may be more."""
        data = self._sock.recv(CHUNK)
        self._reads += 1
        if not data:
            self._break("the kernel closed it")
        self._messages = self._reader.feed(data)
        return len(data) == CHUNK

    def _break(self, reason: str) -> None:
        if self.broken is not None:
            return
        self.broken = reason
        self._unsent.clear()
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        try:
            self._sock.shutdown(socket.SHUT_RDWR)  # Whoever waits inside for an answer is told.
        except OSError:
            pass  # The other end is gone already.
        self._on_break()
