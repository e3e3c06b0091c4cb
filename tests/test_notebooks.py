"""The saved notebooks: what they say of themselves; stock Jupyter and strict replays run them again.

To keep this short each runs under one kernelspec in stock Jupyter, in rotation, and two under both; all are
replayed by one command, that of the pytest plugin.
"""

from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from codeact_kernel.comparison import output_diff
from codeact_kernel.events import Event, SandboxReady
from codeact_kernel.frontends.cellrun import exec_cells
from codeact_kernel.notebook.load import load
from codeact_kernel.notebook.outputs import shown_of
from codeact_kernel.outputs import Error, Shown, Stream
from codeact_kernel.profile_drift import profile_drift
from codeact_kernel.trajectory import Trajectory
from codeact_kernel.wire.messages import Json
from codeact_kernel.wire.recorded import parse_recorded

from .notebooks.record import STORIES, traces

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
KERNELS = ("codeact-python", "python3")
BOTH = ("refunds", "timeout")
"""Run under either."""
EACH = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
IDS = re.compile(r"title|setup|tape|usage|turn-\d+(-end)?|step-\d+(-thought|-notes)?")
DRAWS = ("matplotlib", "pandas")
"""Another version of these may show the same data otherwise."""


ROUNDS = [
    *((path, KERNELS[place % 2]) for place, path in enumerate(NOTEBOOKS)),
    *((path, KERNELS[1 - place % 2]) for place, path in enumerate(NOTEBOOKS) if path.stem in BOTH),
]


def steps_of(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    tagged = [cell for cell in notebook.cells if "codeact-step" in cell.metadata.get("tags", [])]
    return [cell for cell in tagged if cell.cell_type == "code"]


def shown(cell: nbformat.NotebookNode) -> tuple[Shown, ...]:
    return shown_of(json.loads(json.dumps(cell.outputs)), {}, cell.id)


def errors(cell: nbformat.NotebookNode) -> list[str]:
    return [f"{item.ename}: {item.evalue}" for item in shown(cell) if isinstance(item, Error)]


def installed(name: str) -> str:
    """As a kernel of this Python has it; "" when it has it not."""
    try:
        return platform.python_version() if name == "python" else version(name)
    except PackageNotFoundError:
        return ""


def foreign(run: Trajectory, sandbox: dict[str, Json]) -> set[str]:
    """The classes in which a replay here may differ from what was recorded elsewhere: versions and cage are
    those of this machine, and CI installs the newest. `profile` as such has its own tests."""
    now = {name: found for name in run.info.versions if (found := installed(name))}
    drifts = profile_drift(run.info, run.steps, now, sandbox)
    drawn = any(drift.text.startswith(DRAWS) for drift in drifts)
    return {drift.kind for drift in drifts} | ({"output"} if drawn else set())


def test_there_is_a_notebook_of_each_story() -> None:
    assert {path.stem for path in NOTEBOOKS} == STORIES.keys()
    table = (ROOT / "notebooks" / "README.md").read_text()
    assert all(f"({path.name})" in table for path in NOTEBOOKS)


@EACH
def test_it_says_what_came_of_it(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    ours = notebook.metadata.codeact
    assert ours.verdict.status == "identical"
    assert notebook.cells[0].source.splitlines()[-1] == "* verified: identical"
    assert ours.seal
    assert notebook.metadata.kernelspec.name == "codeact-python"


@EACH
def test_its_ids_come_from_the_place_in_the_run(path: Path) -> None:
    ids = [cell.id for cell in nbformat.read(path, as_version=4).cells]
    assert len(set(ids)) == len(ids)
    assert all(IDS.fullmatch(name) for name in ids)


@EACH
def test_it_does_not_tell_whose_machine_it_was(path: Path) -> None:
    assert traces(path.read_text()) == []


@pytest.mark.parametrize(
    "told",
    ["/home/ann/sales.csv", "in /tmp/x1", "python3.11/site-packages/pandas", '"/usr/lib/python3"'],
)
def test_what_would_tell_it_is_found(told: str) -> None:
    assert traces(json.dumps({"text": f"File {told}"}))


def test_only_the_named_stories_tell_more() -> None:
    runs = {path.stem: load(path) for path in NOTEBOOKS}
    parent = runs["forked"].info.parent
    assert parent is not None
    assert (parent.name, parent.run_id, parent.step) == ("refunds.ipynb", runs["refunds"].info.run_id, 3)
    remarks = {name: run.verdict.remarks for name, run in runs.items() if run.verdict and run.verdict.remarks}
    assert remarks.keys() == {"timeout"}
    assert "the state after it may differ" in remarks["timeout"][0]


def test_they_are_as_they_were_recorded() -> None:
    command = [sys.executable, "-m", "codeact_kernel", "verify", *map(str, NOTEBOOKS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_text_that_was_saved_in_pieces_is_the_same() -> None:
    """nbclient saves a print in as many outputs as it had messages: the clock decides."""
    whole = (Stream("stdout", "1200.00 EUR\n880.50 USD\n"), Stream("stderr", "late"))
    parts = (Stream("stdout", "1200.00 "), Stream("stdout", "EUR\n880.50 USD\n"), Stream("stderr", "late"))
    assert output_diff(whole, parts) == []
    assert output_diff(whole, (*parts, parts[0])) != []


@pytest.mark.kernel
@pytest.mark.parametrize(("path", "kernel"), ROUNDS, ids=lambda value: getattr(value, "stem", value))
def test_stock_jupyter_runs_it_all(path: Path, kernel: str, tmp_path: Path) -> None:
    recorded, again = nbformat.read(path, as_version=4), nbformat.read(path, as_version=4)
    client = NotebookClient(again, kernel_name=kernel, timeout=60, resources={"metadata": {"path": tmp_path}})
    client.execute()
    differs = "output" in foreign(load(path), {})
    for old, new in zip(steps_of(recorded), steps_of(again), strict=True):
        if (stopped := parse_recorded(old.source)) is not None:
            assert errors(new) == [f"{stopped.ename}: {stopped.evalue}"]
            continue
        assert errors(new) == errors(old)
        assert differs or output_diff(shown(old), shown(new)) == []
    assert steps_of(recorded)


@pytest.mark.kernel
def test_they_replay_strictly_as_tests_of_pytest() -> None:
    ready: list[Event] = []
    exec_cells(["pass"], on_event=ready.append)
    (sandbox,) = (dict(event.sandbox) for event in ready if isinstance(event, SandboxReady))
    alike: dict[frozenset[str], list[str]] = {}
    for path in NOTEBOOKS:
        alike.setdefault(frozenset(foreign(load(path), sandbox)), []).append(str(path))
    for excepted, paths in alike.items():
        options = ["--codeact", "-p", "no:cacheprovider", *(f"--codeact-except={kind}" for kind in excepted)]
        command = [sys.executable, "-m", "pytest", *options, *paths]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"{len(paths)} passed" in done.stdout
