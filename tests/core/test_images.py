"""Images: what reaches a request can be decoded, fits, and is what it says; nothing else gets there."""

from __future__ import annotations

import base64
import io
import random
import struct
import subprocess
import sys
import time
import zlib

import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeact_kernel.events import Image
from codeact_kernel.images import MAX_BLOCKS, MAX_ENCODED, MAX_PIXELS, MAX_SCANS, MAX_UNSCALED, for_model

FORMATS = {"PNG": "image/png", "JPEG": "image/jpeg", "GIF": "image/gif", "WEBP": "image/webp"}


def encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


def picture(kind: str, size: tuple[int, int], mode: str = "RGB", **options: object) -> bytes:
    out = io.BytesIO()
    PIL.Image.effect_noise(size, 80).convert(mode).save(out, kind, **options)
    return out.getvalue()


def opened(image: Image | str) -> PIL.Image.Image:
    assert isinstance(image, Image), image
    return PIL.Image.open(io.BytesIO(base64.b64decode(image.data)))


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, body: bytes = b"", more: bytes = b"") -> bytes:
    """A PNG that claims a size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + more
        + chunk(b"IDAT", zlib.compress(body))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("kind", FORMATS)
def test_a_small_image_goes_through_unchanged(kind: str) -> None:
    raw = picture(kind, (40, 20))
    assert for_model(encoded(raw), 1024) == Image(FORMATS[kind], encoded(raw))


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("mode", ["RGB", "L", "P"])
def test_a_large_image_is_scaled_to_the_edge(kind: str, mode: str) -> None:
    if kind == "JPEG" and mode == "P":
        mode = "CMYK"
    raw = picture(kind, (600, 300), "RGB" if (kind, mode) == ("WEBP", "P") else mode)
    seen = for_model(encoded(raw), 100)
    assert opened(seen).size == (100, 50)
    assert isinstance(seen, Image)
    assert seen.media_type == ("image/jpeg" if kind == "JPEG" else "image/png")


def test_line_breaks_in_base64_are_taken() -> None:
    raw = picture("PNG", (30, 30))
    assert for_model(base64.encodebytes(raw).decode("ascii"), 1024) == Image("image/png", encoded(raw))


def test_an_animation_becomes_its_first_frame() -> None:
    out = io.BytesIO()
    frames = [PIL.Image.new("L", (8, 8), 50 * shade) for shade in range(5)]
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])
    seen = opened(for_model(encoded(out.getvalue()), 1024))
    assert (seen.format, seen.size, getattr(seen, "n_frames", 1)) == ("GIF", (8, 8), 1)
    frames[0].save(out := io.BytesIO(), "WEBP", save_all=True, append_images=frames[1:])
    assert opened(for_model(encoded(out.getvalue()), 1024)).format == "PNG"
    frames[0].save(out := io.BytesIO(), "PNG", save_all=True, append_images=frames[1:])
    assert not getattr(opened(for_model(encoded(out.getvalue()), 1024)), "is_animated", False)


def test_noise_that_a_png_cannot_make_small_is_sent_as_jpeg() -> None:
    edge = 1800
    noise = PIL.Image.frombytes("RGB", (edge, edge), random.Random(7).randbytes(3 * edge * edge))
    out = io.BytesIO()
    noise.save(out, "PNG", compress_level=1)
    seen = for_model(encoded(out.getvalue()), 1500)
    assert isinstance(seen, Image)
    assert seen.media_type == "image/jpeg"
    assert len(seen.data) < 5_000_000


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "could not be decoded"),
        (b"GIF89a", "could not be decoded"),
        (b"<svg/>", "could not be decoded"),
        (b"BM" + bytes(100), "could not be decoded"),
        (png(100, 100, b"short"), "could not be decoded"),
        (picture("PNG", (50, 50))[:-200], "could not be decoded"),
        (png(1 + MAX_PIXELS // 5000, 5000), "too many pixels"),
        (png(60_000, 60_000), "too many pixels"),
    ],
    ids=["empty", "gif-head", "svg", "bmp", "no-rows", "truncated", "large", "bomb"],
)
def test_bad_images_are_left_out_and_said(raw: bytes, why: str) -> None:
    seen = for_model(encoded(raw), 1024)
    assert isinstance(seen, str)
    assert why in seen


def scans(count: int, edge: int) -> bytes:
    """A progressive JPEG with so many scans, the last of which is empty and stands there again and again."""
    PIL.Image.new("L", (edge, edge), 128).save(out := io.BytesIO(), "JPEG", progressive=True)
    raw = out.getvalue()
    starts = [n for n in range(len(raw) - 1) if raw[n : n + 2] == b"\xff\xda"]
    end = raw.rindex(b"\xff\xd9")
    scan = raw[raw.rfind(b"\xff\xc4", starts[-2], starts[-1]) : end]
    return raw[:end] + scan * (count - len(starts)) + b"\xff\xd9"


JPEG = picture("JPEG", (8, 8), "L")
GIF = picture("GIF", (8, 8), "L")
GIF_BODY = 13 + (6 << (GIF[10] & 7))
COSTLY = {
    "scans of a JPEG": (scans(200, 3500), "too many scans"),
    "segments of a JPEG": (JPEG[:2] + b"\xff\xe1\0\2" * 2_000_000 + JPEG[2:], "too many parts"),
    "filled segments of a JPEG": (JPEG[:2] + b"\xff" * 4_000_000 + JPEG[2:], "too many parts"),
    "junk in a JPEG": (JPEG[:2] + b"\0" * 8_000_000 + JPEG[2:], "could not be decoded"),
    "arithmetic coding": (scans(10, 40).replace(b"\xff\xc2", b"\xff\xca"), "could not be decoded"),
    "chunks of a PNG": (png(1, 1, b"\0\0", chunk(b"prVt", b"") * 500_000), "too many parts"),
    "blocks of a GIF": (
        GIF[:GIF_BODY] + b"!\xfe" + b"\1x" * MAX_BLOCKS + b"\0" + GIF[GIF_BODY:],
        "many parts",
    ),
    "junk in a GIF": (GIF[:GIF_BODY] + bytes(8_000_000) + GIF[GIF_BODY:], "could not be decoded"),
}


def quickly_seen(raw: bytes) -> Image | str:
    began = time.thread_time()
    seen = for_model(encoded(raw), 1024)
    assert time.thread_time() - began < 1.5
    return seen


@pytest.mark.parametrize(("raw", "why"), COSTLY.values(), ids=COSTLY)
def test_an_image_of_countless_parts_is_refused_at_once(raw: bytes, why: str) -> None:
    assert why in str(quickly_seen(raw))


def test_as_many_scans_as_are_taken_cost_little() -> None:
    assert isinstance(quickly_seen(scans(MAX_SCANS, 3500)), Image)
    assert "too many scans" in str(for_model(encoded(scans(MAX_SCANS + 1, 40)), 1024))


BOMB = zlib.compress(bytes(1_000_000), 9)
PACKED = {
    "profiles of a PNG": (png(1, 1, b"\0\0", chunk(b"iCCP", b"a\0\0" + BOMB) * 8000), png(1, 1, b"\0\0")),
    "texts of a PNG": (png(1, 1, b"\0\0", chunk(b"zTXt", b"a\0\0" + BOMB[:-4]) * 8000), png(1, 1, b"\0\0")),
    "pieces of EXIF": (JPEG[:2] + (b"\xff\xe1\2\0Exif\0\0" + bytes(504)) * 16_000 + JPEG[2:], JPEG),
    "pieces of Photoshop": (
        JPEG[:2]
        + (b"\xff\xed\xff\0Photoshop 3.0\0" + b"8BIM\1\0\0\0\0\0\0\0" * 5438 + b"x" * 8) * 180
        + JPEG[2:],
        JPEG,
    ),
    "a second picture": (JPEG + scans(60, 40), JPEG),
}


@pytest.mark.parametrize(("raw", "bare"), PACKED.values(), ids=PACKED)
def test_what_is_no_part_of_the_picture_is_not_read_and_not_sent(raw: bytes, bare: bytes) -> None:
    seen = quickly_seen(raw)
    assert isinstance(seen, Image)
    assert seen.data == encoded(bare)


@pytest.mark.parametrize(
    "options", [{"progressive": True}, {"quality": 98, "exif": b"Exif\0\0" + bytes(60_000)}]
)
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_jpegs_of_every_encoder_setting_are_taken(mode: str, options: dict[str, object]) -> None:
    assert isinstance(for_model(encoded(picture("JPEG", (60, 50), mode, **options)), 1024), Image)


def test_not_base64_and_too_much_of_it() -> None:
    assert for_model("no base64 !", 1024) == "is not valid base64"
    assert for_model("\u0661\ud800", 1024) == "is not valid base64"
    assert "too large" in str(for_model("A" * (MAX_ENCODED + 1), 1024))


@given(
    st.binary(max_size=200),
    st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"\xff\xd8\xff\xe0", b"RIFF"]),
)
def test_no_bytes_crash_it(tail: bytes, head: bytes) -> None:
    assert isinstance(for_model(encoded(head + tail), 64), (Image, str))


@given(st.data())
def test_a_damaged_image_is_left_out_or_decodes(data: st.DataObject) -> None:
    raw = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    seen = for_model(encoded(bytes(raw)), 1024)
    if isinstance(seen, Image):
        opened(seen).load()


GOOD = picture("PNG", (12, 12))

WITHOUT_PILLOW = """
import base64, sys
sys.modules["PIL"] = None  # what `import PIL` does on a machine without Pillow: ImportError
from codeact_kernel.images import for_model
for row in sys.stdin.read().splitlines():
    seen = for_model(row, 1024)
    print(seen if isinstance(seen, str) else seen.media_type)
"""


def test_without_pillow_small_png_and_gif_only() -> None:
    rows = [
        picture("PNG", (40, 20)),
        picture("GIF", (40, 20)),
        picture("JPEG", (40, 20)),
        picture("PNG", (40, 20))[:-20],
        png(9000, 10),
        picture("PNG", (1200, 1200)),
        b"GIF89a;",
    ]
    assert len(rows[5]) > MAX_UNSCALED
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT_PILLOW],
        input="\n".join(map(encoded, rows)),
        capture_output=True,
        text=True,
        check=True,
    )
    said = ran.stdout.splitlines()
    assert said[:2] == ["image/png", "image/gif"]
    assert said[4] == "was left out: 9000 x 10 pixels cannot be scaled down without Pillow"
    for row in (2, 3, 5, 6):
        assert said[row].startswith(f"was left out ({len(rows[row]):,} bytes): only PNG and GIF")
