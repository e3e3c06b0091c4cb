"""Owns the last words of a server: what it wrote to stderr and logged, as much as helps."""

from __future__ import annotations

from .problems import MAX_WORDS, last

KEPT = 16 * 1024


class Tail:
    """The last 16 kB of a stream of text."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self.ended = ""
        """How the server did, once it is known: "exit code 1"."""

    def write(self, data: bytes) -> None:
        self._bytes += data[-KEPT:]
        if len(self._bytes) > 2 * KEPT:
            del self._bytes[:-KEPT]

    def note(self, line: str) -> None:
        """A line of its own, of somebody else: the protocol's log, a status of HTTP."""
        ended = not self._bytes or self._bytes.endswith(b"\n")
        self.write(("" if ended else "\n").encode() + line[-KEPT:].encode("utf-8", "replace") + b"\n")

    def words(self) -> str:
        """As part of a message: clean, bounded; "" when there are none."""
        return last(bytes(self._bytes[-KEPT:]).decode("utf-8", "replace").strip(), MAX_WORDS)
