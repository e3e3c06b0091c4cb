"""Owns the wire below Jupyter's messages as the host reads it: ZMTP 3.0 on a unix socket, and bounded.

Not libzmq: that bounds a part of a message and the number of whole messages, but not the parts of one. A
peer that never ends its message fills the memory of the host, at a gigabyte a second (measured). Here a
message is bounded as a whole, and nothing is read while nobody waits. The kernel's end is libzmq.
Source: https://rfc.zeromq.org/spec/23/
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence

MORE, LONG, COMMAND = 1, 2, 4
SIGNATURE = b"\xff" + bytes(8) + b"\x7f"
GREETING = SIGNATURE + bytes([3, 0]) + b"NULL".ljust(20, b"\0") + bytes(32)
CHUNK = 1 << 18
MAX_PARTS = 1000
"""Of a message; Jupyter's have seven and their buffers."""
MAX_COMMANDS = 100
"""Of a connection; there is one, and pings that nobody asked for."""


class ProtocolError(Exception):
    """What arrived is no ZMTP, or beyond the bounds. The connection is of no more use."""


class Connection:
    """One end of a connection to a socket of the kernel's.

    Args:
        path: of the listening socket.
        kind: "DEALER" or "SUB"; the latter subscribes to everything.
        identity: of a DEALER.
        max_bytes: of one message, all its parts together.

    Raises OSError when nobody listens.
    """

    def __init__(self, path: str, kind: str, identity: bytes, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.connect(path)
        except BaseException:
            self._socket.close()
            raise
        self._socket.setblocking(False)
        self._received = bytearray()
        self._parts: list[bytes] = []
        self._size = self._commands = 0
        self._greeted = self._ready = False
        self._unsent = bytearray(GREETING + _command(b"READY", {"Socket-Type": kind, "Identity": identity}))
        self._waiting = bytearray(_frame(b"\1", 0) if kind == "SUB" else b"")
        """For the peer to be ready."""
        self.ended = False
        """The peer has closed it; what had arrived can still be received."""
        self.flush()

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def send(self, parts: Sequence[bytes]) -> None:
        """Sends a message, or the beginning of it, the rest when `flush` is called again."""
        target = self._unsent if self._ready else self._waiting
        for part in parts[:-1]:
            target += _frame(part, MORE)
        target += _frame(parts[-1], 0)
        self.flush()

    @property
    def unsent(self) -> int:
        """Bytes that wait for the peer to read."""
        return len(self._unsent) + len(self._waiting)

    def flush(self) -> bool:
        """Sends what can be sent now; True when nothing is left."""
        try:
            while self._unsent:
                del self._unsent[: self._socket.send(self._unsent)]
        except BlockingIOError:
            return False
        except OSError:
            self._unsent.clear()
            self.ended = True
        return True

    def receive(self) -> list[bytes] | None:
        """The parts of the next message; None when none is complete yet.

        Raises ProtocolError.
        """
        while True:
            while self._take():
                if self._parts and not self._open:
                    message, self._parts, self._size = self._parts, [], 0
                    return message
            if self.ended or not self._read():
                return None

    # --- bytes to parts ---

    _open = False
    """Whether the last part has said that more follow."""

    def _read(self) -> bool:
        try:
            data = self._socket.recv(CHUNK)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        self.ended = not data
        self._received += data
        return bool(data)

    def _take(self) -> bool:
        """Takes one frame, or the greeting, out of what was received; False when none is complete."""
        if not self._greeted:
            return self._take_greeting()
        if len(self._received) < 2:
            return False
        flags = self._received[0]
        if flags > MORE | LONG | COMMAND or (flags & COMMAND and flags & MORE):
            raise ProtocolError(f"a frame with the flags {flags:#x}")
        start = 9 if flags & LONG else 2
        if len(self._received) < start:
            return False
        size = struct.unpack_from(">Q", self._received, 1)[0] if flags & LONG else self._received[1]
        self._check(flags, size)
        if len(self._received) < start + size:
            return False
        body = bytes(memoryview(self._received)[start : start + size])
        del self._received[: start + size]
        if flags & COMMAND:
            self._on_command(body)
        else:
            self._size += size
            self._open = bool(flags & MORE)
            self._parts.append(body)
        return True

    def _take_greeting(self) -> bool:
        if len(self._received) < len(GREETING):
            return False
        if self._received[0] != 0xFF or self._received[9] != 0x7F or self._received[10] < 3:
            raise ProtocolError("no greeting")
        del self._received[: len(GREETING)]
        self._greeted = True
        return True

    def _check(self, flags: int, size: int) -> None:
        if self._size + size > self._max_bytes:
            raise ProtocolError(f"a message of more than {self._max_bytes:,} bytes")
        if len(self._parts) >= MAX_PARTS:
            raise ProtocolError(f"a message of more than {MAX_PARTS} parts")
        if not self._ready and not flags & COMMAND:
            raise ProtocolError("a message before it was ready")

    def _on_command(self, body: bytes) -> None:
        self._commands += 1
        if self._commands > MAX_COMMANDS:
            raise ProtocolError("too many commands")
        if body.startswith(b"\5READY") and not self._ready:
            self._ready = True
            self._unsent += self._waiting
            self._waiting.clear()
            self.flush()
        elif body.startswith(b"\5ERROR"):
            raise ProtocolError(f"it refused the connection: {body[6:200]!r}")


def _frame(body: bytes, flags: int) -> bytes:
    if len(body) > 255:
        return struct.pack(">BQ", flags | LONG, len(body)) + body
    return bytes([flags, len(body)]) + body


def _command(name: bytes, properties: dict[str, str | bytes]) -> bytes:
    body = bytes([len(name)]) + name
    for key, value in properties.items():
        data = value.encode() if isinstance(value, str) else value
        body += bytes([len(key)]) + key.encode() + struct.pack(">I", len(data)) + data
    return _frame(body, COMMAND)
