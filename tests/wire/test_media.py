"""What MCP servers return, on the wire: there and back, as arguments, and from a hostile kernel."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from codeact_kernel.tools.plain import MAX_ITEMS, TooLong, check_arrays, jsonable, plain
from codeact_kernel.wire.blob import textual
from codeact_kernel.wire.frames import FrameReader, answer
from codeact_kernel.wire.media import (
    Contents,
    EmbeddedResource,
    Media,
    ResourceLink,
    Structured,
    media_type_of,
)
from codeact_kernel.wire.messages import Returned
from codeact_kernel.wire.pictures import Picture
from codeact_kernel.wire.values import DecodeError, Record, decode, encode

PNG = Picture(b"\x89PNG\r\n\x1a\n...")
LONG = Media(bytes(100_000), "audio/wav")
VALUES = [
    Media(b"RIFF", "audio/wav"),
    LONG,
    ResourceLink("shop", "shop://1", "one", "One", "The first", "text/plain", 2**70),
    ResourceLink("shop", "shop://{id}", template=True),
    EmbeddedResource("shop://2", "text/plain", "two \ud800"),
    EmbeddedResource("shop://3", data=bytes(100_000)),
    Contents(["before", PNG, LONG, 3]),
    Structured({"a": {"$": 1}, "b": [1]}, ["a remark", PNG]),
    {"in": [Contents([Structured({}, [PNG])])]},
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_results_arrive_as_they_were(value: Any) -> None:
    encoded = encode(value, fallback=True)
    found = decode(json.loads(json.dumps(encoded)))
    assert found == value
    assert type(found) is type(value)
    assert getattr(found, "beside", None) == getattr(value, "beside", None)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_long_bytes_cross_a_frame_beside_the_document(value: Any) -> None:
    outcome = Returned(encode(value, fallback=True, blobs=True))
    (message,) = FrameReader().feed(answer(7, outcome))
    assert decode(message["value"]) == value
    assert decode(json.loads(json.dumps(textual(outcome.value)))) == value, "on the tape they are text"


def test_as_arguments_lists_and_dicts_are_plain() -> None:
    assert encode(Contents([1, "x"])) == [1, "x"]
    assert encode(Structured({"a": 1}, [PNG])) == {"a": 1}


@pytest.mark.parametrize(
    "data",
    [
        {"$": "media", "type": "text/html\n<script>", "b64": ""},
        {"$": "media", "type": "audio/wav", "b64": "*"},
        {"$": "media", "type": "audio/wav"},
        {"$": "link", "texts": ["a", "b"], "size": None, "template": False},
        {"$": "link", "texts": ["a"] * 5 + [1], "size": None, "template": False},
        {"$": "link", "texts": ["a"] * 6, "size": "x", "template": False},
        {"$": "link", "texts": ["a"] * 6, "size": None, "template": 1},
        {"$": "resource", "texts": ["a", "b", None], "b64": ""},
        {"$": "contents", "items": {}},
        {"$": "structured", "value": [], "beside": []},
        {"$": "structured", "value": {}, "beside": None},
    ],
)
def test_what_is_none_of_them_is_refused(data: Any) -> None:
    with pytest.raises(DecodeError):
        decode(data)


def test_arrays_cannot_hide_in_them() -> None:
    numpy = pytest.importorskip("numpy")
    array = numpy.zeros(MAX_ITEMS + 1, dtype="int8")
    for value in (Contents([array]), Structured({"a": array})):
        with pytest.raises(TooLong):
            check_arrays(value)
        with pytest.raises(TooLong):
            plain(value)


def test_their_parts_are_made_plain_too() -> None:
    value = Structured({"a": Record("R", {"x": (1, 2)})})
    assert jsonable(value) == {"a": {"x": [1, 2]}}
    assert jsonable(Contents([Record("R", {"x": 1})])) == [{"x": 1}]


def test_they_can_be_copied_and_looked_at() -> None:
    value = Structured({"a": 1}, ["x", LONG])
    twin = copy.deepcopy(value)
    assert (twin, twin.beside) == (value, value.beside)
    assert repr(LONG) == "<media: audio/wav, 100,000 bytes; .save(path) writes them>"
    assert repr(EmbeddedResource("a:1", "", "x" * 9)) == "<resource a:1: no type, 9 characters of text>"
    assert len(repr(EmbeddedResource("u" * 10_000, data=b"x"))) < 300


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Audio/WAV; rate=8000", "audio/wav"),
        ("application/vnd.a+json", "application/vnd.a+json"),
        (None, "application/octet-stream"),
        ("", "application/octet-stream"),
        ('audio/wav"><script>', "application/octet-stream"),
    ],
)
def test_media_types_of_strangers(text: str | None, kind: str) -> None:
    assert media_type_of(text) == kind


def test_a_template_is_filled_in_or_says_that_it_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ResourceLink, "reader", lambda server, uri: f"{server}: {uri}")

    def read(uri: str, template: bool = True, **variables: object) -> object:
        return ResourceLink("shop", uri, template=template).read(**variables)

    assert read("shop://{id}/{part}", id=3, part="a b/ü") == "shop: shop://3/a%20b%2F%C3%BC"
    assert read("shop://{+path}", template=False) == "shop: shop://{+path}"
    with pytest.raises(ValueError, match=r"the resource needs 'id': read\(id=…\)"):
        read("shop://{id}", path=3)
    for operator in ("{+path}", "{path*}", "{?path}", "{path:3}", "{path,id}", "{}"):
        with pytest.raises(
            ValueError, match=r"more than a plain variable.*tools\.read\(server, uri\)"
        ) as said:
            read(f"shop://{operator}", path="a", id=3)
        assert operator in str(said.value)
