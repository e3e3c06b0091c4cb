"""Figures and images cross as pictures of them."""

from __future__ import annotations

import base64
import io
import subprocess
import sys

import matplotlib
import pytest
from IPython.display import Image as Displayed
from matplotlib.figure import Figure
from PIL import Image

from codeact_kernel.wire.values import DecodeError, EncodeError, Opaque, Picture, decode, encode

PNG = b"\x89PNG\r\n\x1a\n"


def figure() -> Figure:
    made = Figure(figsize=(2, 1))
    made.subplots().plot([1, 3, 2])
    return made


def test_a_figure_and_its_axes_arrive_as_a_picture_that_shows_itself() -> None:
    made = figure()
    for value in (made, made.axes[0]):
        picture = decode(encode(value))
        assert isinstance(picture, Picture)
        assert picture.media_type == "image/png"
        assert Image.open(io.BytesIO(picture.data)).size > (100, 50)
        assert picture._repr_png_() == picture.data
        assert picture._repr_jpeg_() is None
    assert encode(figure()) == encode(figure())  # A replay compares the bytes.
    assert matplotlib.__version__.encode() not in picture.data


def test_images_of_pillow_and_of_ipython_are_pictures_too() -> None:
    jpeg = io.BytesIO()
    Image.new("RGB", (3, 2), "red").save(jpeg, format="JPEG")
    shown = decode(encode([Displayed(data=jpeg.getvalue()), Image.new("RGB", (3, 2))]))
    assert isinstance(shown, list)
    assert [each.media_type for each in shown] == ["image/jpeg", "image/png"]
    assert shown[0]._repr_jpeg_() == shown[0].data == jpeg.getvalue()
    assert decode(encode(shown)) == shown


def test_what_cannot_be_drawn_is_refused_as_an_argument_and_opaque_in_a_result() -> None:
    broken = figure()
    broken.savefig = lambda *args, **kwargs: 1 / 0  # type: ignore[method-assign]  # an artist that fails
    with pytest.raises(EncodeError, match=r"Figure that cannot be drawn: ZeroDivisionError"):
        encode(broken)
    assert isinstance(decode(encode(broken, fallback=True)), Opaque)


@pytest.mark.parametrize(
    ("media_type", "data"),
    [
        ("image/svg+xml", b"<svg onload='alert(1)'>"),
        ("text/html", PNG),
        ("image/png", b"<script>"),
        ("image/jpeg", PNG),
    ],
)
def test_only_bytes_of_a_picture_are_one(media_type: str, data: bytes) -> None:
    with pytest.raises(DecodeError):
        decode({"$": "picture", "type": media_type, "b64": base64.b64encode(data).decode()})


def test_no_package_is_imported_to_ask_whether_something_is_a_figure() -> None:
    code = (
        "import sys; from codeact_kernel.wire.values import encode; encode(object(), fallback=True); "
        "print({'matplotlib', 'PIL', 'IPython'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
