"""Frames: cut anywhere, put together again; what breaks the protocol is a FrameError."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeact_kernel.wire.frames import HEADER, FrameError, FrameReader, pack

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
