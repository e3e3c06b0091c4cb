"""`codeact replay`: every class of drift with its exit code, live tools, several notebooks, its report."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from codeact_kernel.frontends.cli import main

from .saved_runs import a_run, edit, save, with_versions

FOREIGN = '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": []}'
TOOLS = """\
from pathlib import Path
from codeact_kernel import tool

def note(name, n):
    with open(Path(__file__).with_name("calls.txt"), "a") as file:
        file.write(f"{name} {n}\\n")

@tool(effect="read")
def fetch(n: int) -> int:
    "Ten times n; 2 has changed since."
    note("fetch", n)
    return 21 if n == 2 else 10 * n

@tool
def pay(n: int) -> None:
    "Pays."
    note("pay", n)
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    return tmp_path


# --- exit codes --------------------------------------------------------------------------------


def output(path: Path) -> Path:
    return edit(path, "^30\n", "29\n")


def code(path: Path) -> Path:
    return edit(path, "1 / 0", "1 / 1")


def tool(path: Path) -> Path:
    return edit(path, r"pay\(total\)", "pay(total + 1)")


def profile(path: Path) -> Path:
    return save(path, with_versions(a_run(), python="3.1.4"))


def lost_entry(path: Path) -> Path:
    """A tape entry that was taken out by hand."""
    return edit(path, r'\{"step":4,.*\n', "", "setup")


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("change", "options", "exit_code", "words"),
    [
        (save, ["--strict"], 0, "The replay agrees: 5 steps."),
        (output, [], 12, "The replay differs in 1 of 5 steps: output."),
        (output, ["--except", "output"], 0, "The replay agrees: 5 steps; not counted: output."),
        (code, [], 10, "step 3  ✗ code differs: recorded: ZeroDivisionError: division by zero; now: ok"),
        (tool, [], 11, "step 4  ✗ tool differs: pay(30): argument 1: 30 → 31"),
        (lost_entry, [], 11, "step 4  ✗ tool differs: called now, and not recorded: pay(30)"),
        (profile, [], 0, "(not counted): python: 3.1.4 → 3."),
        (profile, ["--strict"], 13, "The replay differs: profile."),
        (code, ["--to", "2"], 0, "The replay agrees: 2 steps."),
    ],
    ids=[
        "agrees",
        "output",
        "output excepted",
        "code",
        "tool",
        "lost entry",
        "profile noted",
        "profile",
        "stops early",
    ],
)
def test_each_class_of_drift_has_its_exit_code(
    here: Path,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[Path], Path],
    options: list[str],
    exit_code: int,
    words: str,
) -> None:
    path = change(save(here / "run.ipynb"))
    before = path.read_bytes()
    assert main(["replay", "run.ipynb", *options]) == exit_code
    shown = capsys.readouterr()
    assert words in shown.out, shown
    assert ("note: stopped after step 2, as asked; not run: 3" in shown.out) == ("--to" in options)
    assert path.read_bytes() == before
    assert [entry.name for entry in here.iterdir()] == ["run.ipynb"]


@pytest.mark.kernel
def test_the_report_as_json(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code(output(save(here / "run.ipynb", with_versions(a_run(), python="3.1.4"))))
    assert main(["replay", "run.ipynb", "--json", "--to", "4"]) == 10
    document = json.loads(capfd.readouterr().out)
    assert (document["agrees"], document["exit_code"], document["kinds"]) == (False, 10, ["code", "output"])
    assert document["counted"] == ["code", "output", "tool"]
    assert [step["agrees"] for step in document["steps"]] == [False, True, False, True]
    assert [drift["kind"] for drift in document["profile"]] == ["profile"]
    edits, stopped = "A person has changed the code of step 3.", "stopped after step 4, as asked; not run: 1"
    assert document["remarks"] == [edits, stopped]


@pytest.mark.kernel
def test_of_several_notebooks_each_is_replayed_and_the_gravest_code_wins(
    here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    output(save(here / "a.ipynb"))
    tool(save(here / "b.ipynb"))
    assert main(["replay", "a.ipynb", "b.ipynb"]) == 11
    shown = capfd.readouterr().out
    assert shown.index("── a.ipynb") < shown.index("output differs") < shown.index("── b.ipynb")
    (here / "foreign.ipynb").write_text(FOREIGN)
    assert main(["replay", "foreign.ipynb", "b.ipynb", "missing.ipynb", "--json"]) == 2
    document = json.loads(capfd.readouterr().out)
    assert [run["exit_code"] for run in document["runs"]] == [2, 11, 2]
    assert "no run of codeact_kernel" in document["runs"][0]["error"]


@pytest.mark.kernel
def test_what_a_person_has_changed_is_run_and_told(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = edit(save(here / "run.ipynb"), "1 / 0", "int('x')")
    notebook = json.loads(path.read_text())
    place = next(i for i, cell in enumerate(notebook["cells"]) if cell["id"] == "step-2")
    cell = {"cell_type": "code", "id": "mine", "metadata": {}, "source": "print(total + 1)"}
    cell |= {"execution_count": 1, "outputs": [{"output_type": "stream", "name": "stdout", "text": "31\n"}]}
    notebook["cells"].insert(place, cell)
    path.write_text(json.dumps(notebook))
    assert main(["replay", "run.ipynb"]) == 10
    shown = capsys.readouterr().out
    order = ["step 1  ✓", "step 6  ✓", "step 2  ✓", "step 3  ✗ code differs", "step 4  ✓"]
    assert sorted(order, key=shown.index) == order
    assert "note: A person has changed the code of step 3." in shown
    assert "note: A person has added a cell after step 1; it is step 6 here." in shown


# --- live --------------------------------------------------------------------------------------


def calls(folder: Path) -> list[str]:
    path = folder / "calls.txt"
    return path.read_text().splitlines() if path.exists() else []


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("options", "made", "words"),
    [
        ([], ["fetch 1", "fetch 2"], "ToolDenied"),
        (["--yes"], ["fetch 1", "fetch 2", "pay 31"], "pay(30): argument 1: 30 → 31"),
    ],
    ids=["no terminal", "yes"],
)
def test_live_tools_are_called_and_their_results_compared(
    here: Path, capsys: pytest.CaptureFixture[str], options: list[str], made: list[str], words: str
) -> None:
    save(here / "run.ipynb")
    (here / "tools.py").write_text(TOOLS)
    assert main(["replay", "run.ipynb", "--live", "--tools", "tools.py", *options]) in (10, 11)
    shown = capsys.readouterr().out
    assert "step 1  ✗ tool differs: fetch(2): result: 20 → 21" in shown
    assert words in shown
    assert ("note: there is no terminal to ask at" in shown) == (not options)
    assert calls(here) == made


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--live"], "--tools"),
        (["--yes"], "--live"),
        (["--tools", "tools.py"], "--live"),
        (["--live", "--tools", "other.py"], "'pay'"),
    ],
)
def test_what_live_needs(
    here: Path, capsys: pytest.CaptureFixture[str], options: list[str], words: str
) -> None:
    save(here / "run.ipynb")
    (here / "tools.py").write_text(TOOLS)
    (here / "other.py").write_text(TOOLS.replace("def pay", "def lend"))
    assert main(["replay", "run.ipynb", *options]) == 2
    assert words in capsys.readouterr().err
    assert calls(here) == []


# --- as tests ----------------------------------------------------------------------------------


def run_pytest(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-m", "pytest", "-p", "no:cacheprovider", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100, check=False)


@pytest.mark.kernel
def test_saved_runs_are_tests_when_they_are_asked_for(here: Path) -> None:
    save(here / "good.ipynb")
    output(save(here / "bad.ipynb"))
    (here / "foreign.ipynb").write_text(FOREIGN)
    (here / "cut.ipynb").write_text("{")
    (here / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    done = run_pytest(here, "--codeact", "-rA")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "2 failed, 1 passed" in done.stdout
    assert "PASSED good.ipynb::replay" in done.stdout
    assert "The replay differs in 1 of 5 steps: output." in done.stdout
    assert "'cut.ipynb'" in done.stdout or "cut.ipynb' is" in done.stdout
    assert "Traceback" not in done.stdout
    assert "foreign" not in done.stdout


@pytest.mark.kernel
def test_saved_runs_are_tests_when_the_ini_file_says_so(here: Path) -> None:
    output(save(here / "bad.ipynb"))
    (here / "pytest.ini").write_text("[pytest]\ncodeact_replay = true\n")
    done = run_pytest(here, "--codeact-except", "output")
    assert (done.returncode, "1 passed" in done.stdout) == (0, True), done.stdout + done.stderr


def test_other_test_runs_are_left_alone(here: Path) -> None:
    save(here / "good.ipynb")
    (here / "test_x.py").write_text(
        "import sys\n"
        "def test_it():\n"
        "    assert 'codeact_kernel.frontends.pytest_plugin' in sys.modules\n"
        "    dear = {'codeact_kernel.replay', 'rich', 'traitlets', 'nbformat', 'pydantic', 'zmq'}\n"
        "    assert not dear & set(sys.modules)\n"
    )
    done = run_pytest(here)
    assert (done.returncode, "1 passed" in done.stdout) == (0, True), done.stdout + done.stderr


def test_the_hooks_for_pre_commit_are_commands_that_exist() -> None:
    root = Path(__file__).parents[2]
    hooks = (root / ".pre-commit-hooks.yaml").read_text()
    entries = [line.partition(":")[2].split() for line in hooks.splitlines() if "entry:" in line]
    assert entries == [["codeact", "replay", "--strict"], ["codeact", "verify"]]
    for _, command, *_ in entries:
        assert main([command, "--help"]) == 0
