"""Owns the images a model is shown: checked, bounded and scaled down. The bytes come from the sandbox.

An endpoint refuses a whole request for one broken or oversized image, so nothing is passed on that was
not looked at. Pillow (extra `images`) decodes and scales; without it only formats whose size stands
at a fixed place in the header go through, unscaled.
"""

from __future__ import annotations

import base64
import binascii
import io
import struct
import warnings
from typing import TYPE_CHECKING

from .events import Image

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

MEDIA_TYPES = ("image/png", "image/jpeg", "image/gif", "image/webp")
MAX_ENCODED = 16 * 1024 * 1024
"""Characters of base64 that are looked at."""
MAX_PIXELS = 25_000_000
"""Width times height that is decoded, before anything is: a few kilobytes can hold a gigapixel."""
MAX_SENT = 3 * 1024 * 1024
"""Bytes of one image in a request; endpoints take 5 MB of base64."""
MAX_UNSCALED = 1024 * 1024
"""Bytes of an image that goes out as it is because Pillow is missing."""
MAX_UNSCALED_EDGE = 4096
"""Pixels, likewise."""

_FORMATS = {"PNG": "image/png", "JPEG": "image/jpeg", "GIF": "image/gif", "WEBP": "image/webp"}


def for_model(data: str, max_edge: int) -> Image | str:
    """The image as a model may see it, or why it may not.

    Args:
        data: base64, untrusted; line breaks are allowed.
        max_edge: pixels of the longest edge; a larger image is scaled down.

    Returns: an `Image` whose media type is that of its bytes (whatever the sandbox called them), or a
    phrase that completes "the image …". Never raises on bad data.
    """
    if len(data) > MAX_ENCODED:
        return f"is too large ({len(data):,} characters of base64; at most {MAX_ENCODED:,} are read)"
    try:
        raw = base64.b64decode("".join(data.split()), validate=True)
    except (binascii.Error, ValueError):
        return "is not valid base64"
    try:
        import PIL.Image  # noqa: F401 - only asks whether the optional package is there
    except ImportError:
        return _as_it_is(raw)
    return _decoded(raw, max(1, max_edge))


def _image(media_type: str, raw: bytes) -> Image:
    return Image(media_type, base64.b64encode(raw).decode("ascii"))


def _decoded(raw: bytes, max_edge: int) -> Image | str:
    import PIL.Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata; sizes are checked below
            with PIL.Image.open(io.BytesIO(raw), formats=tuple(_FORMATS)) as picture:
                if picture.width * picture.height > MAX_PIXELS:
                    return _too_many_pixels()
                fits = max(picture.size) <= max_edge and len(raw) <= MAX_SENT
                if fits and not getattr(picture, "is_animated", False):
                    picture.load()  # proves that it can be decoded
                    return _image(_FORMATS[picture.format or "PNG"], raw)
                return _scaled(picture, max_edge)
    except PIL.Image.DecompressionBombError:
        return _too_many_pixels()
    except Exception:  # a decoder fed with hostile bytes raises whatever it likes
        return "could not be decoded"


def _too_many_pixels() -> str:
    return f"has too many pixels (at most {MAX_PIXELS:,} are decoded)"


def _scaled(picture: Picture, max_edge: int) -> Image | str:
    """The first frame, as JPEG if it was one or would be too large, else as PNG."""
    wanted = ["JPEG"] if picture.format == "JPEG" else ["PNG", "JPEG"]
    if picture.mode not in ("RGB", "RGBA", "L"):
        picture = picture.convert("RGBA")
    picture.thumbnail((max_edge, max_edge))
    picture.info.clear()  # profiles and comments cost bytes and say nothing to a model
    for kind in wanted:
        out = io.BytesIO()
        (picture.convert("RGB") if kind == "JPEG" else picture).save(out, kind)
        if out.tell() <= MAX_SENT:
            return _image(_FORMATS[kind], out.getvalue())
    return "stays too large when scaled down"


def _as_it_is(raw: bytes) -> Image | str:
    """Without Pillow: small PNG and GIF only."""
    found = _header(raw)
    if found is None or len(raw) > MAX_UNSCALED:
        return (
            f"was left out ({len(raw):,} bytes): only PNG and GIF images up to {MAX_UNSCALED:,} bytes can be "
            "passed on without Pillow; the user can install codeact_kernel[images]"
        )
    media_type, width, height = found
    if not (0 < width <= MAX_UNSCALED_EDGE and 0 < height <= MAX_UNSCALED_EDGE):
        return f"was left out: {width} x {height} pixels cannot be scaled down without Pillow"
    return _image(media_type, raw)


def _header(raw: bytes) -> tuple[str, int, int] | None:
    """Media type, width and height of a PNG or GIF that also ends like one."""
    if raw[:8] == b"\x89PNG\r\n\x1a\n" and raw[12:16] == b"IHDR" and raw[-8:-4] == b"IEND":
        return "image/png", *struct.unpack(">II", raw[16:24])
    if raw[:6] in (b"GIF87a", b"GIF89a") and raw[-1:] == b";" and len(raw) > 13:
        return "image/gif", *struct.unpack("<HH", raw[6:10])
    return None
