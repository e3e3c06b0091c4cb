"""A run with data: the notebook carries the small ones, says what is missing, and what has changed."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook
from traitlets.config import Config

from codeact_kernel.config import SandboxProfile
from codeact_kernel.exceptions import NotebookError
from codeact_kernel.frontends.recorded_data import data_notes, hosted_setup, import_note, provided
from codeact_kernel.notebook.cells import setup_spec
from codeact_kernel.notebook.data import record_data
from codeact_kernel.notebook.load import load
from codeact_kernel.notebook.redact import Redactor
from codeact_kernel.notebook.writer import write
from codeact_kernel.trajectory import RunInfo, Trajectory
from codeact_kernel.wire.setup import SetupSpec, setup_source

from .conftest import Command

BIG = b"big " * 20_000


def trajectory(*data: Path, profile: tuple[str, ...] | None = None) -> Trajectory:
    files = record_data(data, Redactor({}))
    recorded = [str(path) for path in data] if profile is None else list(profile)
    source = setup_source(SetupSpec("r", ("torch", "statistics"), files=files))
    return Trajectory(RunInfo("r", "m", "", source, profile={"data": recorded}))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    made = tmp_path / "there"
    (made / "set/sub").mkdir(parents=True)
    (made / "pay.csv").write_text("a,1\n")
    (made / "big.bin").write_bytes(BIG)
    (made / "set/sub/x.csv").write_text("x")
    return made


def test_embedded_data_is_provided_while_it_is_needed(data: Path) -> None:
    told = trajectory(data / "pay.csv", data / "big.bin", data / "set")
    with provided(told, SandboxProfile()) as paths:
        assert [path.name for path in paths] == ["pay.csv", "set"]
        assert paths[0].read_text() == "a,1\n"
        assert (paths[1] / "sub/x.csv").read_text() == "x"
    assert not any(path.exists() for path in paths)
    mine = (data / "pay.csv", data / "set")
    with provided(told, SandboxProfile(data=mine)) as paths:
        assert paths == mine
    (data / "work/data/pay.csv").mkdir(parents=True)
    with provided(told, SandboxProfile(workspace=data / "work")) as paths:
        assert [path.name for path in paths] == ["set"]


def test_what_is_lacking_is_named(data: Path) -> None:
    (data / "set/large").write_bytes(BIG)
    (data / "set/large too").write_bytes(BIG)
    told = trajectory(data / "pay.csv", data / "big.bin", data / "set")
    assert data_notes(told, ()) == ["the run read big.bin (80 kB), set (160 kB); give that with --data"]
    assert data_notes(told, (data / "set",)) == ["the run read big.bin (80 kB); give that with --data"]
    assert data_notes(told, (data / "set", data / "big.bin")) == []
    older = trajectory(profile=("/x/pay.csv", "/y/\x1b[2Jodd"))  # Nothing recorded of them.
    (note,) = data_notes(older, (data / "pay.csv",))
    assert note.startswith("the run read ")
    assert "pay.csv" not in note
    assert "\x1b" not in note


def test_changes_are_named(data: Path) -> None:
    told = trajectory(data / "pay.csv", data / "big.bin", data / "set")
    given = (data / "pay.csv", data / "big.bin", data / "set")
    assert data_notes(told, given) == []
    (data / "pay.csv").write_text("a,2\n")
    (data / "big.bin").write_bytes(BIG + b"!")
    (data / "set/sub/x.csv").rename(data / "set/sub/y.csv")
    size, same, gone, new = data_notes(told, given)
    assert re.fullmatch(r"data/pay.csv has changed since the run: SHA-256 \w{12} then, \w{12} now", same)
    assert size == "data/big.bin has changed since the run: 80,000 bytes then, 80,001 now"
    assert gone == "data/set/sub/x.csv was there when the run was recorded, and is not now"
    assert new == "data/set/sub/y.csv was not there when the run was recorded"


def test_the_ceiling_holds_for_a_replay_too() -> None:
    told = trajectory()

    def asked(profile: SandboxProfile) -> tuple[str, ...]:
        spec = setup_spec(hosted_setup(told.info.setup, profile))
        assert spec is not None
        return spec.allow_imports

    assert asked(SandboxProfile()) == ("torch", "statistics")
    assert import_note(told, SandboxProfile()) == ""
    strict = SandboxProfile(import_ceiling=())
    assert "torch" not in asked(strict)
    assert (
        import_note(told, strict)
        == "the run could import torch; SandboxProfile.import_ceiling does not allow it"
    )
    assert "torch" in asked(SandboxProfile(import_ceiling=(), allow_imports=("torch",)))


def test_a_setup_that_is_not_ours_stays_as_it_is() -> None:
    told = trajectory()
    other = replace(told, info=replace(told.info, setup="x = 1"))
    assert hosted_setup(other.info.setup, SandboxProfile(import_ceiling=())) == "x = 1"
    assert data_notes(other, ()) == []


def test_a_name_that_leaves_the_folder_makes_the_notebook_unreadable(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "evil.ipynb"
    write(trajectory(data / "pay.csv").with_task("t"), path)
    text = path.read_text()
    assert text.count("data/pay.csv") == 1
    path.write_text(text.replace("data/pay.csv", "data/../../pay.csv"))
    with pytest.raises(NotebookError, match="no name of a data file"):
        load(path)


@pytest.mark.kernel
def test_run_replay_and_show(command: Command, folder: Path) -> None:
    (folder / "pay.csv").write_text("a,1\nb,2\n")
    code = "open('data/pay.csv').read()"
    (folder / "script.jsonl").write_text(f'{{"code": {json.dumps(code)}}}\n{{"answer": "read"}}\n')
    run = command("run", "read", "--data", "pay.csv", "--model", "scripted:script.jsonl", "--out", "r.ipynb")
    assert run.returncode == 0, run.stderr
    for order in (["r.ipynb"], ["r.ipynb", "--data", "pay.csv"], ["--data", "pay.csv", "r.ipynb"]):
        again = command("replay", *order)
        assert again.returncode == 0, again.stdout + again.stderr
        assert "note:" not in again.stdout
    shown = command("show", "r.ipynb").stdout
    assert re.search(r"^Sandbox: tier [ABC], self-test held$", shown, re.MULTILINE)
    (folder / "pay.csv").write_text("a,1\nb,3\n")
    other = command("replay", "r.ipynb", "--data", "pay.csv")
    assert other.returncode == 12, other.stdout
    assert "note: data/pay.csv has changed since the run: SHA-256" in other.stdout


@pytest.mark.kernel
@pytest.mark.parametrize("kernel", ["codeact-python", "python3"])
def test_in_stock_jupyter_small_data_is_there_and_large_is_named(
    kernel: str, command: Command, folder: Path
) -> None:
    (folder / "pay.csv").write_text("a,1\n")
    (folder / "my big.bin").write_bytes(BIG)
    code = "open('data/pay.csv').read() + str(len(open('data/my big.bin').read()))"
    (folder / "script.jsonl").write_text(f'{{"code": {json.dumps(code)}}}\n{{"answer": "read"}}\n')
    files = ("pay.csv", "my big.bin")
    run = command("run", "read", "--data", *files, "--model", "scripted:script.jsonl", "--out", "r.ipynb")
    assert run.returncode == 0, run.stdout + run.stderr
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    notebook = nbformat.read(folder / "r.ipynb", as_version=4)
    NotebookClient(
        notebook,
        kernel_name=kernel,
        timeout=60,
        allow_errors=True,
        resources={"metadata": {"path": elsewhere}},
    ).execute()
    setup, step = (cell for cell in notebook.cells if cell.cell_type == "code")
    (said,) = setup.outputs
    assert said.name == "stderr"
    assert "data/my big.bin (80000 bytes)" in said.text
    assert step.outputs[0].ename == "FileNotFoundError"
    assert "my big.bin" in step.outputs[0].evalue
    words = shlex.split(said.text.strip().rpartition(": ")[2])
    assert words == ["codeact", "replay", "NOTEBOOK.ipynb", "--data", "PATH/my big.bin"]
    (folder / "NOTEBOOK.ipynb").write_bytes((folder / "r.ipynb").read_bytes())
    again = command(*words[1:4], str(folder / "my big.bin"))
    assert again.returncode == 0, again.stdout + again.stderr


@pytest.mark.kernel
@pytest.mark.parametrize(("ceiling", "allowed"), [(None, True), (["ctypes"], True), ([], False)])
def test_the_host_of_a_stock_jupyter_sets_the_ceiling(ceiling: list[str] | None, allowed: bool) -> None:
    profile = {} if ceiling is None else {"import_ceiling": ceiling}
    source = setup_source(SetupSpec("r", ("ctypes",)))
    cells = [new_code_cell(text) for text in (source, "import ctypes", "1 + 1")]
    notebook = new_notebook(cells=cells)
    config = Config(SandboxProvisioner={"profile": profile})
    NotebookClient(
        notebook, kernel_name="codeact-python", timeout=60, allow_errors=True, config=config
    ).execute()
    setup, step, after = notebook.cells
    assert [output.output_type for output in step.outputs] == ([] if allowed else ["error"])
    assert [output.name for output in setup.outputs] == ([] if allowed else ["stderr"])
    if not allowed:
        assert (
            "asks to import 'ctypes', which the host's import_ceiling does not allow" in setup.outputs[0].text
        )
    assert after.outputs[0].data["text/plain"] == "2"
