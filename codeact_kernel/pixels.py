"""Owns the comparison of images by what they show: two files of one picture are equal.

A PNG or JPEG says more than its pixels: which version of which library wrote it, when, how well packed. The
bytes come from the sandbox; what Pillow gets of them is bounded as in `images`. Moving pictures are compared
byte by byte, and so is everything when Pillow (extra `images`) is missing.
"""

from __future__ import annotations

import hashlib
import io
import struct
import warnings

from .images import MAX_PIXELS, stripped

MAX_PICTURES = 32
"""Images of one comparison that are decoded."""
NOT_DECODED = "not decoded"
_FORMATS = ("PNG", "JPEG", "GIF", "WEBP")
_PLAIN = frozenset({"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "CMYK", "YCbCr"})
"""Modes of eight bits a colour at most, of which RGBA loses nothing that is seen."""


class Pictures:
    """Looks at images, each once, and no more than so many."""

    def __init__(self) -> None:
        self._seen: dict[bytes, str] = {}

    def describe(self, data: str) -> str:
        """Equal for equal pictures; why it was not decoded, when it was not. `data`: base64."""
        key = hashlib.sha256(data.encode("utf-8", "surrogatepass")).digest()
        if key not in self._seen:
            if len(self._seen) >= MAX_PICTURES:
                return f"{NOT_DECODED}: only {MAX_PICTURES} images are"
            self._seen[key] = describe(data)
        return self._seen[key]


def describe(data: str) -> str:
    """`640 x 480 pixels, 4f1e…`, or `not decoded: why`."""
    try:
        import PIL.Image
    except ImportError:
        return NOT_DECODED + ": Pillow is missing"
    found = stripped(data)
    if isinstance(found, str):
        return f"{NOT_DECODED}: it {found}"
    raw, first = found
    if b"acTL" in raw or (raw.startswith(b"GIF8") and len(raw) != len(first)):
        return NOT_DECODED + ": it moves"  # Or has a comment: what is no still picture for certain.
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata; the size is checked below
            with PIL.Image.open(io.BytesIO(first), formats=_FORMATS) as picture:
                if picture.width * picture.height > MAX_PIXELS:
                    return NOT_DECODED + ": it has too many pixels"
                if getattr(picture, "is_animated", False):
                    return NOT_DECODED + ": it moves"
                plain = picture.convert("RGBA") if picture.mode in _PLAIN else picture
                digest = hashlib.sha256(plain.mode.encode() + struct.pack(">II", *plain.size))
                digest.update(plain.tobytes())
                return f"{plain.width} x {plain.height} pixels, {digest.hexdigest()[:16]}"
    except Exception:  # a decoder fed with hostile bytes raises whatever it likes
        return NOT_DECODED + ": it is damaged"
