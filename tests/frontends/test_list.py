"""`codeact list`: what is in a folder, newest first, whatever lies there."""

from __future__ import annotations

import io
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from codeact_kernel.exceptions import UsageError
from codeact_kernel.frontends.app import launch
from codeact_kernel.frontends.command_list import MAX_BYTES, listed, runs_in, show_runs
from codeact_kernel.frontends.page import Page
from codeact_kernel.notebook.journal import JournalRecorder, journal_path
from codeact_kernel.notebook.redact import Redactor
from codeact_kernel.notebook.writer import write
from codeact_kernel.trajectory import (
    Action,
    Observation,
    Parent,
    Reply,
    RunInfo,
    Step,
    Stop,
    Trajectory,
    Turn,
    Usage,
    Verdict,
)

NO_SECRETS = Redactor({})


def made(
    created: str = "2026-11-22T10:00:00+00:00", task: str = "count\nthe orders", **more: object
) -> Trajectory:
    step = Step(1, Reply("", "1", usage=Usage(100, 10), cost_usd=0.0125), Action("1"), Observation("ok"))
    run = Trajectory(
        RunInfo("r1", "scripted", created, ""), (Turn(task, (step,), Stop("answer", answer="3")),)
    )
    return replace(run, **more)  # type: ignore[arg-type]  # a test's shorthand


def journalled(path: Path) -> JournalRecorder:
    """A run that is in its first step."""
    recorder = JournalRecorder(path, NO_SECRETS)
    recorder.begin(RunInfo("r2", "m", "2026-11-25T10:00:00+00:00", ""))
    recorder.begin_turn("a long task")
    return recorder


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """One of each kind."""
    write(made(), tmp_path / "old.ipynb", NO_SECRETS)
    new = made("2026-11-24T10:00:00+01:00", "the \x1b[31mnewest", verdict=Verdict("drift", ("output",)))
    info = replace(new.info, parent=Parent("r1", 1, "", "old.ipynb"))
    write(replace(new, info=info), tmp_path / "new.ipynb", NO_SECRETS)
    stopped = made("2026-11-23T10:00:00", turns=(Turn("x"), Turn("y", (), Stop("max_steps", "30"))))
    write(stopped, tmp_path / "stopped.ipynb", NO_SECRETS)
    (tmp_path / "foreign.ipynb").write_text('{"nbformat":4,"metadata":{},"cells":[]}')
    (tmp_path / "broken.ipynb").write_text("{")
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "folder.ipynb").mkdir()
    os.mkfifo(tmp_path / "pipe.ipynb")
    with open(tmp_path / "big.ipynb", "wb") as file:
        file.truncate(MAX_BYTES + 1)
    for name in ("broken.ipynb", "big.ipynb"):
        os.utime(tmp_path / name, (1_000_000_000, 1_000_000_000))
    return tmp_path


def test_list(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert launch(["list", str(runs)]) == 0
    shown = capsys.readouterr().out
    lines = shown.splitlines()
    assert [line.split()[0] for line in lines if not line.startswith("    ")] == [
        *("new.ipynb", "stopped.ipynb", "old.ipynb", "big.ipynb", "broken.ipynb"),
        "1",
    ]
    assert " ".join(lines[0].split()[1:]) == "2026-11-24 09:00 1 step answer $0.0125 drift scripted"
    assert lines[0].index("drift") == lines[4].index("scripted") - len("drift  ")
    assert lines[1] == "    the newest"
    assert "max steps" in lines[2]
    assert lines[3] == "    x  (and 1 more task)"
    assert lines[5] == "    count the orders"
    assert "too large to list (33.6 MB); codeact show opens it" in shown
    assert "cannot be read: " in shown
    assert "is no notebook" in shown
    assert lines[-1] == "1 other notebook not listed"


def test_json(runs: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert launch(["list", "--json", str(runs)]) == 0
    document = json.loads(capfd.readouterr().out)
    assert (document["schema_version"], document["foreign"]) == (1, 1)
    assert document["runs"][0] == {
        "trajectory": str(runs / "new.ipynb"),
        "state": "answer",
        "run_id": "r1",
        "created": "2026-11-24T10:00:00+01:00",
        "model": "scripted",
        "tasks": ["the \x1b[31mnewest"],
        "steps": 1,
        "cost_usd": 0.0125,
        "verdict": {"status": "drift", "classes": ["output"], "reason": ""},
        "parent": {"run_id": "r1", "step": 1, "name": "old.ipynb"},
    }
    assert set(document["runs"][-1]) == {"trajectory", "state"}


def test_a_run_of_which_only_the_journal_is_left(tmp_path: Path) -> None:
    recorder = journalled(tmp_path / "run.ipynb")
    assert runs_in(tmp_path) == [tmp_path / "run.ipynb"]
    found = listed(tmp_path / "run.ipynb")
    assert found is not None
    assert found.state == "goes on"
    recorder.close()
    found = listed(tmp_path / "run.ipynb")
    assert found is not None
    assert found.state == "cut off; codeact recover run.ipynb"
    assert found.run is not None
    assert found.run.turns[0].task == "a long task"


def test_a_journal_that_cannot_be_read(tmp_path: Path) -> None:
    journal_path(tmp_path / "run.ipynb").write_text("")
    found = listed(tmp_path / "run.ipynb")
    assert found is not None
    assert found.state.startswith("cannot be read: the journal")
    assert found.run is None


def test_lines_fit_the_terminal(tmp_path: Path) -> None:
    name = "名" * 60
    write(made(task="a very long task " * 20), tmp_path / f"{name}.ipynb", NO_SECRETS)
    found = [each for path in runs_in(tmp_path) if (each := listed(path)) is not None]
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=60, color_system=None)
    show_runs(Page(console), found)
    assert console.is_terminal
    assert len(file.getvalue().splitlines()) == 2


@pytest.mark.parametrize(
    "created", ["", "yesterday", "9999-12-31T23:59:59-23:00", "0001-01-01T00:00:00+23:00"]
)
def test_a_beginning_that_is_no_time(
    created: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(made(created), tmp_path / "run.ipynb", NO_SECRETS)
    assert launch(["list", str(tmp_path)]) == 0
    assert "run.ipynb" in capsys.readouterr().out


def test_nothing_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert launch(["list"]) == 0
    assert capsys.readouterr().out == "No saved runs in .\n"
    with pytest.raises(UsageError, match="DIR 'no' does not exist"):
        launch(["list", "no"])
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="codeact show"):
        launch(["list", "file"])
