"""Owns lines of a server as messages of the protocol. What is none, but answers, becomes an error."""

from __future__ import annotations

import json
import re
from typing import TypeAlias

from mcp.shared.message import SessionMessage
from mcp_types import PARSE_ERROR, ErrorData, JSONRPCError, jsonrpc_message_adapter

from ...wire.messages import Json
from .tail import Tail

Received: TypeAlias = SessionMessage | Exception
MAX_MESSAGE = 64 * 1024 * 1024
MAX_VALUES = 2_000_000
"""In one message: `[],` is three bytes there, and sixty here."""
LONG = 1024 * 1024
"""Of a longer message the values are made first: pydantic's own reader takes five times the memory."""
MAX_SKIPPED = 4 * MAX_MESSAGE
"""Of a longer message so much is read over, in the hope of its end."""
MAX_DEPTH = 150
ENDS = 300
_HEAD = re.compile(rb'\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"id"\s*:\s*(\d{1,18})\s*,')
_END = re.compile(rb'"id"\s*:\s*(\d{1,18})\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*\Z')
STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_LONELY = re.compile("[\ud800-\udfff]")


class TooLong:
    """A message that is not kept: only its ends, where the id of its request may be."""

    def __init__(self, head: bytes, end: bytes) -> None:
        self.head, self.end = head, end


class Lines:
    """Lines from chunks, of bounded length."""

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
        del self._line[:-ENDS]
        if self._skipped > MAX_SKIPPED:
            raise OverflowError

    def _taken(self) -> bytes | TooLong:
        line = TooLong(self._head, bytes(self._line)) if self._head else bytes(self._line)
        self._line, self._head, self._skipped = bytearray(), b"", 0
        return line


def parsed(line: bytes | TooLong, tail: Tail) -> Received | None:
    """None: it is no message, and nobody waits for it. It is in `tail` then."""
    if isinstance(line, TooLong):
        return _refused(f"a message of over {MAX_MESSAGE} bytes is not taken", line.head, line.end, tail)
    if not line.lstrip().startswith(b"{"):
        if line.strip():  # A banner, a print for debugging: no reason to give the server up.
            tail.note(f"[on stdout] {line[:ENDS].decode('utf-8', 'replace').strip()}")
        return None
    if is_heavy(line):
        return _refused(
            f"a message of over {MAX_VALUES} values is not taken", line[:ENDS], line[-ENDS:], tail
        )
    try:
        if len(line) <= LONG:
            return SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False))
    except ValueError:
        pass  # Perhaps for something that can be mended.
    try:
        return SessionMessage(jsonrpc_message_adapter.validate_python(_mended(line), by_name=False))
    except (ValueError, RecursionError):
        return _refused("an answer that is no message of the protocol", line[:ENDS], line[-ENDS:], tail)


def is_heavy(text: bytes | bytearray) -> bool:
    """Whether JSON has more values than anybody wants here."""
    if len(text) <= MAX_VALUES or marks(text) <= MAX_VALUES:
        return False
    return marks(STRING.sub(b"", text)) > MAX_VALUES


def marks(text: bytes | bytearray) -> int:
    """What each value but one has before it."""
    return text.count(b",") + text.count(b"[") + text.count(b"{")


def _refused(problem: str, head: bytes, end: bytes, tail: Tail) -> Received | None:
    """An error for the request that it would have answered, so that nobody waits for it."""
    tail.note(f"[{problem}] {head.decode('utf-8', 'replace').strip()}")
    found = _HEAD.match(head) or _END.search(end)
    if found is None:
        return None
    error = ErrorData(code=PARSE_ERROR, message=problem)
    return SessionMessage(JSONRPCError(jsonrpc="2.0", id=int(found[1]), error=error))


def _mended(line: bytes) -> Json:
    """With U+FFFD for what is no text: bytes, halves of pairs. Raises: ValueError, RecursionError."""
    return _clean(json.loads(line.decode("utf-8", "replace")), MAX_DEPTH)


def _clean(value: Json, depth: int) -> Json:
    if not depth:
        raise ValueError("too deep")
    if isinstance(value, str):
        return _LONELY.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, list):
        return [_clean(item, depth - 1) for item in value]
    if isinstance(value, dict):
        return {str(_clean(key, depth)): _clean(item, depth - 1) for key, item in value.items()}
    return value
