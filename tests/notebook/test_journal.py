"""The journal is on disk before an effect, and tells what was done however the run ended."""

from __future__ import annotations

import json
import os
import resource
import signal
import stat
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from codeact_kernel.exceptions import CodeActError, NotebookError, UsageError
from codeact_kernel.interfaces import Recorder
from codeact_kernel.notebook.journal import JournalRecorder, journal_path, read_journal
from codeact_kernel.notebook.progress import progress_of
from codeact_kernel.notebook.redact import Redactor
from codeact_kernel.trajectory import Observation, Reply, RunInfo, Step, Trajectory
from codeact_kernel.wire.messages import Json, Made, Raised, Returned, ToolCall

INFO = RunInfo("r", "scripted", "2026-11-22T10:00:00Z", "")


def record(run: Trajectory, path: Path) -> Path:
    recorder: Recorder = JournalRecorder(path, Redactor({}))
    recorder.begin(run.info)
    for turn in run.turns:
        recorder.begin_turn(turn.task)
        for step in turn.steps:
            recorder.begin_step(step.index, step.reply)
            for call in step.observation.tool_calls:
                recorder.tool_intent(replace(call, outcome=None, duration_s=0.0))
                if call.outcome is not None:
                    recorder.tool_outcome(call)
            recorder.end_step(step)
        if turn.stop is not None:
            recorder.end_turn(turn.stop)
    recorder.close()
    recorder.close()
    return journal_path(path)


def test_a_run_comes_back_and_nothing_is_said_twice(run: Trajectory, tmp_path: Path) -> None:
    journal = record(run, tmp_path / "run.ipynb")
    assert journal == tmp_path / "run.codeact.jsonl"
    assert stat.S_IMODE(journal.stat().st_mode) == 0o600
    assert read_journal(journal) == run
    text = journal.read_text()
    assert text.count("it's | late") == 1
    assert text.count("x = refund(7)") == 2  # In the reply, and as the action.


def test_a_journal_cut_at_any_byte_is_read_as_far_as_it_goes(run: Trajectory, tmp_path: Path) -> None:
    data = record(run, tmp_path / "run.ipynb").read_bytes()
    cut, last = tmp_path / "cut.jsonl", None
    first = data.index(b"\n")
    for size in range(first):
        cut.write_bytes(data[:size])
        with pytest.raises(NotebookError, match="is empty: the run was cut off before it began"):
            read_journal(cut)
    for size in range(first, len(data) + 1):
        cut.write_bytes(data[:size])
        now = read_journal(cut)
        assert last is None or progress_of(now) >= last
        last = progress_of(now)
        for step in now.steps:
            assert step in run.steps or (step.observation.status, step.observation.reason) == (
                "killed",
                "the run was cut off here",
            )
    assert now == run


def test_a_step_that_was_cut_off_keeps_its_calls(tmp_path: Path) -> None:
    recorder = JournalRecorder(tmp_path / "run.ipynb", Redactor({}))
    recorder.begin(INFO)
    recorder.begin_turn("t")
    recorder.begin_step(1, Reply(code="refund(1)"))
    done = ToolCall(1, 1, "refund", (1,), {}, Returned(None), 0.5)
    doubt = ToolCall(1, 2, "refund", (2,), {}, None)
    recorder.tool_intent(replace(done, outcome=None))
    recorder.tool_outcome(done)
    recorder.tool_intent(doubt)
    (step,) = read_journal(recorder.journal).steps
    recorder.close()
    assert step.observation.status == "killed"
    assert step.observation.tool_calls == (done, doubt)
    assert step.action is not None
    assert step.action.code == "refund(1)"


@pytest.mark.parametrize("made", ["yes", "no", "unknown"])
def test_whether_a_call_was_made_is_kept(made: Made, tmp_path: Path) -> None:
    recorder = JournalRecorder(tmp_path / "run.ipynb", Redactor({}))
    recorder.begin(INFO)
    recorder.begin_turn("t")
    recorder.begin_step(1, Reply(code="refund(1)"))
    call = ToolCall(1, 1, "refund", (1,), {}, Raised("ToolUnavailable", "gone", made), 0.5)
    recorder.tool_intent(replace(call, outcome=None))
    recorder.tool_outcome(call)
    ((kept,),) = (step.observation.tool_calls for step in read_journal(recorder.journal).steps)
    recorder.close()
    assert isinstance(kept.outcome, Raised)
    assert kept.outcome.made == made


def test_an_outcome_after_the_end_of_its_step_is_kept(tmp_path: Path) -> None:
    recorder = JournalRecorder(tmp_path / "run.ipynb", Redactor({}))
    recorder.begin(INFO)
    recorder.begin_turn("t")
    reply, doubt = Reply(code="c"), ToolCall(1, 1, "refund", (), {}, None)
    recorder.begin_step(1, reply)
    recorder.tool_intent(doubt)
    recorder.end_step(Step(1, reply, None, Observation("timeout", tool_calls=(doubt,))))
    recorder.begin_step(2, reply)
    recorder.tool_outcome(replace(doubt, outcome=Returned("late"), duration_s=9.0))
    first, second = read_journal(recorder.journal).steps
    recorder.close()
    assert first.observation.tool_calls == (replace(doubt, outcome=Returned("late"), duration_s=9.0),)
    assert second.observation.tool_calls == ()


def test_calls_that_differ_from_the_journalled_ones_are_kept_as_the_step_says(tmp_path: Path) -> None:
    recorder = JournalRecorder(tmp_path / "run.ipynb", Redactor({}))
    recorder.begin(INFO)
    recorder.begin_turn("t")
    reply = Reply(code="c")
    recorder.begin_step(1, reply)
    recorder.tool_intent(ToolCall(1, 1, "refund", (), {}, None))
    step = Step(1, replace(reply, thought="other"), None, Observation("ok", tool_calls=()))
    recorder.end_step(step)
    recorder.close()
    assert read_journal(recorder.journal).steps == (step,)


CHILD = textwrap.dedent("""
    import sys, time
    from pathlib import Path
    from codeact_kernel.notebook.journal import JournalRecorder
    from codeact_kernel.trajectory import Reply, RunInfo
    from codeact_kernel.wire.messages import Returned, ToolCall
    recorder = JournalRecorder(Path(sys.argv[1]))
    recorder.begin(RunInfo("r", "m", "", ""))
    recorder.begin_turn("t")
    recorder.begin_step(1, Reply(code="c"))
    for index in range(1, 1_000_000):
        recorder.tool_intent(ToolCall(1, index, "refund", (index,), {}, None))
        print(index, flush=True)  # The effect.
        recorder.tool_outcome(ToolCall(1, index, "refund", (index,), {}, Returned(index)))
""")


def test_a_host_that_is_killed_leaves_every_effect_on_record(tmp_path: Path) -> None:
    path = tmp_path / "run.ipynb"
    with subprocess.Popen([sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        for _ in range(50):
            child.stdout.readline()
        child.send_signal(signal.SIGKILL)
        done = 50 + len(child.stdout.read().splitlines())
    calls = read_journal(journal_path(path)).steps[0].observation.tool_calls
    assert [call.index for call in calls] == list(range(1, len(calls) + 1))
    assert done <= len(calls) <= done + 1
    assert sum(call.outcome is None for call in calls) <= 1


@pytest.mark.parametrize("name", ["run.ipynb", "run.codeact.jsonl"])
def test_an_existing_run_is_never_touched(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("precious")
    with pytest.raises(UsageError, match="exists already and is kept; choose another --out") as caught:
        JournalRecorder(tmp_path / "run.ipynb")
    way = f"codeact recover {str(tmp_path / 'run.ipynb')!r} saves it"
    assert (way in str(caught.value)) == (name == "run.codeact.jsonl")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "precious"


def test_a_journal_that_appears_in_between_is_not_touched(tmp_path: Path) -> None:
    first, second = (JournalRecorder(tmp_path / "run.ipynb") for _ in range(2))
    first.begin(INFO)
    before = first.journal.read_bytes()
    with pytest.raises(UsageError, match="exists already"):
        second.begin(INFO)
    first.close()
    assert first.journal.read_bytes() == before


def test_a_missing_folder_is_said_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"the folder .*nowhere' does not exist"):
        JournalRecorder(tmp_path / "nowhere" / "run.ipynb")


def test_a_full_disk_stops_the_run_and_leaves_whole_records(tmp_path: Path) -> None:
    recorder = JournalRecorder(tmp_path / "run.ipynb", Redactor({}))
    recorder.begin(INFO)
    recorder.begin_turn("before")
    size = recorder.journal.stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, limits[1]))  # Takes 10 bytes, then fails.
        with pytest.raises(CodeActError, match=r"cannot write the journal .*File too large"):
            recorder.begin_turn("lost")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    recorder.begin_turn("after")
    recorder.close()
    assert [turn.task for turn in read_journal(recorder.journal).turns] == ["before", "after"]


def test_a_closed_recorder_says_so(tmp_path: Path) -> None:
    recorder = JournalRecorder(tmp_path / "run.ipynb")
    with pytest.raises(CodeActError, match="is not open"):
        recorder.begin_turn("t")


BEGIN = '{"t":"begin","codeact_journal":1,"info":{"run_id":"r","model":"m","created":"","setup":""}}'


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([], "is empty"),
        (["{}"], "line 1.*not a journal of format version 1"),
        ([BEGIN.replace(":1,", ":2,")], "pip install -U"),
        ([BEGIN.replace('"r"', "1")], r"line 1.*run_id should be a text, not 1"),
        ([BEGIN, "garbage"], "line 2 of the journal"),
        ([BEGIN, "[]"], "line 2"),
        ([BEGIN, '{"t":"odd"}'], "line 2.*no record that this version"),
        ([BEGIN, '{"t":"stop","stop":{"reason":"answer"}}'], "before any turn"),
        ([BEGIN, '{"t":"turn"}'], "line 2.*'task' should be a text"),
        ([BEGIN, '{"t":"turn","task":""}', '{"t":"stop","stop":{"reason":"bored"}}'], "one of answer"),
        ([BEGIN, '{"t":"turn","task":""}', '{"t":"end","step":{}}'], "never begun|'index'"),
        ([BEGIN, '{"t":"outcome","step":1,"call":1,"returns":1}'], "never begun"),
        ([BEGIN, '{"t":"intent","step":1,"call":1}'], "line 2.*'name'"),
        ([BEGIN, '{"t":"step","index":"1","reply":{}}'], "line 2"),
    ],
)
def test_what_is_no_journal_is_refused_with_its_line(lines: list[str], says: str, tmp_path: Path) -> None:
    path = tmp_path / "run.codeact.jsonl"
    path.write_text("".join(f"{line}\n" for line in lines))
    with pytest.raises(NotebookError, match=says):
        read_journal(path)


def test_a_hostile_value_does_not_stop_the_recorder(tmp_path: Path) -> None:
    deep: Json = "x"
    for _ in range(3_000):
        deep = [deep]
    recorder = JournalRecorder(tmp_path / "run.ipynb", Redactor({"TOKEN": "sesame-sesame"}))
    recorder.begin(INFO)
    recorder.begin_turn("t")
    recorder.begin_step(1, Reply(code="c"))
    for index, value in enumerate([deep, float("nan"), "\ud800", "\n" * 10, ["sesame-sesame", deep]], 1):
        recorder.tool_intent(ToolCall(1, index, "f", (value,), {"k": value}, None))
    recorder.close()
    calls = read_journal(recorder.journal).steps[0].observation.tool_calls
    assert [call.args[0] for call in calls[1:4]] == [None, "\ud800", "\n" * 10]
    assert "sesame" not in recorder.journal.read_text()


def seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def test_recording_a_call_costs_a_few_json_lines(tmp_path: Path) -> None:
    """Against the bare least: two lines made by json and written. The target is 30 µs for both."""
    recorder = JournalRecorder(tmp_path / "run.ipynb")
    recorder.begin(INFO)
    recorder.begin_turn("t")
    recorder.begin_step(1, Reply(code="c"))
    before = ToolCall(1, 1, "refund", (7,), {"amount": "12.50"}, None)
    after = replace(before, outcome=Returned({"ok": True}), duration_s=0.001)
    bare = os.open(tmp_path / "bare", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    line = json.loads((tmp_path / "run.codeact.jsonl").read_text().splitlines()[0])

    def ours() -> None:
        for _ in range(500):
            recorder.tool_intent(before)
            recorder.tool_outcome(after)

    def least() -> None:
        for _ in range(1_000):
            os.write(bare, json.dumps(line).encode())

    ratio = min(seconds(ours) for _ in range(10)) / min(seconds(least) for _ in range(10))
    recorder.close()
    os.close(bare)
    assert ratio < 4
