"""Owns the last words of a server: what it wrote to stderr and logged, as much as helps."""

from __future__ import annotations

from .problems import MAX_WORDS, last
from .words import without

KEPT = 16 * 1024


class Tail:
    """The last 16 kB of a stream of text."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self.ended = ""
        """How the server did, once it is known: "exit code 1"."""
        self.secrets: tuple[str, ...] = ()

    def write(self, data: bytes) -> None:
        self._bytes += data[-KEPT:]
        if len(self._bytes) > 2 * KEPT:
            del self._bytes[:-KEPT]

    def note(self, line: str) -> None:
        """A line of its own, of somebody else: the protocol's log, a status of HTTP."""
        ended = not self._bytes or self._bytes.endswith(b"\n")
        self.write(("" if ended else "\n").encode() + line[-KEPT:].encode("utf-8", "replace") + b"\n")

    def words(self) -> str:
        """As part of a message: clean, bounded, without secrets; "" when there are none."""
        return last(self.masked(self._bytes.decode("utf-8", "replace")).strip(), MAX_WORDS)

    def masked(self, text: str) -> str:
        """`text` of the server without secrets. Before it is cut: of one that is cut a part would stay."""
        return without(text, self.secrets)
