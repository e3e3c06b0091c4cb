"""The notebook on disk is whole at every moment, and writing it costs next to nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from codeact_kernel.exceptions import UsageError
from codeact_kernel.notebook.journal import JournalRecorder
from codeact_kernel.notebook.load import load
from codeact_kernel.notebook.redact import Redactor
from codeact_kernel.notebook.writer import SHARE, NotebookWriter, write
from codeact_kernel.outputs import Stream
from codeact_kernel.trajectory import Action, Observation, Reply, RunInfo, Step, Trajectory
from codeact_kernel.wire.messages import Returned, ToolCall


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
    assert written > 40


def test_slow_steps_are_all_written(run: Trajectory, tmp_path: Path) -> None:
    clock = Clock(tick=0.01)
    writer = NotebookWriter(tmp_path / "run.ipynb", Redactor({}), clock)
    for _ in range(5):
        clock.now += 5.0
        assert writer.maybe_write(run)


def test_the_end_is_always_written(run: Trajectory, tmp_path: Path) -> None:
    clock = Clock(tick=50.0)
    writer = NotebookWriter(tmp_path / "run.ipynb", Redactor({}), clock)
    assert writer.maybe_write(run)
    assert not writer.maybe_write(run.with_task("more"))
    writer.write(run.with_task("more"))
    assert load(writer.path) == run.with_task("more")


@pytest.mark.parametrize("patterns", [(), (r"email=\w+@\w+\.org",)])
def test_recording_a_step_is_the_same_work_however_many_there_were(
    tmp_path: Path, patterns: tuple[str, ...]
) -> None:
    recorder = JournalRecorder(tmp_path / "run.ipynb", Redactor({"KEY": "sesame-sesame"}, patterns))
    recorder.begin(RunInfo("r", "m", "", ""))
    recorder.begin_turn("t")
    work: list[tuple[int, int]] = []
    for index in range(1_000, 2_000):  # Numbers of as many digits.
        said = f"wrote to user{index}@example.org with sesame-sesame\n"
        call = ToolCall(index, 1, "send", (f"user{index}@example.org",), {}, None)
        done = replace(call, outcome=Returned(said))
        observation = Observation("ok", (Stream("stdout", said),), None, index, (), (done,))
        before = os.stat(recorder.journal).st_size
        with counted(index in (1_010, 1_999)) as calls:
            recorder.begin_step(index, Reply(code="send()"))
            recorder.tool_intent(call)
            recorder.tool_outcome(done)
            recorder.end_step(Step(index, Reply(code="send()"), Action("send()"), observation))
        if calls[0]:
            work.append((calls[0], os.stat(recorder.journal).st_size - before))
    recorder.close()
    early, late = work
    assert early[0] > 100
    assert late[0] <= 1.05 * early[0]
    assert late[1] <= 1.05 * early[1]


@contextmanager
def counted(really: bool) -> Iterator[list[int]]:
    """How many functions were called, those in C too."""
    calls = [0]

    def count(frame: object, event: str, argument: object) -> None:
        calls[0] += event in ("call", "c_call")

    sys.setprofile(count if really else None)
    try:
        yield calls
    finally:
        sys.setprofile(None)
