"""Owns the tape as lines of a setup cell: a line a call, and a line of its own for each large value.

Arguments or results of more than 8 KiB stand once, zlib and base64, and are named by digest:
{"data":"sha256:…","bytes":9000,"preview":"…","zlib":"…"}, then "returns_data":"sha256:…"; an argument by its
place, "args_data":{"0":"sha256:…"}, and null stands there. So what one tool gives and another takes is one.
"""

from __future__ import annotations

import hashlib
import weakref
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from .entries import call_digest, call_from_json, call_to_json
from .frames import structure_of
from .lines import dump_line, load_line
from .messages import Json, ToolCall
from .setup_lines import count_field, expand, pack, quotable, text_field

LARGE_BYTES = 8 * 1024
MAX_DATA_BYTES = 64 * 1024 * 1024
"""Of one compressed value, expanded: as much as a tool can be given, or give."""
MAX_EXPANDED_BYTES = 1024 * 1024 * 1024
"""Of all compressed values of a setup cell together, however large it is."""
FREE_BYTES, BYTES_PER_CHAR = 256 * 1024 * 1024, 16
"""What they may expand to, and what more for each character they take in the cell: a large tape may expand
to a lot, a small one not."""
FREE_VALUES, VALUES_PER_CHAR = 2_000_000, 1
"""So many values they may hold (`frames.structure_of`), each of which takes some 30 to 100 bytes."""
_PREVIEW = 100
_Lines: TypeAlias = tuple[dict[str, str], str]
"""Of a call: the lines of its large values by digest, and its own."""
_LARGE_KEYS = ("args", "kwargs", "returns", "edited")


def tape_lines(calls: Sequence[ToolCall]) -> Iterator[str]:
    """Calls as lines, each large value once and before the first call that names it.

    Durations are left out: they would be noise between recordings.
    """
    written: set[str] = set()
    for call in calls:
        data, line = _KNOWN.get(call) or _lines(call)
        for digest, text in data.items():
            if digest not in written:
                written.add(digest)
                yield text
        yield line


def _lines(call: ToolCall) -> _Lines:
    entry = {**call_to_json(call, seconds=False), "digest": call_digest(call)}
    line = quotable(entry)
    if len(line) <= LARGE_BYTES:
        return {}, line
    lines = {digest: _data_line(digest, text) for digest, text in _taken_out(entry)}, quotable(entry)
    _KNOWN.put(call, lines)
    return lines


class _Known:
    """The lines of large calls, as long as the calls are there: a notebook is written again and again, and to
    pack ten megabytes takes a second."""

    def __init__(self) -> None:
        self._kept: dict[int, tuple[weakref.ref[ToolCall], _Lines]] = {}

    def get(self, call: ToolCall) -> _Lines | None:
        found = self._kept.get(id(call))
        return found[1] if found is not None and found[0]() is call else None

    def put(self, call: ToolCall, lines: _Lines) -> None:
        key = id(call)
        self._kept[key] = weakref.ref(call, lambda _: self._kept.pop(key, None)), lines


_KNOWN = _Known()


def _taken_out(entry: dict[str, Json]) -> Iterator[tuple[str, str]]:
    """Leaves digests in the place of an entry's large values; (digest, JSON text) of each."""
    for key in _LARGE_KEYS:
        value = entry.get(key)
        text = dump_line(value)
        if len(text) <= LARGE_BYTES:
            continue
        places = _places(value) if key != "returns" else {}
        texts = {place: part for place, item in places.items() if len(part := dump_line(item)) > LARGE_BYTES}
        digests: dict[str, Json] = {place: _named(part) for place, part in texts.items()}
        if digests:
            left: dict[str, Json] = {
                place: None if place in texts else item for place, item in places.items()
            }
            entry[key] = left if isinstance(value, Mapping) else [*left.values()]
            entry[f"{key}_data"] = digests
        else:
            del entry[key]
            entry[f"{key}_data"], texts = _named(text), {"": text}
        yield from ((_named(part), part) for part in texts.values())


def _places(value: Json) -> dict[str, Json]:
    if isinstance(value, Mapping):
        return dict(value)
    return {str(index): item for index, item in enumerate(value)} if isinstance(value, list | tuple) else {}


def _named(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode("ascii")).hexdigest()


def read_tape(lines: Sequence[str]) -> tuple[ToolCall, ...]:
    """The calls of `tape_lines`. Raises ValueError on malformed lines."""
    reader = TapeReader()
    for line in lines:
        reader.take(load_line(line))
    return tuple(reader.calls)


class TapeReader:
    """Puts large values back into the entries that name them; what it expands is bounded."""

    def __init__(self) -> None:
        self.calls: list[ToolCall] = []
        self._data: dict[str, Json] = {}
        self._bytes = self._values = self._chars = 0

    def take(self, entry: dict[str, Json]) -> None:
        """Raises ValueError for what is neither a call nor a large value."""
        if "data" in entry:
            self._take_data(entry)
            return
        entry.pop("seconds", None)  # None are written.
        for key in _LARGE_KEYS:
            data = entry.pop(f"{key}_data", None)
            if isinstance(data, dict):
                entry[key] = self._put_back(key, entry.get(key), data)
            elif data is not None:
                entry[key] = self._known(key, data)
        self.calls.append(call_from_json(entry))

    def _put_back(self, key: str, value: Json, digests: Mapping[str, Json]) -> Json:
        places = _places(value)
        for place, digest in digests.items():
            if place not in places:
                raise ValueError(f"{key} have no place {place!r:.100} for recorded data")
            places[place] = self._known(key, digest)
        return places if isinstance(value, dict) else [*places.values()]

    def _known(self, key: str, digest: Json) -> Json:
        if not isinstance(digest, str) or digest not in self._data:
            raise ValueError(f"no data line for {key} {digest!r:.100} stands before this call")
        return self._data[digest]

    def _take_data(self, entry: Mapping[str, Json]) -> None:
        self._chars += len(text_field(entry, "zlib"))
        most = min(FREE_BYTES + BYTES_PER_CHAR * self._chars, MAX_EXPANDED_BYTES)
        name, text = _value(entry, min(most - self._bytes, MAX_DATA_BYTES))
        self._bytes += len(text)
        self._values += structure_of(text)
        most = FREE_VALUES + VALUES_PER_CHAR * self._chars
        if self._values > most:
            raise ValueError(f"recorded values of {self._values:,} parts; at most {most:,} are taken here")
        self._data[name] = load_line(b'{"v":' + text + b"}")["v"]


def _data_line(digest: str, text: str) -> str:
    packed = pack(text.encode("ascii"))
    return quotable({"data": digest, "bytes": len(text), "preview": text[:_PREVIEW], "zlib": packed})


def _value(entry: Mapping[str, Json], limit: int) -> tuple[str, bytes]:
    digest, packed = text_field(entry, "data"), text_field(entry, "zlib")
    size = count_field(entry, "bytes")
    if size > limit:
        raise ValueError(f"a recorded value of {size} bytes; at most {limit} are taken here")
    if not digest.startswith("sha256:"):
        raise ValueError(f"a recorded value is named sha256:…, not {digest!r:.100}")
    name = f"the recorded value {digest!r:.100}"
    return digest, expand(packed, size, digest.removeprefix("sha256:"), name)
