"""The report of the cage is kept with the run, and said in one line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from codeact_kernel.notebook.cage import cage_line
from codeact_kernel.notebook.journal import JournalRecorder, read_journal
from codeact_kernel.notebook.load import load
from codeact_kernel.notebook.render import render
from codeact_kernel.notebook.writer import write
from codeact_kernel.trajectory import Trajectory
from codeact_kernel.wire.messages import Json

HELD: dict[str, Json] = {"tier": "A", "landlock_abi": 7, "selftest": {"read": "held", "connect": "held"}}


@pytest.mark.parametrize(
    ("report", "says"),
    [
        ({}, ""),
        (HELD, "tier A, self-test held"),
        ({"tier": "B", "selftest": {}}, "tier B, self-test not run"),
        (
            {"tier": "C", "selftest": {"read": "held", "exec": "it ran"}},
            "tier C, self-test NOT held (exec: it ran)",
        ),
        ({"tier": "none"}, "UNSANDBOXED, the code had every right of the user who ran it"),
        ({"problem": "x"}, "UNSANDBOXED, the code had every right of the user who ran it (x)"),
        ({"tier": "A", "selftest": "odd"}, "tier A, self-test not run"),
    ],
)
def test_one_line(report: dict[str, Json], says: str) -> None:
    assert cage_line(report) == says


def test_it_is_kept_in_journal_and_notebook(run: Trajectory, tmp_path: Path) -> None:
    told = replace(run, info=replace(run.info, sandbox=HELD))
    path = tmp_path / "run.ipynb"
    recorder = JournalRecorder(path)
    recorder.begin(told.info)
    recorder.close()
    assert read_journal(recorder.journal).info.sandbox == HELD
    recorder.journal.unlink()
    write(told, path)
    assert load(path).info.sandbox == HELD


@pytest.mark.parametrize(
    ("report", "line"),
    [
        (HELD, "* sandbox: tier A, self-test held"),
        ({"tier": "none", "problem": "# *x*"}, "* sandbox: **UNSANDBOXED, the code had every right"),
    ],
)
def test_the_first_cell_says_it(run: Trajectory, report: dict[str, Json], line: str) -> None:
    notebook = render(replace(run, info=replace(run.info, sandbox=report)))
    assert line in notebook.cells[0].source
    assert notebook.metadata.codeact.info.sandbox == report


def test_the_kernelspec_is_named_as_it_is_installed(run: Trajectory) -> None:
    spec = render(run).metadata.kernelspec
    assert (spec.name, spec.display_name) == ("codeact-python", "Python 3 (sandboxed)")
