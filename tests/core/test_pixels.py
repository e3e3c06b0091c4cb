"""Two files of one picture are equal, two pictures are not, and hostile bytes cost little."""

from __future__ import annotations

import base64
import io
import sys
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from codeact_kernel.comparison import output_diff
from codeact_kernel.outputs import Display
from codeact_kernel.pixels import MAX_PICTURES, Pictures, describe


def encoded(picture: Image.Image, kind: str, **options: Any) -> str:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return base64.b64encode(out.getvalue()).decode()


def painted(mode: str = "RGB", colour: Any = (200, 30, 30)) -> Image.Image:
    picture = Image.new(mode, (40, 30), colour)
    picture.putpixel((3, 4), colour if isinstance(colour, int) else tuple(255 - part for part in colour))
    return picture


def notes(text: str) -> PngImagePlugin.PngInfo:
    made = PngImagePlugin.PngInfo()
    made.add_text("Software", text)
    return made


def test_how_a_picture_was_packed_does_not_count() -> None:
    one = encoded(painted(), "PNG", compress_level=9, pnginfo=notes("3.10"))
    two = encoded(painted(), "PNG", compress_level=0, pnginfo=notes("3.11"))
    assert one != two
    assert describe(one) == describe(two)
    assert describe(one).startswith("40 x 30 pixels, ")
    assert describe(encoded(painted("RGBA", (200, 30, 30, 255)), "PNG")) != ""


def test_one_pixel_counts() -> None:
    other = painted()
    other.putpixel((39, 29), (200, 30, 31))
    for kind in ("PNG", "WEBP", "GIF"):
        options = {"lossless": True} if kind == "WEBP" else {}
        assert describe(encoded(painted(), kind, **options)) != describe(encoded(other, kind, **options)), (
            kind
        )


def test_sixteen_bits_are_not_made_eight() -> None:
    low, high = (Image.new("I;16", (4, 4), value) for value in (1000, 1001))
    assert "pixels" in describe(encoded(low, "PNG"))
    assert describe(encoded(low, "PNG")) != describe(encoded(high, "PNG"))


def test_a_palette_is_the_colours_it_has() -> None:
    assert describe(encoded(painted().convert("P"), "PNG")).endswith(
        describe(encoded(painted().convert("P").convert("RGB"), "PNG")).rpartition(", ")[2]
    )


def test_what_moves_is_compared_byte_by_byte() -> None:
    still, frames = painted(), [painted(), painted("RGB", (1, 2, 3))]
    for kind in ("GIF", "PNG", "WEBP"):
        moving = encoded(still, kind, save_all=True, append_images=frames[1:])
        assert describe(moving) == "not decoded: it moves", kind
        assert output_diff((Display({f"image/{kind}": moving}),), (Display({f"image/{kind}": moving}),)) == []


@pytest.mark.parametrize("data", ["", "no base64!", "aGVsbG8=", "iVBORw0KGgo="])
def test_what_is_no_image_is_compared_byte_by_byte(data: str) -> None:
    assert describe(data).startswith("not decoded: ")


def test_a_bomb_is_not_decoded() -> None:
    assert describe(encoded(Image.new("L", (4000, 4000)), "PNG")) == "not decoded: it has too many pixels"


def test_only_so_many_are_decoded() -> None:
    pictures = Pictures()
    said = [pictures.describe(encoded(Image.new("L", (2, 2), n), "PNG")) for n in range(MAX_PICTURES + 1)]
    assert [text.startswith("not decoded") for text in said] == [False] * MAX_PICTURES + [True]
    assert pictures.describe(encoded(Image.new("L", (2, 2), 0), "PNG")) == said[0]


def test_outputs_are_compared_by_pixels() -> None:
    one, two = encoded(painted(), "PNG", compress_level=9), encoded(painted(), "PNG", compress_level=0)
    other = encoded(painted("RGB", (1, 2, 3)), "PNG")
    assert output_diff((Display({"image/png": one}),), (Display({"image/png": two}),)) == []
    (*_, old, new) = output_diff((Display({"image/png": one}),), (Display({"image/png": other}),))
    assert old.startswith("-image/png: 40 x 30 pixels, ")
    assert new.startswith("+image/png: 40 x 30 pixels, ")


def test_without_pillow_bytes_are_compared_and_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = encoded(painted(), "PNG", compress_level=9), encoded(painted(), "PNG", compress_level=0)
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    assert output_diff((Display({"image/png": one}),), (Display({"image/png": one}),)) == []
    lines = output_diff((Display({"image/png": one}),), (Display({"image/png": two}),))
    assert all("not decoded: Pillow is missing" in line for line in lines[-2:])
