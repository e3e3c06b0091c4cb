"""Owns the frames of the tool channel: 4 bytes of length, big-endian, then one JSON document; or a zero byte,
4 bytes of its length, the document, and the long bytes in it one after the other, each of which is
{"$": "blob", "bytes": 10000} there, in that order.

Sandbox to host:
    {"t": "call", "id": 7, "tool": "refund", "args": […], "kwargs": {…}}     answered once
    {"t": "cancel", "id": 7}                                                 nobody waits any more
    {"t": "refused", "kind": "import", "name": "os"}                         not answered
Host to sandbox:
    {"t": "return", "id": 7, "value": …}
    {"t": "raise", "id": 7, "type": "ValueError", "message": "…"}
Values are encoded by `wire.values`. The reader trusts nothing: size is checked before a byte of the
body is kept, structure before it is parsed, and what is no JSON object is a FrameError.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from .blob import LEAST, Blob, Bytes
from .compact import compact
from .messages import Json, Raised, Returned, ToolOutcome


class _HasBlobs(Exception):
    """The message takes the longer way."""


def _no_blob(value: object) -> Json:
    if isinstance(value, Blob):
        raise _HasBlobs
    raise TypeError(f"not JSON: {type(value).__name__}")


HEADER = 4
MAX_FRAME = 64 * 1024 * 1024
"""Bytes of the body of one frame, both ways. Honest ends check before they send; the host's own
limit on payloads (`ToolLimits.max_payload_bytes`) is this or less."""
_encode = compact(default=_no_blob)
_BLOB = "blob"
_PREFIX = b"\0"
MAX_PARTS = 1_000_000
"""`structure_of` one frame from the kernel: parsing so many takes tenths of a second and 100 MB. Arrays
and frames of numbers travel as bytes, and long texts have no parts."""
_MAX_DIGITS = 100
_MAX_CALLED = 100
"""Characters of the name of a tool in a text."""
_LISTED = 40
"""Names of tools in a text."""
_CALL = re.compile(rb'\{"t":"call","id":(\d{1,18}),"tool":"([\w.]{1,200})"', re.ASCII)
FINAL_ANSWER = "final_answer"
"""The one tool every run has: its call carries the answer."""
TOO_MANY = "(max_calls)"
"""In what is said of a call that was one too many: its arguments are not to blame."""
_FLESH = bytes(set(range(256)) - set(b'"[{,'))
_BONES_AT_ONCE = 1 << 16


def _int(text: str) -> int:
    # Longer ones are encoded by `wire.values`; reading and converting these costs the square of their length.
    if len(text) > _MAX_DIGITS:
        raise ValueError(f"a number of {len(text)} digits")
    return int(text)


_decode = json.JSONDecoder(parse_int=_int).raw_decode  # Kept: making one costs more than a small frame.


class FrameError(ValueError):
    """The peer broke the protocol; the channel cannot be used any more."""


class _Blobs:
    """Puts the bytes behind a document back into it, while it is parsed."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self.taken = 0

    def __call__(self, found: dict[str, Json]) -> object:
        if found.get("$") != _BLOB:
            return found
        size, start = found.get("bytes"), self.taken
        if type(size) is not int or not LEAST <= size <= len(self._data) - start:
            raise FrameError(f"no bytes for {str(found)[:100]}")
        self.taken += size
        return Blob(self._data[start : self.taken])

    @property
    def rest(self) -> int:
        return len(self._data) - self.taken


def pack(message: Mapping[str, Json]) -> bytes:
    """One frame. Lone surrogates survive as JSON escapes."""
    try:
        body = _encode(message).encode("ascii")
    except _HasBlobs:
        return _packed(message)
    return len(body).to_bytes(HEADER, "big") + body


def _packed(message: Mapping[str, Json]) -> bytes:
    blobs: list[Bytes] = []

    def outside(value: object) -> Json:
        if not isinstance(value, Blob):
            raise TypeError(f"not JSON: {type(value).__name__}")
        blobs.append(value.data)
        return {"$": _BLOB, "bytes": len(value.data)}

    text = compact(default=outside)(message).encode("ascii")
    size = len(_PREFIX) + HEADER + len(text) + sum(map(len, blobs))
    parts = (size.to_bytes(HEADER, "big"), _PREFIX, len(text).to_bytes(HEADER, "big"), text, *blobs)
    return b"".join(parts)


def answer(call_id: int, outcome: ToolOutcome) -> bytes:
    """The frame that answers a call."""
    match outcome:
        case Returned(value):
            return pack({"t": "return", "id": call_id, "value": value})
        case Raised(kind, message):
            return pack({"t": "raise", "id": call_id, "type": kind, "message": message})


def too_large(tool: str, size: int, most: int) -> Raised:
    """What a call gets in place of a result of `size` bytes, when `most` can be sent."""
    return Raised(
        "ValueError",
        f"{called(tool)}: the result takes {size:,} bytes, and at most {most:,} can be sent; ask for less, "
        "or in parts",
    )


def called(tool: str) -> str:
    """How texts name a call: ``refund()``; a name may be a whole frame long, and is cut."""
    return f"{tool}()" if len(tool) <= _MAX_CALLED else f"{tool[:_MAX_CALLED]}…()"


def is_ours(tool: str) -> bool:
    """Whether it is what the kernel asks of a module beside its tools: `filesystem._updates`."""
    module, _, function = tool.rpartition(".")
    return bool(module) and function.startswith("_")


def unknown(tool: str, names: Sequence[str]) -> Raised:
    """What a call gets of a tool that there is not. A run that goes on knows modules of its earlier steps."""
    module, dot, _ = tool[:_MAX_CALLED].partition(".")
    if dot and not any(name.startswith(f"{module}.") for name in names):
        return Raised(
            "ToolUnavailable",
            f"{tool[:_MAX_CALLED]}(): {module} is not there now; who runs this can give it again, with --mcp "
            "FILE for a server, --tools for a toolkit",
            "no",
        )
    more = f" and {len(names) - _LISTED:,} more" if len(names) > _LISTED else ""
    there = ", ".join(names[:_LISTED]) + more or "none"
    return Raised("NameError", f"no tool is called {tool[:_MAX_CALLED]!r}; there are: {there}", "no")


def structure_of(data: bytes | bytearray | str, enough: int | None = None) -> int:
    """How many ``[``, ``{`` and ``,`` JSON text has outside its strings: each is about one object.

    For a look before parsing: 9 MB of ``[],`` become a quarter of a gigabyte. What is no JSON is counted
    in full up to the place where a parser stops. Takes some nanoseconds per byte, whatever the text; a
    third of that where `enough` is given: counting stops soon after that number.
    """
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    if b"\\" in raw:
        raw = raw.replace(rb"\\", b"").replace(rb"\"", b"")
    bones = raw.translate(None, _FLESH).replace(b'""', b"")  # two quotes change nothing for what is around
    count, inside = 0, 0
    for start in range(0, len(bones), _BONES_AT_ONCE):
        parts = bones[start : start + _BONES_AT_ONCE].split(b'"')
        count += sum(map(len, parts[inside::2]))
        if enough is not None and count > enough:
            break
        inside ^= (len(parts) - 1) & 1
    return count


class FrameReader:
    """Cuts a byte stream into frames.

    Args:
        max_bytes: of one frame's body; a larger one raises FrameError before it is read.
        max_parts: its `structure_of`, None for a peer that is trusted. A call that has more is not
            parsed and comes as ``{"t": "crowded", "id": 7, "tool": "refund"}``; any other frame
            raises FrameError.
    """

    def __init__(self, max_bytes: int = MAX_FRAME, max_parts: int | None = None) -> None:
        self._max = max_bytes
        self._max_parts = max_parts
        self._buffer = bytearray()
        self.size = 0
        """Bytes of the body of the frame that was yielded last."""

    def feed(self, data: bytes) -> Iterator[dict[str, Json]]:
        """The frames that `data` completes, in order. Raises FrameError."""
        buffer: bytes | bytearray = data
        if self._buffer:  # Most often there is nothing, and `data` is one frame.
            self._buffer += data
            buffer = self._buffer
        start, there = 0, len(buffer)
        try:
            while there - start >= HEADER:
                body_at = start + HEADER
                size = int.from_bytes(buffer[start:body_at], "big")
                if size > self._max:
                    raise FrameError(f"a frame of {size} bytes; at most {self._max} are taken")
                if there - body_at < size:
                    break
                start, self.size = body_at + size, size
                yield self._message(buffer[body_at:start])
        finally:
            if buffer is self._buffer:
                del self._buffer[:start]
            elif start < there:
                self._buffer += buffer[start:]

    def _message(self, body: bytes | bytearray) -> dict[str, Json]:
        most, text, blobs = self._max_parts, body, None
        if body[: len(_PREFIX)] == _PREFIX:
            text, blobs = _apart(body)
        if most is None or len(text) <= most or structure_of(text, most) <= most:
            return _parse(text) if blobs is None else _filled(text, blobs)
        call = _CALL.match(text)
        if call is None:
            raise FrameError(f"a frame of more than {most:,} parts")
        return {"t": "crowded", "id": int(call[1]), "tool": call[2].decode("ascii")}


def _apart(body: bytes | bytearray) -> tuple[bytes | bytearray, _Blobs]:
    """The document, and what stands behind it."""
    start = len(_PREFIX) + HEADER
    end = start + int.from_bytes(body[len(_PREFIX) : start], "big")
    if end > len(body):
        raise FrameError(f"a document that ends at byte {end} of {len(body)}")
    return body[start:end], _Blobs(memoryview(body)[end:])


def _filled(body: bytes | bytearray, blobs: _Blobs) -> dict[str, Json]:
    message = _parse(body, json.JSONDecoder(object_hook=blobs, parse_int=_int).raw_decode)
    if blobs.rest:
        raise FrameError(f"{blobs.rest} bytes that belong to nothing")
    return message


def _parse(body: bytes | bytearray, decode: Callable[[str], tuple[Any, int]] = _decode) -> dict[str, Json]:
    try:
        text = body.decode("utf-8")
        message, end = decode(text)
    except (ValueError, RecursionError) as problem:
        raise FrameError(f"not JSON: {problem}") from None
    if end != len(text):
        raise FrameError("not JSON: there is more behind it")
    if not isinstance(message, dict):
        raise FrameError(f"not a JSON object: {type(message).__name__}")
    return message
