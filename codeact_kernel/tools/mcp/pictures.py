"""Owns the pictures that a server sends: what shows itself in a notebook, and what is made to.

PNG and JPEG go as they are; nothing is decoded. GIF and WebP become PNG where Pillow is there (extra
`images`), within bounds: a few kilobytes can hold a gigapixel.
"""

from __future__ import annotations

import io
import warnings

from ...wire.pictures import Picture

MAX_BYTES = 8 * 1024 * 1024
"""Of an image that is converted."""
MAX_PIXELS = 4_000_000
_STARTS = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}


def picture_of(data: bytes) -> Picture | None:
    """`data` as a picture, whatever they are called; None: they are none that can be shown."""
    for start, kind in _STARTS.items():
        if data.startswith(start):
            return Picture(data, kind)
    is_known = data[:4] == b"GIF8" or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")
    return _converted(data) if is_known and len(data) <= MAX_BYTES else None


def _converted(data: bytes) -> Picture | None:
    """The first frame, as PNG."""
    try:
        import PIL.Image
    except ImportError:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Of odd metadata.
            with PIL.Image.open(io.BytesIO(data), formats=("GIF", "WEBP")) as image:
                if image.width * image.height > MAX_PIXELS:
                    return None
                out = io.BytesIO()
                image.convert("RGBA").save(out, "PNG", compress_level=3)
    except Exception:  # A decoder that is fed with bytes of a stranger raises whatever it likes.
        return None
    return Picture(out.getvalue())
