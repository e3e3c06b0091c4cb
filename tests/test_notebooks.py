"""The saved notebooks re-run: in stock Jupyter (nbclient), and by `codeact replay`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from codeact_kernel.comparison import shown_lines
from codeact_kernel.notebook.outputs import shown_of
from codeact_kernel.outputs import Error

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


def outputs(notebook: nbformat.NotebookNode) -> list[list[str]]:
    """What each step's cell shows, as `codeact replay` compares it, and how it ends."""
    found = []
    for cell in notebook.cells:
        if cell.cell_type != "code" or "codeact-step" not in cell.metadata.get("tags", []):
            continue
        shown = shown_of(json.loads(json.dumps(cell.outputs)), {}, cell.id)
        errors = [f"{item.ename}: {item.evalue}" for item in shown if isinstance(item, Error)]
        found.append([*shown_lines(shown), *errors])
    return found


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@pytest.mark.kernel
@pytest.mark.parametrize("kernel", ["codeact-python", "python3"])
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_stock_jupyter_runs_it_all(path: Path, kernel: str, tmp_path: Path) -> None:
    recorded = nbformat.read(path, as_version=4)
    nbformat.validate(recorded)
    again = nbformat.read(path, as_version=4)
    client = NotebookClient(again, kernel_name=kernel, timeout=60, resources={"metadata": {"path": tmp_path}})
    client.execute()
    assert outputs(again) == outputs(recorded)
    assert len(outputs(recorded)) > 0


@pytest.mark.kernel
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_replay_agrees(path: Path) -> None:
    command: Sequence[str] = [sys.executable, "-m", "codeact_kernel", "replay", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
