"""A saved run is read with what a person changed; what cannot be read is said and left alone."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nbformat
import pytest

from codeact_kernel.exceptions import NotebookError
from codeact_kernel.notebook import journal_reader
from codeact_kernel.notebook import load as load_module
from codeact_kernel.notebook.journal import JournalRecorder
from codeact_kernel.notebook.load import load
from codeact_kernel.notebook.redact import Redactor
from codeact_kernel.notebook.writer import write
from codeact_kernel.outputs import Stream
from codeact_kernel.trajectory import Trajectory
from codeact_kernel.wire import setup_tape
from codeact_kernel.wire.messages import Returned, ToolCall
from codeact_kernel.wire.setup_lines import pack, quotable
from codeact_kernel.wire.setup_tape import read_tape, tape_lines


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


# --- what a stranger may have put there ---


@pytest.mark.parametrize("kind", ["device", "pipe", "folder"])
def test_what_is_no_file_is_not_read_and_not_waited_for(kind: str, run: Trajectory, path: Path) -> None:
    """Git carries links, also one to /dev/zero, which has no end."""
    make: dict[str, Callable[[Path], None]] = {
        "device": lambda place: place.symlink_to("/dev/zero"),
        "pipe": os.mkfifo,
        "folder": Path.mkdir,
    }
    make[kind](path.with_name("run.codeact.jsonl"))
    assert load(path) == run
    path.unlink()
    with pytest.raises(NotebookError, match=r"the journal .* is a folder, a device or a pipe"):
        load(path)
    make[kind](path)
    with pytest.raises(NotebookError, match=r"the notebook .* is a folder, a device or a pipe"):
        load(path)


def test_a_file_that_is_too_large_is_not_read(path: Path) -> None:
    for name, size in (("run.codeact.jsonl", 2 * 10**9), ("run.ipynb", 10**9)):
        with path.with_name(name).open("ab") as file:
            file.truncate(size)  # With a hole: nothing is written.
    with pytest.raises(NotebookError, match=r"the notebook .* has 1,000,000,000 bytes; at most"):
        load(path)
    path.unlink()
    with pytest.raises(NotebookError, match=r"the journal .* has 2,000,000,000 bytes; at most"):
        load(path)


def test_a_file_of_too_many_values_is_not_parsed(
    run: Trajectory, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In miniature: what is refused at twenty million values takes seconds to be made."""
    for module in (load_module, journal_reader):
        monkeypatch.setattr(module, "MAX_STRUCTURE", 100_000)
    assert load(path) == run
    record(run, path)
    with path.with_name("run.codeact.jsonl").open("ab") as file:
        file.write(b'{"t":"turn","task":"","x":[' + b"[]," * 60_000 + b"[]]}\n")
    assert load(path) == run
    whole = path.read_bytes().rstrip().removesuffix(b"}")
    path.write_bytes(whole + b',"x":[' + b"[]," * 60_000 + b"[]]}")
    with pytest.raises(NotebookError, match="holds more than"):
        load(path)
    path.unlink()
    with pytest.raises(NotebookError, match=r"line \d+ of the journal .* holds more than"):
        load(path)


def test_a_line_without_end_is_not_read(run: Trajectory, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record(run, path)
    path.unlink()
    monkeypatch.setattr(journal_reader, "MAX_LINE_BYTES", 100)
    with pytest.raises(NotebookError, match=r"line 1 of the journal .* has 100 bytes or more"):
        load(path)


def with_setup(path: Path, *lines: str) -> None:
    """These lines of tape put into the setup cell."""

    def change(cells: Any) -> None:
        source = cells["setup"].source
        cells["setup"].source = source.replace("\n''')", "\n" + "\n".join([*lines, "''')"]))

    edit(path, change)


def data_line(text: bytes) -> str:
    name = "sha256:" + hashlib.sha256(text).hexdigest()
    return quotable({"data": name, "bytes": len(text), "preview": "", "zlib": pack(text)})


def test_a_small_notebook_does_not_fill_the_memory(path: Path) -> None:
    """It would take 128 MB, in 12 kB of notebook."""
    with_setup(path, data_line(b"[" + b"[]," * 2_000_000 + b"[]]"))
    tracemalloc.start()
    try:
        with pytest.raises(NotebookError, match=r"recorded values of 4,000,002 parts; at most 2,0"):
            load(path)
        assert tracemalloc.get_traced_memory()[1] < 40_000_000
    finally:
        tracemalloc.stop()


def test_many_values_of_a_small_notebook_do_not_fill_the_memory(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup_tape, "FREE_VALUES", 100_000)
    with_setup(path, *[data_line(b"[" + b"%d," % n + b"[]," * 25_000 + b"[]]") for n in range(3)])
    with pytest.raises(NotebookError, match=r"recorded values of 150,0\d+ parts; at most 10"):
        load(path)
    monkeypatch.setattr(setup_tape, "FREE_VALUES", 200_000)
    load(path)
    monkeypatch.setattr(setup_tape, "FREE_BYTES", 200_000)
    with pytest.raises(NotebookError, match=r"a recorded value of 75\d+ bytes; at most"):
        load(path)


def test_a_large_value_of_an_honest_tape_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers that hardly compress: there may be as many as their size in the notebook accounts for."""
    monkeypatch.setattr(setup_tape, "FREE_VALUES", 50_000)
    numbers = random.Random(1)
    values = [numbers.randrange(10**6) for _ in range(50_000)]
    call = ToolCall(1, 1, "f", (values, list(range(50_000))), {}, Returned(None))
    assert read_tape(list(tape_lines([call]))) == (call,)


def test_a_setup_cell_without_end_is_not_parsed(path: Path) -> None:
    edit(path, lambda cells: cells["setup"].update(source="1+" * 9_000_000 + "1"))
    with pytest.raises(NotebookError, match=r"is a setup cell of 18,000,001 characters"):
        load(path)


NUMBERS = ["Infinity", "-Infinity", "NaN", "-1", "1e999", "-0.5", "1" + "0" * 400]


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: number[:9])
@pytest.mark.parametrize("key", ["duration_s", "cost_usd", "input_tokens", "call_seconds", "step_timeout_s"])
def test_a_number_that_is_none_is_a_clear_error_or_left_out(key: str, number: str, path: Path) -> None:
    text = path.read_text()
    match key:
        case "step_timeout_s":
            changed = text.replace('"info": {', f'"info": {{"limits": {{"{key}": {number}}},', 1)
        case "call_seconds":
            changed = re.sub(r'("call_seconds": \[\s*)[\d.]+', rf"\g<1>{number}", text, count=1)
        case _:
            changed = re.sub(rf'("{key}": )[\d.]+', rf"\g<1>{number}", text, count=1)
    assert changed != text
    path.write_text(changed)
    try:
        trajectory = load(path)
    except NotebookError as problem:
        assert "should be a" in str(problem)  # noqa: PT017  # either outcome is right
    else:
        seconds = [call.duration_s for step in trajectory.steps for call in step.observation.tool_calls]
        assert all(0 <= second < 100 for second in seconds)
        assert key != "duration_s"


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
