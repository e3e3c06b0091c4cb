"""Frames: cut anywhere, put together again; what breaks the protocol is a FrameError."""

from __future__ import annotations

import base64
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeact_kernel.wire.blob import LEAST, Blob, textual
from codeact_kernel.wire.frames import HEADER, MAX_PARTS, FrameError, FrameReader, called, pack, structure_of
from codeact_kernel.wire.lines import canonical, dump_line
from codeact_kernel.wire.weight import weight

messages = st.lists(
    st.dictionaries(st.text(), st.one_of(st.integers(-(2**63), 2**63), st.text(), st.lists(st.booleans()))),
    max_size=5,
)


@given(messages, st.data())
def test_a_stream_cut_anywhere_gives_the_same_messages(
    sent: list[dict[str, object]], data: st.DataObject
) -> None:
    stream = b"".join(pack(message) for message in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    reader = FrameReader(max_bytes=10**6)
    received = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        received.extend(reader.feed(stream[start:end]))
    assert received == sent


def test_a_lone_surrogate_survives() -> None:
    assert next(FrameReader(100).feed(pack({"a": "\ud800"}))) == {"a": "\ud800"}


def framed(body: bytes) -> bytes:
    return len(body).to_bytes(HEADER, "big") + body


def test_size_is_refused_before_the_body_arrives() -> None:
    reader = FrameReader(max_bytes=10)
    assert list(reader.feed(framed(json.dumps({"a": 12}).encode()))) == [{"a": 12}]
    with pytest.raises(FrameError, match="a frame of 11 bytes; at most 10"):
        list(reader.feed((11).to_bytes(HEADER, "big")))


@pytest.mark.parametrize(
    "body",
    [b"", b"[1]", b"{", b"\xff", b"5", b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", b"9" * 5000],
    ids=lambda body: ascii(body[:8]),
)
def test_what_is_no_json_object_is_a_frame_error(body: bytes) -> None:
    with pytest.raises(FrameError, match="not "):
        list(FrameReader(max_bytes=10**6).feed(framed(body)))


def test_frames_before_a_broken_one_are_given() -> None:
    frames = FrameReader(max_bytes=100).feed(pack({"a": 1}) + framed(b"nope"))
    assert next(frames) == {"a": 1}
    with pytest.raises(FrameError):
        next(frames)


def counted(value: object) -> int:
    """What `structure_of` counts, by walking over the value."""
    match value:
        case list():
            return 1 + max(len(value) - 1, 0) + sum(map(counted, value))
        case dict():
            return 1 + max(len(value) - 1, 0) + sum(map(counted, value.values()))
    return 0


strings = st.text(st.sampled_from('\\",[{a\u20ac\ud800')) | st.integers()
documents = st.recursive(
    strings,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('\\",[{a'), inner, max_size=4),
)


@given(documents, st.booleans())
def test_structure_is_counted_outside_strings(value: object, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    assert structure_of(text) == counted(value)
    assert structure_of(text.encode("utf-8", "surrogatepass")) == counted(value)


@pytest.mark.parametrize("piece", [b",", b'"', b"\\", b'"",', b'\\",', b'"[",'])
def test_structure_is_counted_quickly_whatever_the_text(piece: bytes) -> None:
    text = piece * (2**23 // len(piece))
    began = time.thread_time()
    structure_of(text)
    assert time.thread_time() - began < 1
    text = b'["' + b"\\\\" * 40_000 + b'\\",[' + b'",' + b'"a,",' * 70_000 + b"0]"  # longer than one stretch
    assert structure_of(text) == 1 + 1 + 70_000
    assert 3 < structure_of(text, enough=3) < structure_of(text)


def test_a_frame_of_many_parts_is_not_parsed() -> None:
    call = {"t": "call", "id": 7, "tool": "refund", "args": [[[]] * MAX_PARTS], "kwargs": {}}
    reader = FrameReader(max_parts=MAX_PARTS)
    frames = list(reader.feed(pack(call) + pack({"t": "cancel", "id": 7})))
    assert frames == [{"t": "crowded", "id": 7, "tool": "refund"}, {"t": "cancel", "id": 7}]
    with pytest.raises(FrameError, match="more than 1,000,000 parts"):
        list(reader.feed(pack({"t": "cancel", "id": [[]] * MAX_PARTS})))


def test_long_lists_of_numbers_and_long_texts_pass() -> None:
    sent = {"t": "call", "numbers": [0.5] * 500_000, "text": "1,2\n" * 2_000_000}
    assert list(FrameReader(max_parts=MAX_PARTS).feed(pack(sent))) == [sent]


def test_names_of_tools_are_cut() -> None:
    assert called("refund") == "refund()"
    assert called("x" * 1000) == "x" * 100 + "…()"


# --- long bytes ---

lengths = st.lists(st.integers(LEAST, LEAST + 50), max_size=3)


@given(lengths, st.data())
def test_long_bytes_travel_as_they_are_cut_anywhere(sizes: list[int], data: st.DataObject) -> None:
    blobs = [Blob(bytes([number]) * size) for number, size in enumerate(sizes)]
    sent = {"t": "call", "args": [{"$": "bytes", "b64": blob} for blob in blobs], "n": {"a": 1}}
    stream = pack(sent) + pack({"next": True})
    cut = data.draw(st.integers(0, len(stream)))
    reader = FrameReader(max_parts=1000)
    assert [*reader.feed(stream[:cut]), *reader.feed(stream[cut:])] == [sent, {"next": True}]


def test_the_record_of_long_bytes_is_their_base64() -> None:
    blob = Blob(memoryview(b"\xff" * LEAST))
    text = base64.b64encode(b"\xff" * LEAST).decode()
    value = {"$": "ndarray", "b64": blob, "list": [1, (blob, "a")]}
    same = {"$": "ndarray", "b64": text, "list": [1, (text, "a")]}
    assert textual(value) == same
    assert textual(same) is same
    assert dump_line(value) == dump_line(same)
    assert canonical(value) == canonical(same)
    assert weight(value) == weight(same)
    nested: object = blob
    for _ in range(2000):
        nested = [nested]
    assert len(dump_line(textual(nested))) < 1000  # cut there, not refused


def long(document: bytes, rest: bytes, size: int | None = None) -> bytes:
    length = len(document) if size is None else size
    return framed(b"\0" + length.to_bytes(HEADER, "big") + document + rest)


@pytest.mark.parametrize(
    "frame",
    [
        long(b'{"a":{"$":"blob","bytes":5000}}', b"x" * 4999),
        long(b'{"a":{"$":"blob","bytes":5000}}', b"x" * 5001),
        long(b'{"a":{"$":"blob","bytes":5000},"b":{"$":"blob","bytes":5000}}', b"x" * 9999),
        long(b'{"a":{"$":"blob","bytes":-1}}', b""),
        long(b'{"a":{"$":"blob","bytes":true}}', b"x"),
        long(b'{"a":{"$":"blob","bytes":12}}', b"x" * 12),
        long(b'{"a":{"$":"blob"}}', b""),
        long(b'{"$":"blob","bytes":5000}', b"x" * 5000),
        long(b"{}", b"", size=2**32 - 1),
        framed(b"\0"),
        framed(b"\0\0\0"),
        long(b'{"a":' + b"[" * 100_000, b""),
    ],
)
def test_long_bytes_that_do_not_fit_their_document_break_the_protocol(frame: bytes) -> None:
    with pytest.raises(FrameError):
        list(FrameReader(max_bytes=10**6).feed(frame))


def test_many_parts_beside_long_bytes_are_not_parsed() -> None:
    call = {"t": "call", "id": 7, "tool": "refund", "args": [[[]] * MAX_PARTS, Blob(b"x" * LEAST)]}
    assert list(FrameReader(max_parts=MAX_PARTS).feed(pack(call))) == [
        {"t": "crowded", "id": 7, "tool": "refund"}
    ]
