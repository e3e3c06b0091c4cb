"""Owns pictures as values: a figure crosses as what it looks like, since the object itself would need pickle.

A figure of matplotlib (or its axes), an image of Pillow and an `IPython.display.Image` with its bytes arrive
as a `Picture`. None of these packages is imported: where such a value is, its package is too.
"""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass
from typing import Any

from .coding import (
    TAG,
    Decode,
    DecodeError,
    Decoder,
    Encode,
    Encoded,
    EncodeError,
    Encoder,
    expect,
    type_name,
)
from .messages import Json
from .structures import b64, unb64

_STARTS = {"image/png": b"\x89PNG\r\n\x1a\n", "image/jpeg": b"\xff\xd8\xff"}
"""What the bytes of each type begin with. SVG is not taken: it can hold script."""


@dataclass(frozen=True, repr=False)
class Picture:
    """A figure or an image as it was drawn, with `data` as bytes of `media_type`; it shows itself in a
    notebook. Raises: ValueError when `data` are not of that type."""

    data: bytes
    media_type: str = "image/png"

    def __post_init__(self) -> None:
        start = _STARTS.get(self.media_type)
        if start is None:
            raise ValueError(f"a picture is one of {', '.join(_STARTS)}, not {self.media_type[:40]!r}")
        if not self.data.startswith(start):
            raise ValueError(f"the data are no {self.media_type}")

    def _repr_png_(self) -> bytes | None:
        return self.data if self.media_type == "image/png" else None

    def _repr_jpeg_(self) -> bytes | None:
        return self.data if self.media_type == "image/jpeg" else None

    def __repr__(self) -> str:
        return f"<picture: {self.media_type}, {len(self.data):,} bytes>"


def picture_of(value: object) -> Picture | None:
    """`value` as a picture; None when it is no figure and no image. Raises EncodeError."""
    try:
        return value if isinstance(value, Picture) else _drawn(value)
    except Exception as problem:  # Drawing runs the code of whoever made the figure.
        reason = f"{type(problem).__name__}: {problem}"
        raise EncodeError(f"a {type_name(value)} that cannot be drawn: {reason:.200}") from None


def _drawn(value: Any) -> Picture | None:
    if _is(value, "matplotlib.figure", "Figure"):
        return _figure(value)
    if _is(value, "matplotlib.axes", "Axes"):
        return _figure(value.figure)
    if _is(value, "PIL.Image", "Image"):
        out = io.BytesIO()
        value.save(out, format="PNG")
        return Picture(out.getvalue())
    if _is(value, "IPython.display", "Image") and isinstance(value.data, bytes):
        return Picture(value.data, f"image/{value.format}")
    return None


def _is(value: object, module: str, name: str) -> bool:
    kind = getattr(sys.modules.get(module), name, None)
    return isinstance(kind, type) and isinstance(value, kind)


def _figure(figure: Any) -> Picture:
    out = io.BytesIO()
    # As a notebook shows it; without the version in the file, which a replay elsewhere would not repeat.
    figure.savefig(out, format="png", bbox_inches="tight", metadata={"Software": None})
    return Picture(out.getvalue())


def encode_picture(value: Picture, enc: Encoder) -> Json:
    return {TAG: "picture", "type": value.media_type, "b64": b64(value.data, enc)}


def _decode(data: Encoded, dec: Decoder) -> object:
    try:
        return Picture(bytes(unb64(data["b64"])), expect(data["type"], str))
    except ValueError as problem:
        raise DecodeError(str(problem)) from None


ENCODERS: dict[type, Encode] = {Picture: encode_picture}
DECODERS: dict[str, Decode] = {"picture": _decode}
