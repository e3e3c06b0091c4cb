"""Owns the images a model is shown: checked, bounded and scaled down. The bytes come from the sandbox.

An endpoint refuses a whole request for one broken or oversized image, so nothing is passed on that was
not looked at. Pillow (extra `images`) decodes and scales; without it only formats whose size stands
at a fixed place in the header go through, unscaled.

What an image costs is bounded before Pillow sees it. A decoder is handed only the parts that make the
first picture, so that no million of empty or packed comments, profiles and previews is read; of those
parts there may be so many, and of pixels. The worst that was found within the bounds takes about a second
of one core: 12 MB of noise as a JPEG of four colours with every scan it may have; most take half of it.
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
MAX_PIXELS = 12_500_000
"""Width times height that is decoded, before anything is: a few kilobytes can hold a gigapixel."""
MAX_SCANS = 20
"""Passes over all pixels of a JPEG; each may be 64 bytes. Encoders make ten, of four colours 18."""
MAX_CHUNKS = 20_000
"""Chunks of a PNG, segments of a JPEG. An encoder that writes 8 kB at once makes 1,500 of 12 MB."""
MAX_BLOCKS = 100_000
"""Blocks of a GIF: 255 bytes at most, so 12 MB have 49,000."""
MAX_SENT = 3 * 1024 * 1024
"""Bytes of one image in a request; endpoints take 5 MB of base64."""
MAX_UNSCALED = 1024 * 1024
"""Bytes of an image that goes out as it is because Pillow is missing."""
MAX_UNSCALED_EDGE = 4096
"""Pixels, likewise."""

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_CHUNKS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
_JPEG_SEGMENTS = frozenset({0xC0, 0xC1, 0xC2, 0xC4, 0xDB, 0xDD, 0xE0, 0xEE})
"""SOF of Huffman coded images (arithmetic coding says much in few bits), DHT, DQT, DRI, JFIF, Adobe."""
_JPEG_SCAN = 0xDA
_GRAPHIC_CONTROL = 0xF9
_BROKEN = "could not be decoded"
_TOO_MANY_PARTS = "has too many parts"
_QUICK = 3  # zlib searches noise three times as long at its usual 6
_FORMATS = {"PNG": "image/png", "JPEG": "image/jpeg", "GIF": "image/gif", "WEBP": "image/webp"}


def for_model(data: str, max_edge: int) -> Image | str:
    """The image as a model may see it, or why it may not.

    Args:
        data: base64, untrusted; line breaks are allowed.
        max_edge: pixels of the longest edge; a larger image is scaled down.

    Returns: an `Image` whose media type is that of its bytes (whatever the sandbox called them), or a
    phrase that completes "the image …". Never raises on bad data.
    """
    try:
        import PIL.Image  # noqa: F401 - only asks whether the optional package is there
    except ImportError:
        raw = _raw(data)
        return raw if isinstance(raw, str) else _as_it_is(raw)
    found = stripped(data)
    return found if isinstance(found, str) else _decoded(found[1], max(1, max_edge))


def stripped(data: str) -> tuple[bytes, bytes] | str:
    """The bytes of an image, and those that make its first picture: what a decoder may be handed.

    `data`: as in `for_model`. Returns a phrase, as it does, when there is nothing to decode.
    """
    raw = _raw(data)
    if isinstance(raw, str):
        return raw
    try:
        bare = _bare(raw)
    except (IndexError, struct.error):
        return _BROKEN
    return (raw, bare) if isinstance(bare, bytes) else bare


def _raw(data: str) -> bytes | str:
    if len(data) > MAX_ENCODED:
        return f"is too large ({len(data):,} characters of base64; at most {MAX_ENCODED:,} are read)"
    try:
        return base64.b64decode("".join(data.split()), validate=True)
    except (binascii.Error, ValueError):
        return "is not valid base64"


# --- the parts that make a picture --------------------------------------------------------------


def _bare(raw: bytes) -> bytes | str:
    """The image without what no decoder needs, or why not. Raises: IndexError, struct.error when cut."""
    for start, stripped in ((_PNG, _bare_png), (b"\xff\xd8", _bare_jpeg), (b"GIF8", _bare_gif)):
        if raw.startswith(start):
            return stripped(raw)
    # The frames of a WebP are found by a library, in no time to speak of.
    return raw if raw.startswith(b"RIFF") else _BROKEN


def _bare_png(raw: bytes) -> bytes | str:
    kept, at = [_PNG], len(_PNG)
    for _ in range(MAX_CHUNKS):
        size, kind = struct.unpack_from(">I4s", raw, at)
        end = at + 12 + size
        if kind in _PNG_CHUNKS:
            kept.append(raw[at:end])
        if kind == b"IEND":
            return b"".join(kept)
        at = end
    return _TOO_MANY_PARTS


def _bare_jpeg(raw: bytes) -> bytes | str:
    kept, at = [raw[:2]], 2
    for _ in range(MAX_CHUNKS):
        if raw[at] != 0xFF:
            return _BROKEN
        marker = raw[at + 1]
        if marker == _JPEG_SCAN:
            end = raw.find(b"\xff\xd9", at)  # what stands behind it are previews
            picture = raw[at : end + 2 if end >= 0 else len(raw)]
            many = picture.count(b"\xff\xda") > MAX_SCANS
            return f"has too many scans (at most {MAX_SCANS})" if many else b"".join((*kept, picture))
        if marker == 0xFF:
            at += 1
            continue
        end = at + 2 + max(2, *struct.unpack_from(">H", raw, at + 2))
        if marker in _JPEG_SEGMENTS:
            kept.append(raw[at:end])
        at = end
    return _TOO_MANY_PARTS


def _bare_gif(raw: bytes) -> bytes | str:
    at, left, control = 13 + _palette(raw[10]), MAX_BLOCKS, b""
    head = raw[:at]
    while left > 0:
        start, kind = at, raw[at : at + 1]
        if kind not in (b"!", b","):
            return _BROKEN
        at += 2 if kind == b"!" else 11 + _palette(raw[at + 9])
        while raw[at] and left > 0:
            at, left = at + 1 + raw[at], left - 1
        at, left = at + 1, left - 1
        if kind == b"," and left > 0:
            return b"".join((head, control, raw[start:at], b";"))
        if raw[start + 1] == _GRAPHIC_CONTROL:
            control = raw[start:at]
    return _TOO_MANY_PARTS


def _palette(flags: int) -> int:
    """Bytes of the table of colours that the flags of a GIF announce."""
    return 6 << (flags & 7) if flags & 0x80 else 0


# --- decoding ----------------------------------------------------------------------------------


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
        return _BROKEN


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
        if kind == "JPEG":
            picture.convert("RGB").save(out, kind)
        else:
            picture.save(out, kind, compress_level=_QUICK)
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
