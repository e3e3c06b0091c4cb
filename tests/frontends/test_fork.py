"""A branch of a saved run: after any step, with other code, another task, and its own notebook."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest

from codeact_kernel import Agent, ScriptedModel
from codeact_kernel.exceptions import UsageError
from codeact_kernel.models.scripted import Scripted
from codeact_kernel.notebook.edits import load_edited
from codeact_kernel.notebook.load import load
from codeact_kernel.notebook.recover import recover
from codeact_kernel.trajectory import Action, Observation, Parent, Reply, Step, Stop
from codeact_kernel.wire.messages import Returned, ToolCall

from .cut_off import FIRST, TASK, Shop, open_run
from .test_resume import TOOLS, script

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Three steps, the second of which refunds an order, and an answer."""
    return saved(tmp_path)


def saved(folder: Path) -> Path:
    path = folder / "run.ipynb"
    call = ToolCall(2, 1, "refund", (3,), {}, Returned("ok 3"))
    said = Observation("ok", names=("said",), tool_calls=(call,))
    steps = [
        Step(2, Reply(code="said = refund(ids[3])"), Action("said = refund(ids[3])"), said),
        Step(
            3, Reply(code="said = 'nothing'"), Action("said = 'nothing'"), Observation("ok", names=("said",))
        ),
    ]
    recorder = open_run(path, Shop().tools, *steps)
    recorder.end_turn(Stop("answer", answer="all"))
    recorder.close()
    recover(path)
    return path


def codes(path: Path) -> list[str]:
    return [step.action.code for step in load(path).steps if step.action is not None]


def fork(
    path: Path, at: int, task: str | None, *replies: str | Scripted, code: str | None = None
) -> tuple[Path, Shop, ScriptedModel]:
    shop, out, model = Shop(), path.with_name("fork.ipynb"), script(*replies)
    before = path.read_bytes()
    with Agent(shop.tools, model=model, out=out) as agent:
        agent.fork(path, at, code=code)
        run = agent.run_sync(task)
        assert run.verified_sync().status == "identical"
    assert path.read_bytes() == before
    return out, shop, model


# --- without a kernel --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "code", "says"),
    [
        (4, None, "has no step 4; it has 3 steps: 1 to 3"),
        (0, "x = 1", "there is no code of step 0 to change"),
    ],
)
def test_a_step_that_is_not_there(at: int, code: str | None, says: str, path: Path) -> None:
    with (
        Agent(model=script(), out=path.with_name("fork.ipynb")) as agent,
        pytest.raises(UsageError, match=says),
    ):
        agent.fork(path, at, code=code)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "--at is missing: say after which step the branch begins"),
        (("--at", "2", "--edit"), "the editor 'false' ended with 1; nothing was run"),
    ],
)
def test_what_is_asked_for_wrongly(
    options: tuple[str, ...], says: str, command: Command, folder: Path
) -> None:
    saved(folder)
    (folder / "script.jsonl").write_text('{"answer": "done"}\n')
    shown = command(
        "fork", "run.ipynb", *options, "--model", "scripted:script.jsonl", EDITOR="false", VISUAL=""
    )
    assert shown.returncode == 2
    assert says in shown.stderr
    assert sorted(file.name for file in folder.iterdir()) == ["run.ipynb", "script.jsonl"]


# --- with one ----------------------------------------------------------------------------------


@pytest.mark.kernel
def test_another_task_after_a_step(path: Path) -> None:
    out, shop, model = fork(path, 2, "what was said?", "print(said)", {"answer": "ok"})
    assert (shop.made, shop.asked) == ([], 0)
    branch = load(out)
    assert [turn.task for turn in branch.turns] == [TASK, "what was said?"]
    assert codes(out) == [FIRST, "said = refund(ids[3])", "print(said)"]
    assert branch.steps[2].observation.text("stdout") == "ok 3\n"
    # Its parent: which run, and as it was up to that step.
    cells = {cell.id: cell for cell in nbformat.read(path, as_version=4).cells}
    link = cells["step-2"].metadata.codeact["chain"]
    assert link
    assert branch.info.parent == Parent("run-1", 2, link, "run.ipynb")
    assert branch.info.run_id != "run-1"
    assert "run.ipynb" in nbformat.read(out, as_version=4).cells[0].source
    assert "nothing" not in str(model.requests[0].messages)


@pytest.mark.kernel
def test_other_code_for_a_step_and_the_model_goes_on(path: Path) -> None:
    out, shop, model = fork(path, 2, None, "print(said)", {"answer": "ok"}, code="said = refund(ids[4])")
    assert shop.made == [4]  # That call is new: it was not recorded.
    branch = load(out)
    assert [turn.task for turn in branch.turns] == [TASK]
    assert [step.index for step in branch.steps] == [1, 2, 3]
    assert branch.steps[2].observation.text("stdout") == "ok 4\n"
    assert branch.info.parent is not None
    assert (branch.info.parent.step, branch.info.parent.digest) == (1, load_edited(path).chain[1])
    assert len(model.requests) == 2


@pytest.mark.kernel
def test_other_code_and_another_task(path: Path) -> None:
    out, shop, model = fork(path, 3, "and then?", {"answer": "ok"}, code="said = 'something'\nprint(said)")
    assert shop.made == []
    first, second = load(out).turns
    assert ([step.index for step in first.steps], second.task) == ([1, 2], "and then?")
    assert [step.observation.text("stdout") for step in second.steps] == ["something\n"]
    assert "something" in str(model.requests[0].messages)


@pytest.mark.kernel
def test_from_the_beginning(path: Path) -> None:
    out, shop, _ = fork(path, 0, None, "refund(1)", {"answer": "ok"})
    assert shop.made == [1]
    branch = load(out)
    assert ([turn.task for turn in branch.turns], codes(out)) == ([TASK], ["refund(1)"])
    assert branch.info.parent == Parent("run-1", 0, "", "run.ipynb")


@pytest.mark.kernel
def test_the_command_with_an_editor(command: Command, folder: Path) -> None:
    saved(folder)
    (folder / "tools.py").write_text(TOOLS)
    (folder / "script.jsonl").write_text('{"answer": "done"}\n')
    editor = folder / "editor.sh"
    editor.write_text('#!/bin/sh\nsed -i "s/3/5/" "$2"\n')
    editor.chmod(0o700)
    given = ("fork", "run.ipynb", "--at", "2", "--edit", "--tools", "tools.py", "--out", "fork.ipynb")
    shown = command(*given, "--model", "scripted:script.jsonl", EDITOR=f"{editor} -q", VISUAL="")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert codes(folder / "fork.ipynb") == [FIRST, "said = refund(ids[5])"]
    assert (folder / "effects").read_text().split() == ["5"]
    assert "Verified: the notebook was run again, and nothing differs." in shown.stdout
