"""What executes notebooks without a person executes one of CodeAct's: nbclient, papermill, nbconvert."""

from __future__ import annotations

import nbformat
import pytest

from .place import Place

pytestmark = pytest.mark.kernel
CELLS = ("How many payments are there in March?", "%%python\nprint('of', len(payments))")


def notebook(place: Place, name: str) -> str:
    place.script(
        "default",
        {"thought": "I count them.", "code": 'payments = fetch_payments("2026-03")\nprint(len(payments))'},
        {"answer": "There are six."},
    )
    return place.notebook(name, *CELLS)


def texts(place: Place, name: str) -> list[str]:
    """What each code cell shows, as plain text."""
    read = nbformat.read(place.folder / name, as_version=4)
    nbformat.validate(read)
    return [
        "\n".join(
            output.get("text") or output.get("data", {}).get("text/plain", "") for output in cell.outputs
        )
        for cell in read.cells
        if cell.cell_type == "code"
    ]


def check(task: str, own: str) -> None:
    for seen in ("I count them.", 'fetch_payments("2026-03")', "6", "There are six."):
        assert seen in task
    assert "…" not in task  # Of what only the one who watches needs.
    assert own.strip() == "of 6"


def test_jupyter_execute(place: Place) -> None:
    name = notebook(place, "executed")
    place.run("jupyter", "execute", "--inplace", name)
    check(*texts(place, name))


def test_papermill(place: Place) -> None:
    name = notebook(place, "papermill")
    place.run("papermill", name, "done.ipynb")
    check(*texts(place, "done.ipynb"))


def test_nbconvert(place: Place) -> None:
    name = notebook(place, "convert")
    said = place.run("nbconvert", "--execute", "--to", "html", name)
    page = (place.folder / "convert.html").read_text()
    assert "There are six." in page
    assert "No lexer" not in said
