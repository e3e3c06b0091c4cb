"""A saved run goes on: nothing that is done is done again, and what is not as it was is told."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nbformat
import pytest

from codeact_kernel import Agent, ScriptedModel
from codeact_kernel.events import Event, Notice
from codeact_kernel.exceptions import UsageError
from codeact_kernel.models.scripted import Scripted
from codeact_kernel.notebook.edits import load_edited
from codeact_kernel.notebook.journal import journal_path
from codeact_kernel.notebook.load import load
from codeact_kernel.notebook.recover import recover
from codeact_kernel.notebook.writer import write
from codeact_kernel.trajectory import Action, Observation, Reply, Step, Stop
from codeact_kernel.wire.messages import Raised, Returned, ToolCall

from .conftest import SCRIPT
from .cut_off import FIRST, LOOP, TASK, Shop, killed_after, open_run

Command = Callable[..., "subprocess.CompletedProcess[str]"]
TOOLS = """
from codeact_kernel import tool

@tool
def refund(order: int) -> str:
    with open("effects", "a") as file:
        file.write(f"{order}\\n")
    return f"ok {order}"

@tool(effect="read")
def orders() -> list[int]:
    return list(range(10))
"""


def script(*replies: str | Scripted) -> ScriptedModel:
    """Strings are code."""
    return ScriptedModel([{"code": reply} if isinstance(reply, str) else reply for reply in replies])


def outcomes(step: Step) -> list[Any]:
    return [call.outcome for call in step.observation.tool_calls]


def finished(tmp_path: Path) -> Path:
    """A run that has ended with its answer."""
    path = tmp_path / "run.ipynb"
    recorder = open_run(path, Shop().tools)
    recorder.end_turn(Stop("answer", answer="all"))
    recorder.close()
    recover(path)
    return path


# --- without a kernel --------------------------------------------------------------------------


def test_a_call_in_doubt_has_to_be_decided_before_anything_starts(tmp_path: Path) -> None:
    path, shop = killed_after(tmp_path, 3), Shop()
    with Agent(shop.tools, model=script({"answer": "done"})) as agent:
        agent.resume(path)
        with pytest.raises(UsageError, match=r"in doubt: refund\(3\) began before the run was cut off"):
            agent.run_sync(None)
    assert (shop.made, os.listdir(tmp_path)) == ([], ["run.ipynb"])


def test_what_the_tools_say_of_themselves_now_counts_more_than_the_notebook(tmp_path: Path) -> None:
    path = tmp_path / "run.ipynb"
    recorder = open_run(path, Shop().tools)
    recorder.begin_step(2, Reply(code="orders()"))
    recorder.tool_intent(call := ToolCall(2, 1, "orders", (), {}, None))
    recorder.close()

    def orders() -> list[int]:  # It is no reading one any more.
        return []

    with Agent(Shop().tools, model=script()) as agent:
        assert agent.doubts(path) == []
    with Agent([orders], model=script()) as agent:
        assert agent.doubts(path) == [call]
        agent.resume(path)
        with pytest.raises(UsageError, match=r"in doubt: orders\(\) began before"):
            agent.run_sync(None)


def test_a_run_that_has_ended_is_not_gone_on_with_by_itself(tmp_path: Path) -> None:
    path = finished(tmp_path)
    with Agent(model=script()) as agent:
        agent.resume(path)
        with pytest.raises(UsageError, match="no task was cut off here, so there is none to go on with"):
            agent.run_sync(None)
    with Agent(model=script(), out=tmp_path / "new.ipynb") as agent, pytest.raises(UsageError):
        agent.run_sync(None)


def test_a_run_that_goes_on_elsewhere_is_not_resumed(tmp_path: Path) -> None:
    recorder = open_run(tmp_path / "run.ipynb", [])
    with Agent(model=script()) as agent, pytest.raises(UsageError, match="still goes on"):
        agent.resume(tmp_path / "run.ipynb")
    recorder.close()


def test_an_agent_resumes_before_its_first_task_only(tmp_path: Path) -> None:
    path = finished(tmp_path)
    agent = Agent(model=script())
    agent.close()
    with pytest.raises(UsageError, match="before its first task only"):
        agent.resume(path)


def test_a_setup_cell_that_was_edited_is_said(tmp_path: Path) -> None:
    path = finished(tmp_path)
    notebook = nbformat.read(path, as_version=4)
    next(cell for cell in notebook.cells if cell.id == "setup").source = "print('mine')"
    nbformat.write(notebook, path)
    with (
        Agent(model=script()) as agent,
        pytest.raises(UsageError, match=r"setup cell of .* was edited"),
    ):
        agent.resume(path)


def test_resume_without_a_terminal_names_the_calls_in_doubt(command: Command, folder: Path) -> None:
    killed_after(folder, 3)
    (folder / "tools.py").write_text(TOOLS)
    (folder / "script.jsonl").write_text('{"answer": "done"}\n')
    given = ("resume", "run.ipynb", "--tools", "tools.py", "--model", "scripted:script.jsonl")
    shown = command(*given)
    assert shown.returncode == 2
    assert "codeact: error: in doubt: refund(3) began before the run was cut off" in shown.stderr
    assert "--in-doubt retry" in shown.stderr
    assert not (folder / "effects").exists()


def test_resume_of_a_scripted_run_asks_for_a_model(command: Command, folder: Path) -> None:
    killed_after(folder, 3)
    shown = command("resume", "run.ipynb")
    assert shown.returncode == 2
    assert "the run had a scripted model; say which one goes on: --model scripted:FILE.jsonl" in shown.stderr


# --- with one ----------------------------------------------------------------------------------


@pytest.mark.kernel
def test_a_task_that_was_cut_off_goes_on_in_its_notebook(tmp_path: Path) -> None:
    path, shop, events = killed_after(tmp_path, 3), Shop(), list[Event]()
    model = script({"answer": "refunded"})
    with Agent(shop.tools, model=model) as agent:
        agent.resume(path, in_doubt="skip")
        run = agent.run_sync(None, on_event=events.append)
        assert run.answer == "refunded"
        assert run.path == path
        assert run.verified_sync().status == "identical"
    assert (shop.made, shop.asked) == ([4, 5, 6, 7, 8, 9], 0)
    saved = load(path)
    assert (saved.info.run_id, saved.turns[0].task, len(saved.turns)) == ("run-1", TASK, 1)
    _, now = saved.steps
    assert outcomes(now)[2:] == [
        Returned("ok 2"),
        outcomes(now)[3],
        *(Returned(f"ok {n}") for n in range(4, 10)),
    ]
    assert isinstance(outcomes(now)[3], Raised)
    assert os.listdir(tmp_path) == ["run.ipynb"]
    assert [event.text for event in events if isinstance(event, Notice)] == [
        "an earlier run that was cut off was saved: run.ipynb, 1 call in doubt",
        "restoring: 1 earlier step runs again, tools answered from the record",
    ]
    # The model was asked once, for what comes after the step.
    assert len(model.requests) == 1


@pytest.mark.kernel
def test_a_reading_call_in_doubt_is_made_again_and_without_tools_nothing_new_is(
    tmp_path: Path,
) -> None:
    """In a notebook of its own, which names its parent."""
    path, shop = tmp_path / "run.ipynb", Shop()
    recorder = open_run(path, shop.tools)
    recorder.begin_step(2, Reply(code="ids = orders()\nids += [refund(7)]\nrefund(8)"))
    recorder.tool_intent(ToolCall(2, 1, "orders", (), {}, None))
    recorder.tool_intent(call := ToolCall(2, 2, "refund", (7,), {}, None))
    recorder.tool_outcome(replace(call, outcome=Returned("ok 7")))
    recorder.close()
    only_orders, out = shop.tools[1:], tmp_path / "new.ipynb"
    with Agent(only_orders, model=script({"answer": "stuck"}), out=out, verify=False) as agent:
        agent.resume(path)  # "ask", and there is nothing to be asked.
        before = path.read_bytes()
        agent.run_sync(None)
    assert (shop.asked, shop.made) == (1, [])
    saved = load(out)
    step = saved.steps[1]
    assert outcomes(step) == [Returned(list(range(10))), Returned("ok 7")]
    assert step.observation.error is not None
    assert (step.observation.error.ename, step.observation.status) == ("NameError", "error")
    assert "no tool is called 'refund'" in step.observation.error.evalue
    parent = saved.info.parent
    assert parent is not None
    chain = nbformat.read(path, as_version=4).cells
    link = next(cell.metadata.codeact["chain"] for cell in chain if cell.id == "step-2")
    assert (parent.run_id, parent.step, parent.digest, parent.name) == ("run-1", 2, link, "run.ipynb")
    assert saved.info.run_id != "run-1"
    assert path.read_bytes() == before


@pytest.mark.kernel
def test_a_new_task_leaves_the_step_that_was_cut_off_as_it_is(tmp_path: Path) -> None:
    """And the model is told which names a step that timed out has taken along."""
    path, shop, events = tmp_path / "run.ipynb", Shop(), list[Event]()
    slow = Step(2, Reply(code="half = 1\nwhile True: pass"), Action("half = 1\nwhile True: pass"), TIMED_OUT)
    recorder = open_run(path, shop.tools, slow)
    recorder.begin_step(3, Reply(code=LOOP))
    recorder.tool_intent(ToolCall(3, 1, "refund", (0,), {}, None))
    recorder.close()
    model = script("len(ids)", {"answer": "seen"})
    with Agent(shop.tools, model=model, verify=False) as agent:
        agent.resume(path)
        run = agent.run_sync("how many are there?", on_event=events.append)
    assert (shop.made, shop.asked, run.steps) == ([], 0, 1)
    first, second = load(path).turns
    assert [step.observation.status for step in first.steps] == ["ok", "timeout", "killed"]
    assert outcomes(first.steps[2]) == [None]
    (note,) = second.notes
    assert note.endswith("these names could not be rebuilt: half.")
    assert Notice(note) in events
    assert second.steps[0].index == 4
    assert second.steps[0].observation.text("text/plain") == "" or "10" in str(
        second.steps[0].observation.shown
    )
    told = str(model.requests[0].messages)
    assert note in told
    assert "the run was cut off here" in told


TIMED_OUT = Observation("timeout", (), "stopped after 120 s", 3, ("half",))


@pytest.mark.kernel
def test_what_a_person_has_edited_is_run_and_told(tmp_path: Path) -> None:
    path, events = tmp_path / "run.ipynb", list[Event]()
    call = ToolCall(2, 1, "refund", (2,), {}, Returned("ok 2"))
    observation = Observation("ok", names=("rate",), tool_calls=(call,))
    steps = [
        Step(2, Reply(code="rate = refund(2)"), Action("rate = refund(2)"), observation),
        Step(3, Reply(code="gone = 1"), Action("gone = 1"), Observation("ok", names=("gone",))),
        Step(4, Reply(code="print(rate)"), Action("print(rate)"), Observation("ok")),
        Step(5, Reply(code="while True: pass"), Action("while True: pass"), replace(TIMED_OUT, names=())),
    ]
    recorder = open_run(path, Shop().tools, *steps)
    recorder.end_turn(Stop("answer", answer="done"))
    recorder.close()
    recover(path)
    notebook = nbformat.read(path, as_version=4)
    cells = {cell.id: cell for cell in notebook.cells}
    cells["step-2"].source = "rate = 3"
    notebook.cells.insert(notebook.cells.index(cells["step-4"]), nbformat.v4.new_code_cell("added = 5"))
    notebook.cells.remove(cells["step-3"])
    nbformat.write(notebook, path)
    seen: list[list[str]] = []

    def look() -> None:
        # While the run is on, its record has it all: also what is not yet in the journal.
        seen.append([step.action.code for step in load(path).steps if step.action is not None])

    last = "look()\nprint(rate + added, 'gone' in globals())"
    model = script(last, {"answer": "done"})
    with Agent([look], model=model) as agent:
        agent.resume(path)
        run = agent.run_sync("and now?", on_event=events.append)
        assert run.verified_sync().classes == ("tool",)  # The call that the changed cell does not make.
    told = [
        "A person has changed the code of step 2.",
        "A person has added a cell after step 2; it is step 6 here.",
        "A person has removed step 3.",
    ]
    assert run.trajectory.turns[-1].notes[:3] == tuple(told)
    assert all(text in str(model.requests[0].messages) for text in told)
    assert [event.text for event in events if isinstance(event, Notice)][1:4] == told
    saved = load(path)
    assert [step.index for step in saved.steps] == [1, 2, 6, 4, 5, 7]
    # It is the record now; only what was recorded and is no longer there is still told.
    assert [edit.text for edit in load_edited(path).edits] == told[2:]
    assert saved.steps[3].observation.text("stdout") == "3\n"  # As it is now, not as it was recorded.
    assert saved.steps[4].observation.status == "timeout"
    assert saved.steps[5].observation.text("stdout") == "8 False\n"
    assert saved.steps[1].observation.tool_calls == (call,)  # It was made, whatever the code says now.
    assert seen == [[FIRST, "rate = 3", "added = 5", "print(rate)", "while True: pass", last]]


@pytest.mark.kernel
def test_a_notebook_that_changed_since_it_was_read_is_not_written_over(tmp_path: Path) -> None:
    path = finished(tmp_path)
    with Agent(model=script("1", {"answer": "x"})) as agent:
        agent.resume(path)
        other = replace(load(path), turns=())
        write(other, path)
        with pytest.raises(UsageError, match="was changed after it was read to go on from it"):
            agent.run_sync("more")
        assert load(path) == other
        assert not journal_path(path).exists()
        agent.resume(path)
        assert agent.run_sync("more").answer == "x"


@pytest.mark.kernel
def test_a_person_at_the_terminal_is_asked(environment: dict[str, str], folder: Path) -> None:
    killed_after(folder, 3)
    (folder / "tools.py").write_text(TOOLS)
    (folder / "script.jsonl").write_text('{"answer": "done"}\n')
    command = [str(SCRIPT), "resume", "run.ipynb", "--tools", "tools.py", "--no-verify"]
    host, terminal = pty.openpty()
    with open(host, "wb") as keys:
        with subprocess.Popen(
            [*command, "--model", "scripted:script.jsonl"],
            stdin=terminal,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
            env=environment,
        ) as process:
            os.close(terminal)
            keys.write(b"y\n")
            keys.flush()
            shown, said = process.communicate(timeout=100)
    assert process.returncode == 0, said
    assert said == "In doubt, may have been done: refund(3)\nCall it again? [y/N] "
    assert (folder / "effects").read_text().split() == ["3", "4", "5", "6", "7", "8", "9"]
    assert "refund(3) = 'ok 3'" in shown
