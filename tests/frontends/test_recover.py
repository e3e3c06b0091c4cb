"""Runs that were cut off are saved: by `codeact recover`, or when the next one starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest

from codeact_kernel import Agent, ScriptedModel
from codeact_kernel.events import Event, Notice
from codeact_kernel.exceptions import NotebookError, UsageError
from codeact_kernel.notebook.journal import JournalRecorder, journal_path
from codeact_kernel.notebook.load import load
from codeact_kernel.notebook.recover import Recovered, recover, recover_folder
from codeact_kernel.notebook.redact import Redactor
from codeact_kernel.notebook.replacing import half_written
from codeact_kernel.notebook.writer import write
from codeact_kernel.trajectory import Reply, Stop, Verdict
from codeact_kernel.wire.messages import Effect, Returned, ToolCall, ToolModule, ToolSpec
from codeact_kernel.wire.setup import SetupSpec, setup_source

from .cut_off import FIRST, info, killed_after, open_run

Command = Callable[..., "subprocess.CompletedProcess[str]"]


def files(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def test_three_refunds_are_done_and_a_fourth_may_have_been(tmp_path: Path) -> None:
    path = killed_after(tmp_path, 3)
    found = recover(path)
    assert found is not None
    assert [call.args for call in found.in_doubt] == [(3,)]
    assert files(tmp_path) == ["run.ipynb"]
    nbformat.validate(nbformat.read(path, as_version=4))
    _, cut = load(path).steps
    assert [(call.args, call.outcome) for call in cut.observation.tool_calls] == [
        ((0,), Returned("ok 0")),
        ((1,), Returned("ok 1")),
        ((2,), Returned("ok 2")),
        ((3,), None),
    ]
    assert load(path).verdict == Verdict("unverified", reason="the run was cut off")
    assert recover(path) is None


def test_a_torn_last_record_is_left_out(tmp_path: Path) -> None:
    path = killed_after(tmp_path, 3)
    journal = journal_path(path)
    journal.write_bytes(journal.read_bytes()[:-9])
    found = recover(path)
    assert found is not None
    assert (found.in_doubt, len(found.trajectory.steps[-1].observation.tool_calls)) == ((), 3)


@pytest.mark.parametrize("left", [b"", b'{"t":"begin","codeact_jour'])
def test_a_run_that_had_not_begun_leaves_nothing(left: bytes, tmp_path: Path) -> None:
    path = tmp_path / "run.ipynb"
    journal_path(path).write_bytes(left)
    assert recover(path) is None
    assert files(tmp_path) == []


def test_what_is_no_journal_of_ours_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "run.ipynb"
    journal_path(path).write_text("somebody else's")
    with pytest.raises(NotebookError, match="is empty"):
        recover(path)
    assert files(tmp_path) == ["run.codeact.jsonl"]


def test_a_resumed_run_that_had_not_begun_keeps_its_notebook(tmp_path: Path) -> None:
    path = killed_after(tmp_path, 3)
    recover(path)
    before = path.read_bytes()
    journal_path(path).write_bytes(b"")
    assert recover(path) is None
    assert (path.read_bytes(), files(tmp_path)) == (before, ["run.ipynb"])


@pytest.mark.parametrize("records", range(1, 14))
def test_a_resumed_run_that_is_killed_while_it_is_recorded_again_loses_nothing(
    records: int, tmp_path: Path
) -> None:
    path = killed_after(tmp_path, 3)
    recover(path)
    saved = load(path)
    recorder = JournalRecorder(path, Redactor({}), resumes=True)
    recorder.begin(saved.info)
    kept, cut = saved.steps
    recorder.again([replace(saved.turns[0], steps=(kept,))])
    recorder.begin_step(2, cut.reply)
    for call in cut.observation.tool_calls:
        recorder.tool_intent(replace(call, outcome=None))
        if call.outcome is not None:
            recorder.tool_outcome(call)
    last = cut.observation.tool_calls[-1]
    recorder.tool_outcome(replace(last, outcome=Returned("ok 3")))
    recorder.close()
    lines = journal_path(path).read_bytes().splitlines(keepends=True)
    journal_path(path).write_bytes(b"".join(lines[:records]))
    found = recover(path)
    assert found is not None
    assert len(lines) == 13
    done = 4 if records >= len(lines) else 3
    calls = found.trajectory.steps[-1].observation.tool_calls
    assert [call.outcome is not None for call in calls] == [True] * done + [False] * (4 - done)


def test_a_run_that_goes_on_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "run.ipynb"
    recorder = open_run(path, [])
    with pytest.raises(UsageError, match="still goes on; wait for its end"):
        recover(path)
    assert list(recover_folder(tmp_path)) == []
    assert journal_path(path).exists()
    recorder.close()
    (found,) = recover_folder(tmp_path)
    assert isinstance(found, Recovered)
    assert found.path == path


def test_a_notebook_that_is_as_far_as_its_journal_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "run.ipynb"
    recorder = open_run(path, [])
    recorder.end_turn(Stop("answer", answer="all"))
    trajectory = replace(load(path), verdict=Verdict("identical"))
    write(trajectory, path)
    before = path.read_bytes()
    recorder.close()
    found = recover(path)
    assert found is not None
    assert found.trajectory == trajectory
    assert (path.read_bytes(), files(tmp_path)) == (before, ["run.ipynb"])


def test_the_journal_of_another_run_is_neither_read_nor_removed(tmp_path: Path) -> None:
    path = killed_after(tmp_path, 3)
    other = load(path)
    write(replace(other, info=replace(other.info, run_id="run-2")), path)
    before = path.read_bytes()
    with pytest.raises(NotebookError, match="is not of the run in"):
        recover(path)
    assert (path.read_bytes(), files(tmp_path)) == (before, ["run.codeact.jsonl", "run.ipynb"])
    (said,) = recover_folder(tmp_path)
    assert isinstance(said, str)
    assert said.startswith("a run that was cut off cannot be saved: ")


def test_what_a_person_changed_before_it_was_recovered_is_kept_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "run.ipynb"
    recorder = open_run(path, [])
    write(load(path), path)
    recorder.begin_step(2, Reply(code="x = 2"))
    recorder.close()
    notebook = nbformat.read(path, as_version=4)
    next(cell for cell in notebook.cells if cell.id == "step-1").source = "mine = 1"
    nbformat.write(notebook, path)
    before = path.read_bytes()
    (tmp_path / "run-edited.ipynb").write_text("an older one")
    found = recover(path)
    assert found is not None
    assert found.kept == tmp_path / "run-edited-2.ipynb"
    assert found.kept.read_bytes() == before
    assert [step.reply.code for step in load(path).steps] == [FIRST, "x = 2"]


KILLED_WRITER = """
import os, signal, sys
from pathlib import Path
from codeact_kernel.notebook.replacing import replace_file
sys.addaudithook(lambda event, args: event == "os.rename" and os.kill(os.getpid(), signal.SIGKILL))
replace_file(Path(sys.argv[1]), b"half", "")
"""


def test_what_a_killed_writer_has_left_goes_and_that_of_others_stays(tmp_path: Path) -> None:
    path = killed_after(tmp_path, 1)
    for name in ("run.ipynb", "other.ipynb"):
        assert subprocess.run([sys.executable, "-c", KILLED_WRITER, tmp_path / name], check=False).returncode
    (mine,) = half_written(path)
    (others,) = half_written(tmp_path / "other.ipynb")
    assert files(tmp_path) == sorted([mine.name, others.name, "run.codeact.jsonl"])
    recover(path)
    assert files(tmp_path) == sorted([others.name, "run.ipynb"])


def test_recover_tells_what_it_found_and_how_to_go_on(command: Command, folder: Path) -> None:
    killed_after(folder, 3)
    shown = command("recover")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.splitlines() == [
        "Recovered run.ipynb: 2 steps, 4 tool calls done",
        "  in doubt, may have been done: step 2, refund(3)",
        "  To go on: codeact resume run.ipynb --tools FILE.py --in-doubt skip",
        "  (or --in-doubt retry, which makes the calls in doubt again)",
    ]
    again = command("recover", "run.ipynb")
    assert again.stdout.splitlines() == [
        "run.ipynb: nothing to recover, its run was not cut off",
        "No run was cut off here.",
    ]


@pytest.mark.parametrize(
    ("tool", "effect", "options"),
    [
        ("shop.refund", "write", " --mcp FILE --in-doubt skip"),
        ("shop.refund", "read", " --mcp FILE"),
        ("crm.refund", "write", " --tools FILE.py --mcp FILE --in-doubt skip"),
        ("", "write", " --mcp FILE"),
    ],
)
def test_how_to_go_on_names_what_the_run_had(
    tool: str, effect: Effect, options: str, command: Command, folder: Path
) -> None:
    specs = (ToolSpec("input", effect="read"), *([ToolSpec(tool, effect=effect)] if tool else []))
    modules = (ToolModule("shop", "mcp_servers"), ToolModule("crm", "toolkits"))
    setup = setup_source(SetupSpec("", (), specs, (), modules))
    recorder = JournalRecorder(folder / "run.ipynb", Redactor({}))
    recorder.begin(replace(info([]), setup=setup))
    recorder.begin_turn("refund it")
    recorder.begin_step(1, Reply("Now.", "refund(1)"))
    if tool:
        recorder.tool_intent(ToolCall(1, 1, tool, (1,), {}, None))
    recorder.close()
    shown = command("recover").stdout
    assert f"  To go on: codeact resume run.ipynb{options}\n" in shown
    assert ("--in-doubt retry" in shown) == ("--in-doubt" in options)


def test_recover_as_a_document(command: Command, folder: Path) -> None:
    killed_after(folder, 3)
    (folder / "bad.codeact.jsonl").write_text("{}\n")
    shown = command("recover", "--json")
    assert shown.returncode == 1
    document = json.loads(shown.stdout)
    (one,) = document["recovered"]
    assert (one["trajectory"], one["steps"]) == ("run.ipynb", 2)
    assert [(call["step"], call["name"], call["args"]) for call in one["in_doubt"]] == [(2, "refund", [3])]
    assert "not a journal of format version 1" in document["problems"][0]
    assert files(folder) == ["bad.codeact.jsonl", "run.ipynb"]


def test_recover_says_what_is_not_there(command: Command) -> None:
    shown = command("recover", "nothing.ipynb")
    assert shown.returncode == 2
    assert "'nothing.ipynb' does not exist; give a RUN.ipynb, its journal, or a folder" in shown.stderr


def test_a_folder_that_cannot_be_written_is_said_before_anything_runs() -> None:
    recorder = JournalRecorder(Path("/proc/run.ipynb"), Redactor({}))
    with pytest.raises(UsageError, match=r"cannot write '/proc/run.codeact.jsonl': .*; choose"):
        recorder.begin(info([]))


@pytest.mark.kernel
def test_the_next_run_in_the_folder_saves_those_that_were_cut_off(tmp_path: Path) -> None:
    path, events = killed_after(tmp_path, 3), list[Event]()
    going_on = open_run(tmp_path / "live.ipynb", [])
    (tmp_path / "bad.codeact.jsonl").write_text("{}\n")
    model = ScriptedModel([{"answer": "done"}])
    with Agent(model=model, out=tmp_path / "next.ipynb", verify=False) as agent:
        agent.run_sync("do it", on_event=events.append)
    said = [event.text for event in events if isinstance(event, Notice)]
    assert said[0].startswith("a run that was cut off cannot be saved: line 1 of the journal ")
    assert said[1:] == ["an earlier run that was cut off was saved: run.ipynb, 1 call in doubt"]
    assert len(load(path).steps) == 2
    going_on.close()
    kept = ["bad.codeact.jsonl", "live.codeact.jsonl", "next.ipynb", "run.ipynb"]
    assert files(tmp_path) == kept
