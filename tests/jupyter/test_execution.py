"""What executes notebooks without a person executes one of CodeAct's: nbclient, papermill, nbconvert."""

from __future__ import annotations

import nbformat
import pytest
from nbclient import NotebookClient

from .place import PATIENCE, Place

pytestmark = pytest.mark.kernel
CELLS = ("How many payments are there in March?", "%%python\nprint('of', len(payments))")


def notebook(place: Place, name: str) -> str:
    place.script(
        "default",
        {"thought": "I count them.", "code": 'payments = fetch_payments("2026-03")\nprint(len(payments))'},
        {"code": "refund('A-1001', 240.0)"},
        {"answer": "There are six."},
    )
    return place.notebook(name, *CELLS)


def read(place: Place, name: str) -> nbformat.NotebookNode:
    return nbformat.read(place.folder / name, as_version=4)


def check(notebook: nbformat.NotebookNode) -> None:
    nbformat.validate(notebook)
    task, own = map(text, notebook.cells)
    for seen in ("I count them.", 'fetch_payments("2026-03")', "6", "There are six."):
        assert seen in task
    assert "ToolDenied" in task
    assert "there is nobody who can be asked" in task
    assert "thinking" not in task  # What only those need who watch it.
    assert own.strip() == "of 6"


def text(cell: nbformat.NotebookNode) -> str:
    """What a cell shows, as plain text."""
    shown = (output.get("text") or output.get("data", {}).get("text/plain", "") for output in cell.outputs)
    return "\n".join(shown)


def test_nbclient(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in place.environment().items():
        monkeypatch.setenv(name, value)
    executed = read(place, notebook(place, "executed"))
    NotebookClient(executed, timeout=PATIENCE, resources={"metadata": {"path": place.folder}}).execute()
    check(executed)


def test_papermill(place: Place) -> None:
    name = notebook(place, "papermill")
    place.run("papermill", name, "done.ipynb")
    check(read(place, "done.ipynb"))


def test_nbconvert(place: Place) -> None:
    name = notebook(place, "convert")
    said = place.run("nbconvert", "--execute", "--to", "html", name)
    page = (place.folder / "convert.html").read_text()
    assert "There are six." in page
    assert "No lexer" not in said
