"""Owns what an MCP server returns beside plain values: media, resources, and lists that show their pictures.

A result with several parts is a `Contents`, a list; a structured result that has further parts beside it is a
`Structured`, a dict. As an argument of a call both are plain again.
"""

from __future__ import annotations

import base64
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

from .coding import TAG, Decode, DecodeError, Decoder, Encode, Encoded, Encoder, array, expect
from .messages import Json
from .structures import b64, unb64

ANY_TYPE = "application/octet-stream"
MAX_PLAYED = 8 * 1024 * 1024
"""Bytes that are put into a page to be played there."""
_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9.+-]{0,60}/[a-z0-9][a-z0-9.+-]{0,80}")
_PLAYED = ("audio", "video")
_EXPRESSION = re.compile(r"\{([^{}]*)\}")


def media_type_of(text: str | None) -> str:
    """A media type without parameters, in lower case; `ANY_TYPE` for what is none."""
    kind = (text or "").partition(";")[0].strip().lower()
    return kind if _MEDIA_TYPE.fullmatch(kind) else ANY_TYPE


@dataclass(frozen=True, repr=False)
class Media:
    """Bytes of a media type, such as audio/wav; audio and video play in a notebook.

    Raises: ValueError for what is no media type.
    """

    data: bytes
    media_type: str = ANY_TYPE

    def __post_init__(self) -> None:
        if media_type_of(self.media_type) != self.media_type:
            raise ValueError(f"{self.media_type[:100]!r} is no media type, such as audio/wav")

    def save(self, path: str | Path) -> Path:
        """Writes the bytes to a file."""
        Path(path).write_bytes(self.data)
        return Path(path)

    def _repr_html_(self) -> str | None:
        kind = self.media_type.partition("/")[0]
        if kind not in _PLAYED or len(self.data) > MAX_PLAYED:
            return None
        source = f"data:{self.media_type};base64,{base64.b64encode(self.data).decode('ascii')}"
        return f'<{kind} controls src="{source}"></{kind}>'

    def __repr__(self) -> str:
        return f"<media: {self.media_type}, {len(self.data):,} bytes; .save(path) writes them>"


@dataclass(frozen=True)
class ResourceLink:
    """A resource of the MCP server whose module is `server`. `read` gets it; `template`: its `uri` has
    variables, `{id}`, which `read(id=3)` fills in; what else RFC 6570 has, `{+path}`, it does not understand.
    `size` in bytes, where the server says it."""

    server: str
    uri: str
    name: str = ""
    title: str = ""
    description: str = ""
    media_type: str = ""
    size: int | None = None
    template: bool = False

    reader: ClassVar[Callable[[str, str], object] | None] = None
    """Reads a resource of a server; there in a kernel."""

    def read(self, **variables: object) -> object:
        """What the resource holds: text, a picture, media, or a list of such. A call of the server.

        Raises: ToolError, ValueError for a variable that is missing, or not a plain one."""
        uri, read = self.uri, type(self).reader
        if self.template:
            uri = _EXPRESSION.sub(lambda found: quote(str(_given(found[1], variables)), safe=""), uri)
        if read is None:
            raise RuntimeError(f"{self.uri!r} cannot be read here; that works in the kernel of a run")
        return read(self.server, uri)


@dataclass(frozen=True, repr=False)
class EmbeddedResource:
    """A resource that came with a result: `text`, or `data` where it is no text."""

    uri: str
    media_type: str = ""
    text: str = ""
    data: bytes = b""

    def _repr_png_(self) -> bytes | None:
        return self.data if self.data.startswith(b"\x89PNG\r\n\x1a\n") else None

    def _repr_jpeg_(self) -> bytes | None:
        return self.data if self.data.startswith(b"\xff\xd8\xff") else None

    def __repr__(self) -> str:
        size = f"{len(self.data):,} bytes" if self.data else f"{len(self.text):,} characters of text"
        return f"<resource {self.uri[:200]}: {self.media_type or 'no type'}, {size}>"


class Contents(list[object]):
    """The parts of a result, in order: texts, pictures, media, resources. As the value of a cell it shows
    its pictures."""

    def _ipython_display_(self) -> None:
        _show(self)


class Structured(dict[str, object]):
    """A structured result, as the tool's output type says; `beside`: what came with it."""

    def __init__(self, value: Mapping[str, object], beside: Iterable[object] = ()) -> None:
        super().__init__(value)
        self.beside = Contents(beside)

    def _ipython_display_(self) -> None:
        _show([dict(self), *self.beside])

    def __reduce__(self) -> tuple[object, ...]:
        return Structured, (dict(self), list(self.beside))


def _show(parts: list[object]) -> None:
    """Called by IPython, so its module is there."""
    display: Callable[..., object] = sys.modules["IPython.display"].display
    for part in parts:
        if isinstance(part, str):
            sys.stdout.write(f"{part}\n")
        else:
            display(part)


def _given(name: str, variables: Mapping[str, object]) -> object:
    if not re.fullmatch(r"\w+", name):
        raise ValueError(
            f"{{{name:.100}}} is more than a plain variable, which is all that read() fills in; "
            "give the whole address: tools.read(server, uri)"
        )
    if name not in variables:
        raise ValueError(f"the resource needs {name!r}: read({name}=…)")
    return variables[name]


# --- the codec ---------------------------------------------------------------------------------


def _media(value: Media, enc: Encoder) -> Json:
    return {TAG: "media", "type": value.media_type, "b64": b64(value.data, enc)}


def _to_media(data: Encoded, dec: Decoder) -> object:
    try:
        return Media(bytes(unb64(data["b64"])), expect(data["type"], str))
    except ValueError as problem:
        raise DecodeError(str(problem)) from None


def _link(value: ResourceLink, enc: Encoder) -> Json:
    texts = (value.server, value.uri, value.name, value.title, value.description, value.media_type)
    return {TAG: "link", "texts": enc.each(texts), "size": enc(value.size), "template": value.template}


def _to_link(data: Encoded, dec: Decoder) -> object:
    server, uri, *more = (expect(text, str) for text in dec.each(data["texts"]))
    name, title, description, media_type = more
    size = None if data["size"] is None else expect(dec(data["size"]), int)
    return ResourceLink(
        server, uri, name, title, description, media_type, size, expect(data["template"], bool)
    )


def _resource(value: EmbeddedResource, enc: Encoder) -> Json:
    texts = enc.each((value.uri, value.media_type, value.text))
    return {TAG: "resource", "texts": texts, "b64": b64(value.data, enc)}


def _to_resource(data: Encoded, dec: Decoder) -> object:
    uri, media_type, text = (expect(each, str) for each in dec.each(data["texts"]))
    return EmbeddedResource(uri, media_type, text, bytes(unb64(data["b64"])))


def _contents(value: Contents, enc: Encoder) -> Json:
    items = enc.each(value)
    return {TAG: "contents", "items": items} if enc.fallback else items


def _to_contents(data: Encoded, dec: Decoder) -> object:
    return Contents(dec.each(array(data["items"])))


def _structured(value: Structured, enc: Encoder) -> Json:
    plain = enc(dict(value))
    if not enc.fallback:
        return plain
    return {TAG: "structured", "value": plain, "beside": enc.each(value.beside)}


def _to_structured(data: Encoded, dec: Decoder) -> object:
    value: Any = dec(data["value"])
    return Structured(expect(value, dict), dec.each(array(data["beside"])))


ENCODERS: dict[type, Encode] = {
    Media: _media,
    ResourceLink: _link,
    EmbeddedResource: _resource,
    Contents: _contents,
    Structured: _structured,
}
DECODERS: dict[str, Decode] = {
    "media": _to_media,
    "link": _to_link,
    "resource": _to_resource,
    "contents": _to_contents,
    "structured": _to_structured,
}
