"""The tours: each runs as it stands, beside the script that plays the model, and shows what it showed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

from .jupyter.place import Place
from .notebooks.record import traces
from .notebooks.tours import FOLDER, TOURS, executed, place

MARK = re.compile(r"\b[a-z]{4}-[a-z]{4}-[a-z]{4}\b")
"""Of the host's questions: a random word for each run."""
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture(scope="module")
def at() -> Iterator[Place]:
    with place() as made:
        yield made


def lines(cell: nbformat.NotebookNode) -> set[str]:
    """What a cell shows, but for what has numbers in it: times, sizes, names of runs."""
    shown = (output.get("text") or output.get("data", {}).get("text/plain", "") for output in cell.outputs)
    plain = MARK.sub("MARK", ANSI.sub("", "\n".join(shown)))
    return {line.strip() for line in plain.splitlines() if line.strip() and not re.search(r"\d", line)}


@pytest.mark.kernel
@pytest.mark.parametrize("name", TOURS)
def test_a_tour_shows_what_it_showed(at: Place, name: str) -> None:
    recorded = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    for old, new in zip(recorded.cells, executed(at, name).cells, strict=True):
        if old.cell_type == "code":
            assert lines(new) >= lines(old)
            assert bool(new.outputs) == bool(old.outputs)


def test_there_is_one_for_each_door() -> None:
    assert TOURS == ["command", "kernel", "magic"]
    table = (FOLDER.parent / "README.md").read_text()
    assert all(f"(tours/{name}.ipynb)" in table for name in TOURS)


@pytest.mark.parametrize("path", sorted(FOLDER.iterdir()), ids=lambda path: path.name)
def test_none_tells_whose_machine_it_was(path: Path) -> None:
    assert path.is_file()
    assert traces(path.read_text()) == []
