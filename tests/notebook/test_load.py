"""A saved run is read with what a person changed; what cannot be read is said and left alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nbformat
import pytest

from codeact_kernel.exceptions import NotebookError
from codeact_kernel.notebook.journal import JournalRecorder
from codeact_kernel.notebook.load import load
from codeact_kernel.notebook.redact import Redactor
from codeact_kernel.notebook.writer import write
from codeact_kernel.outputs import Stream
from codeact_kernel.trajectory import Trajectory
from codeact_kernel.wire.messages import Returned, ToolCall


@pytest.fixture
def path(run: Trajectory, tmp_path: Path) -> Path:
    path = tmp_path / "run.ipynb"
    write(run, path)
    return path


def edit(path: Path, change: Callable[[Any], None]) -> None:
    """As a person would in JupyterLab: read, change, save."""
    notebook = nbformat.read(path, as_version=4)
    change({cell.id: cell for cell in notebook.cells} | {"": notebook})
    nbformat.write(notebook, path)


def test_what_was_saved_is_loaded(run: Trajectory, path: Path) -> None:
    assert load(path) == run


def test_sources_win_over_metadata(path: Path) -> None:
    def change(cells: Any) -> None:
        cells["step-1"].source = "x = 1"
        cells["turn-1"].source = "## Task\n\n> something\n> else"
        cells["step-1-thought"].source = "> now"
        cells["step-3"].source = cells["step-3"].source.replace("pass", "break")
        cells["step-4"].source = "x = 2"  # The %%recorded line taken away.

    edit(path, change)
    first, _, third, fourth, _ = load(path).steps
    assert first.action is not None
    assert third.action is not None
    assert fourth.action is not None
    assert (first.action.code, first.reply.code, first.reply.thought) == ("x = 1", "x = 1", "now")
    assert third.action.code == "while True: break"
    assert fourth.action.code == "x = 2"
    assert load(path).turns[0].task == "something\nelse"


def test_outputs_win_over_metadata(path: Path) -> None:
    def change(cells: Any) -> None:
        cells["step-1"].outputs[1].data["text/plain"] = "another figure"
        cells["step-1"].outputs[2].data["text/plain"] = "43"
        cells["step-2"].outputs = [nbformat.v4.new_output("stream", text="fine")]
        cells["step-3"].outputs = []
        cells["step-1"].execution_count = 9

    edit(path, change)
    first, second, third, *_ = load(path).steps
    display, result = first.observation.shown[1:]
    assert getattr(display, "display_id", "gone") is None  # It belonged to the output that was changed.
    assert getattr(result, "data", None) == {"text/plain": "43"}
    assert second.observation.shown == (Stream("stdout", "fine"),)
    assert third.observation.shown == ()
    assert first.observation.execution_count == 9


def test_cells_of_others_and_copies_are_left_out(run: Trajectory, path: Path) -> None:
    def change(cells: Any) -> None:
        notebook = cells[""]
        copy = nbformat.from_dict({**cells["step-1"], "id": "copy", "source": "x = 'copy'"})
        notebook.cells += [nbformat.v4.new_code_cell("mine"), nbformat.v4.new_markdown_cell("mine"), copy]

    edit(path, change)
    assert load(path) == run


def test_a_deleted_step_is_deleted(run: Trajectory, path: Path) -> None:
    edit(path, lambda cells: cells[""].cells.remove(cells["step-2"]))
    record(run, path)  # As long as the notebook was; that a person deleted a step does not make it longer.
    assert [step.index for step in load(path).steps] == [1, 3, 4, 5]


def record(run: Trajectory, path: Path) -> None:
    """The journal of `run` beside its notebook."""
    aside = path.rename(path.with_suffix(".aside"))
    recorder = JournalRecorder(path, Redactor({}))
    recorder.begin(run.info)
    for turn in run.turns:
        recorder.begin_turn(turn.task)
        for step in turn.steps:
            recorder.end_step(step)
        if turn.stop is not None:
            recorder.end_turn(turn.stop)
    recorder.close()
    aside.rename(path)


def test_a_longer_journal_is_read_instead(run: Trajectory, path: Path) -> None:
    call = ToolCall(6, 1, "refund", (1,), {}, Returned(None))
    more = replace(run.steps[0], index=6, notes=("only in the journal",))
    more = replace(more, observation=replace(more.observation, tool_calls=(call,)))
    longer = run.with_step(more)
    record(longer, path)
    assert load(path) == longer


def test_a_notebook_as_long_as_its_journal_is_read_itself(run: Trajectory, path: Path) -> None:
    record(run, path)
    edit(path, lambda cells: cells["step-1"].update(source="edited"))
    assert load(path).steps[0].reply.code == "edited"


def test_the_journal_of_another_run_is_not_read(run: Trajectory, path: Path) -> None:
    record(replace(run.with_task("more"), info=replace(run.info, run_id="another")), path)
    assert load(path) == run


def test_a_journal_alone_is_enough(run: Trajectory, path: Path) -> None:
    record(run, path)
    path.unlink()
    assert load(path) == run


def test_a_damaged_journal_does_not_hide_the_notebook(run: Trajectory, path: Path) -> None:
    record(run, path)
    path.with_name("run.codeact.jsonl").write_text("garbage\n")
    assert load(path) == run
    path.unlink()
    with pytest.raises(NotebookError, match="line 1"):
        load(path)


FOREIGN = nbformat.writes(nbformat.v4.new_notebook())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "damaged or cut off"),
        ("{", "damaged or cut off"),
        ("[" * 100_000, "damaged or cut off"),
        ("\udcff", "damaged or cut off"),
        ("[]", "JSON but no notebook"),
        ('{"nbformat": 3}', "has nbformat 3; only 4 is read"),
        (FOREIGN, "no run of codeact_kernel"),
        ('{"nbformat": 4, "metadata": {"codeact": {"schema_version": 2}}}', "pip install -U"),
        ('{"nbformat": 4, "metadata": {"codeact": {"schema_version": 1}}}', "metadata was damaged"),
        ('{"nbformat": 4, "metadata": {"codeact": {"schema_version": 1, "info": {}}}}', "run_id"),
    ],
)
def test_what_is_no_saved_run_is_refused_and_left_alone(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "run.ipynb"
    data = text.encode("utf-8", "surrogateescape")
    path.write_bytes(data)
    with pytest.raises(NotebookError, match=says):
        load(path)
    assert path.read_bytes() == data
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_notebook_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotebookError, match=r"cannot read the notebook .*No such file"):
        load(tmp_path / "run.ipynb")


def test_a_truncated_notebook_is_refused_wherever_it_ends(path: Path) -> None:
    data = path.read_bytes().rstrip()
    for size in range(0, len(data), 97):
        path.write_bytes(data[:size])
        with pytest.raises(NotebookError, match="damaged or cut off"):
            load(path)


ODD: list[Any] = [None, 1, True, "x", [], {}, [1], {"x": 1}]


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_damaged_metadata_is_a_clear_error_or_no_loss(odd: Any, path: Path) -> None:
    """Every value of every cell, one after the other, replaced: never another exception."""
    whole = json.loads(path.read_text())
    for number, cell in enumerate(whole["cells"]):
        kept = cell["metadata"]["codeact"]
        for owner, key in [(cell, key) for key in cell] + [(kept, key) for key in kept]:
            before = owner[key]
            owner[key] = odd
            path.write_text(json.dumps(whole))
            try:
                assert load(path).info.run_id == "run-1", (number, key)
            except NotebookError as problem:
                assert "run.ipynb" in str(problem)  # noqa: PT017  # either outcome is right
            owner[key] = before
