"""The notebook on disk is whole at every moment, and writing it costs next to nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from codeact_kernel.exceptions import UsageError
from codeact_kernel.notebook.load import load
from codeact_kernel.notebook.redact import Redactor
from codeact_kernel.notebook.writer import SHARE, NotebookWriter, write
from codeact_kernel.trajectory import Trajectory


def test_two_writings_are_the_same_bytes(run: Trajectory, tmp_path: Path) -> None:
    for name in ("a.ipynb", "b.ipynb"):
        write(run, tmp_path / name)
    assert (tmp_path / "a.ipynb").read_bytes() == (tmp_path / "b.ipynb").read_bytes()
    assert (tmp_path / "a.ipynb").read_bytes().endswith(b"}\n")


def test_a_reader_never_sees_half_a_notebook(run: Trajectory, tmp_path: Path) -> None:
    path = tmp_path / "run.ipynb"
    write(run, path)
    before = path.stat().st_ino
    with path.open("rb") as open_before:
        write(run.with_task("more"), path)
        assert b"more" not in open_before.read()
    assert path.stat().st_ino != before
    assert load(path) == run.with_task("more")
    assert list(tmp_path.iterdir()) == [path]


def test_the_mode_of_the_file_is_kept(run: Trajectory, tmp_path: Path) -> None:
    path = tmp_path / "run.ipynb"
    write(run, path)
    umask = os.umask(0o022)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask
    path.chmod(0o640)
    write(run, path)
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_place_that_cannot_be_written_is_said_and_nothing_is_left(run: Trajectory, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot write the notebook .*No such file.*choose another --out"):
        write(run, tmp_path / "nowhere" / "run.ipynb")
    (tmp_path / "run.ipynb").mkdir()
    with pytest.raises(UsageError, match="cannot write the notebook"):
        write(run, tmp_path / "run.ipynb")
    assert [path.name for path in tmp_path.iterdir()] == ["run.ipynb"]


class Clock:
    """Time that passes only when somebody says so; every look costs `tick` seconds."""

    def __init__(self, tick: float) -> None:
        self.now = 0.0
        self.tick = tick

    def __call__(self) -> float:
        self.now += self.tick
        return self.now


def test_writing_stays_a_small_share_of_the_run(run: Trajectory, tmp_path: Path) -> None:
    clock = Clock(tick=0.01)  # So a write costs 0.01 s.
    writer = NotebookWriter(tmp_path / "run.ipynb", Redactor({}), clock)
    written = 0
    for _ in range(1_000):
        clock.now += 0.1  # A step.
        written += writer.maybe_write(run)
    assert 0.01 * written <= SHARE * clock.now
    assert written > 100


def test_slow_steps_are_all_written(run: Trajectory, tmp_path: Path) -> None:
    clock = Clock(tick=0.01)
    writer = NotebookWriter(tmp_path / "run.ipynb", Redactor({}), clock)
    for _ in range(5):
        clock.now += 2.0
        assert writer.maybe_write(run)


def test_the_end_is_always_written(run: Trajectory, tmp_path: Path) -> None:
    clock = Clock(tick=50.0)
    writer = NotebookWriter(tmp_path / "run.ipynb", Redactor({}), clock)
    assert writer.maybe_write(run)
    assert not writer.maybe_write(run.with_task("more"))
    writer.write(run.with_task("more"))
    assert load(writer.path) == run.with_task("more")
