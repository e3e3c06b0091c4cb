"""What a person has changed in a saved run by hand is understood, and told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest

from codeact_kernel.notebook.edits import MAX_REMOVED, Edit, load_edited
from codeact_kernel.notebook.journal import JournalRecorder
from codeact_kernel.notebook.load import load
from codeact_kernel.notebook.redact import Redactor
from codeact_kernel.notebook.writer import write
from codeact_kernel.outputs import Stream
from codeact_kernel.trajectory import Trajectory


@pytest.fixture
def path(run: Trajectory, tmp_path: Path) -> Path:
    path = tmp_path / "run.ipynb"
    write(run, path)
    return path


def edit(path: Path, change: Callable[[Any, dict[str, Any]], None]) -> None:
    """As a person would in JupyterLab: the cells, and the cells by id."""
    notebook = nbformat.read(path, as_version=4)
    change(notebook.cells, {cell.id: cell for cell in notebook.cells})
    nbformat.write(notebook, path)


def place(cells: Any, name: str) -> int:
    return next(number for number, cell in enumerate(cells) if cell.id == name)


def test_a_run_that_nobody_touched_has_no_edits(run: Trajectory, path: Path) -> None:
    found = load_edited(path)
    assert (found.trajectory, found.edits) == (run, ())
    # What a fork's parent is known by.
    metadata = {cell.id: cell.metadata.codeact for cell in nbformat.read(path, as_version=4).cells}
    assert dict(found.chain) == {n: metadata[f"step-{n}"]["chain"] for n in range(1, 6)}
    assert len(set(found.chain.values())) == 5


def test_what_jupyterlab_does_by_itself_is_no_edit(run: Trajectory, path: Path) -> None:
    def change(cells: Any, by_id: dict[str, Any]) -> None:
        for cell in cells:
            if cell.cell_type == "code":
                cell.execution_count, cell.outputs = None, []  # "Clear outputs of all cells"
                cell.metadata["collapsed"] = True

    edit(path, change)
    assert load_edited(path).edits == ()


def test_a_changed_cell_is_what_the_model_is_told_it_wrote(run: Trajectory, path: Path) -> None:
    edit(path, lambda cells, by_id: by_id["step-1"].update(source="x = refund(7, note='x')\nx"))
    found = load_edited(path)
    assert found.edits == (Edit("changed", 1),)
    step = found.trajectory.steps[0]
    assert step.action is not None
    assert step.action.code == step.reply.code == "x = refund(7, note='x')\nx"
    assert step.reply.raw == ""  # What the endpoint had sent is not what stands there now.
    assert "changed the code of step 1" in found.edits[0].text


def test_a_step_that_timed_out_and_was_changed_is_to_be_run(path: Path) -> None:
    edit(path, lambda cells, by_id: by_id["step-3"].update(source="x = 3"))
    step = load_edited(path).trajectory.steps[2]
    assert step.observation.status == "error"
    assert step.action is not None
    assert step.action.code == "x = 3"


def test_added_cells_are_steps_in_their_place_with_numbers_of_their_own(run: Trajectory, path: Path) -> None:
    def change(cells: Any, by_id: dict[str, Any]) -> None:
        shown = nbformat.v4.new_output("stream", name="stdout", text="9\n")
        after_two = nbformat.v4.new_code_cell("y = 9\nprint(y)", outputs=[shown], execution_count=7)
        cells.insert(place(cells, "step-2") + 1, after_two)
        cells.insert(place(cells, "step-1"), nbformat.v4.new_code_cell("first = 1"))
        cells.append(nbformat.v4.new_markdown_cell("a remark"))
        cells.append(nbformat.v4.new_code_cell("  \n"))

    edit(path, change)
    found = load_edited(path)
    assert [step.index for step in found.trajectory.steps] == [6, 1, 2, 7, 3, 4, 5]
    assert found.edits == (Edit("added", 6, 0), Edit("added", 7, 2))
    added = found.trajectory.steps[3]
    assert added.action is not None
    assert (added.action.code, added.observation.shown) == ("y = 9\nprint(y)", (Stream("stdout", "9\n"),))
    assert found.edits[1].text == "A person has added a cell after step 2; it is step 7 here."
    assert found.trajectory.next_index == 8
    # Who reads what was recorded does not see them.
    assert load(path) == run


def test_a_cell_that_failed_when_a_person_ran_it_has_failed(path: Path) -> None:
    def change(cells: Any, by_id: dict[str, Any]) -> None:
        error = nbformat.v4.new_output("error", ename="ValueError", evalue="no", traceback=["ValueError: no"])
        cells.append(nbformat.v4.new_code_cell("raise ValueError('no')", outputs=[error]))

    edit(path, change)
    assert load_edited(path).trajectory.steps[-1].observation.status == "error"


def test_cells_before_the_setup_cell_are_not_part_of_the_run(path: Path) -> None:
    edit(path, lambda cells, by_id: cells.insert(0, nbformat.v4.new_code_cell("%load_ext autoreload")))
    assert load_edited(path).edits == ()


def test_removed_cells_are_told(run: Trajectory, path: Path) -> None:
    def change(cells: Any, by_id: dict[str, Any]) -> None:
        cells[:] = [cell for cell in cells if cell.id not in ("step-2", "step-4")]

    edit(path, change)
    found = load_edited(path)
    assert [step.index for step in found.trajectory.steps] == [1, 3, 5]
    assert found.edits == (Edit("removed", 2), Edit("removed", 4))
    assert [each.text for each in found.edits] == [
        "A person has removed step 2.",
        "A person has removed step 4.",
    ]


def test_a_copy_of_a_cell_is_not_a_second_step(path: Path) -> None:
    def change(cells: Any, by_id: dict[str, Any]) -> None:
        copy = nbformat.from_dict(dict(by_id["step-1"]))
        copy.id = "copied"
        cells.append(copy)

    edit(path, change)
    found = load_edited(path)
    assert [step.index for step in found.trajectory.steps] == [1, 2, 3, 4, 5]
    assert found.edits == ()


def test_moved_cells_are_run_in_the_order_that_they_stand_in(path: Path) -> None:
    def change(cells: Any, by_id: dict[str, Any]) -> None:
        cells.insert(place(cells, "step-1"), cells.pop(place(cells, "step-2")))

    edit(path, change)
    found = load_edited(path)
    assert [step.index for step in found.trajectory.steps][:2] == [2, 1]
    assert found.edits == (Edit("moved", 1, 2),)


def test_a_notebook_of_removed_steps_without_number_does_not_fill_the_memory(path: Path) -> None:
    edit(path, lambda cells, by_id: by_id["step-5"].metadata.codeact.update(step=10**15))
    assert len(load_edited(path).edits) == MAX_REMOVED


def test_a_journal_that_is_further_on_is_read_without_edits(run: Trajectory, path: Path) -> None:
    edit(path, lambda cells, by_id: by_id["step-1"].update(source="x = 1"))
    recorder = JournalRecorder(path, Redactor({}), resumes=True)
    recorder.begin(run.info)
    recorder.again(run.turns)
    recorder.begin_turn("one more")
    recorder.close()
    found = load_edited(path)
    assert found.edits == ()
    assert found.trajectory.turns[-1].task == "one more"
