"""Owns the execution of the tours in `notebooks/tours/`, and their recording:

    .venv/bin/python -m tests.notebooks.tours [NAME …]

The cells of a tour are written by hand, in the notebook; only what they show is recorded.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat

from ..jupyter.place import Place
from .record import traces
from .support import NOTEBOOKS

FOLDER = NOTEBOOKS / "tours"
TOURS = sorted(path.stem for path in FOLDER.glob("*.ipynb"))
TIME = re.compile(r"[\d.]+ m?s\b")


@contextmanager
def place() -> Iterator[Place]:
    """A home of nobody, and a copy of the tours and what they need, whose tools are trusted."""
    with TemporaryDirectory() as made:
        at = Place(Path(made, "tours"), Path(made, "home"))
        at.prepare(config="")
        shutil.copytree(FOLDER, at.folder, dirs_exist_ok=True)
        at.run("codeact_kernel", "trust", "shop.py")
        yield at


def executed(at: Place, name: str) -> nbformat.NotebookNode:
    """A tour with what its cells show now; cells that fail are a failure."""
    at.run("jupyter", "execute", "--inplace", f"{name}.ipynb")
    notebook = nbformat.read(at.folder / f"{name}.ipynb", as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = merged(cell.outputs)
    return notebook


def merged(outputs: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """Streams in one piece: in how many they come the clock decides."""
    found: list[nbformat.NotebookNode] = []
    for output in outputs:
        if output.output_type == "stream" and found and found[-1].get("name") == output.name:
            found[-1].text += output.text
        else:
            found.append(output)
    return found


def cleaned(notebook: nbformat.NotebookNode, folder: Path) -> nbformat.NotebookNode:
    """Without what is of this machine and moment only."""
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    text = nbformat.writes(notebook)
    for told in (f"{folder}/", f"{folder.resolve()}/"):
        text = text.replace(told, "")
    return nbformat.reads(text, as_version=4)


def main() -> int:
    wrong = 0
    for name in sys.argv[1:] or TOURS:
        with place() as at:
            notebook = cleaned(executed(at, name), at.folder)
        told = traces(nbformat.writes(notebook), own=True)
        sys.stdout.write(f"{name}: {', '.join(told) if told else 'recorded'}\n")
        wrong += bool(told)
        if not told:
            nbformat.write(notebook, FOLDER / f"{name}.ipynb")
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main())
