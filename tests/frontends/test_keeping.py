"""Files that a run wrote: listed for the user, and kept where asked, through the API and the command."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from codeact_kernel import Agent, SandboxProfile, ScriptedModel
from codeact_kernel.exceptions import UsageError
from codeact_kernel.models.scripted import Scripted
from codeact_kernel.notebook.journal import journal_path, read_journal
from codeact_kernel.notebook.load import load
from codeact_kernel.outputs import WorkspaceFile

Command = Callable[..., "subprocess.CompletedProcess[str]"]
pytestmark = pytest.mark.kernel
PUT = "def put(name, text='x'):\n    with open(name, 'w') as file: _ = file.write(text)\n"
DONE: Scripted = {"answer": "done"}
TEMPORARY = "They go with the temporary workspace. To keep them: --keep-files DIR or --workspace DIR"
HOSTILE = "new\nline\x1b]0;title\x07\x1b[2J\u202e.csv"


def script(*replies: str | Scripted) -> ScriptedModel:
    """Strings are code."""
    return ScriptedModel([{"code": reply} if isinstance(reply, str) else reply for reply in replies])


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "run.ipynb"


# --- the API -----------------------------------------------------------------------------------


def test_a_run_has_the_files_of_its_task_as_they_are_at_its_end(out: Path, tmp_path: Path) -> None:
    model = script(
        *(PUT + "put('a.csv'); put('gone.txt')", "put('a.csv', 'longer'); import pathlib", "1", DONE),
        *("put('b.png')\nfrom pathlib import Path\nPath('gone.txt').unlink()", DONE),
        *("1", DONE),
    )
    with Agent(model=model, out=out, verify=False) as agent:
        assert (agent.workspace, agent.files, agent.save_files(tmp_path / "kept")) == (None, (), ())
        first = agent.run_sync("one")
        assert first.files == (
            WorkspaceFile("a.csv", 6, "text/csv"),
            WorkspaceFile("gone.txt", 1, "text/plain"),
        )
        second = agent.run_sync("two")
        assert second.files == (WorkspaceFile("b.png", 1, "image/png"),)
        assert agent.run_sync("three").files == ()
        assert [file.name for file in agent.files] == ["a.csv", "b.png"]
        workspace = agent.workspace
        assert workspace is not None
        assert (workspace / "a.csv").read_text() == "longer"
        copies = agent.save_files(tmp_path / "kept")
        assert load(out) == agent.trajectory
        assert replace(load(out), verdict=None) == read_journal(journal_path(out))
    assert [copy.path for copy in copies] == [tmp_path / "kept" / "a.csv", tmp_path / "kept" / "b.png"]
    assert (tmp_path / "kept" / "a.csv").read_text() == "longer"
    with pytest.raises(UsageError, match="is gone; save its files before `close`"):
        agent.save_files(tmp_path / "kept")
    steps = load(out).steps
    assert [[(file.name, file.size) for file in step.observation.files] for step in steps[:3]] == [
        [("a.csv", 1), ("gone.txt", 1)],
        [("a.csv", 6)],
        [],
    ]
    seen = str(model.requests[-1].messages)
    assert "<files>written: a.csv (1 B, text/csv), gone.txt (1 B, text/plain)</files>" in seen
    assert "<files>written: a.csv (6 B, text/csv)</files>" in seen


def test_files_with_any_name_survive_the_record(out: Path, tmp_path: Path) -> None:
    names = [HOSTILE, '\'; "$(id)"', "<status>", "\udcff.bin"]
    model = script(PUT + f"for name in {names!r}: put(name)", DONE)
    with Agent(model=model, out=out, verify=False) as agent:
        run = agent.run_sync("write")
        assert [file.name for file in run.files] == sorted(names)
        copies = agent.save_files(tmp_path / "kept")
    assert load(out) == run.trajectory
    assert load(out).steps[0].observation.files == run.files
    assert all(copy.path is not None and copy.path.read_text() == "x" for copy in copies)
    seen = str(model.requests[-1].messages[-1])
    assert "<files>written: " in seen
    assert seen.count("<status>") == 1


def test_a_workspace_of_the_users_keeps_what_it_has(out: Path, tmp_path: Path) -> None:
    space = tmp_path / "space"
    space.mkdir()
    (space / "old.txt").write_text("x")
    with Agent(
        model=script(PUT + "put('new.txt')", DONE), profile=SandboxProfile(workspace=space), out=out
    ) as agent:
        assert [file.name for file in agent.run_sync("write").files] == ["new.txt"]
    assert agent.workspace == space
    assert [copy.name for copy in agent.save_files(tmp_path / "kept")] == ["new.txt"]
    with pytest.raises(UsageError, match="is in the workspace"):
        agent.save_files(space)


# --- the command -------------------------------------------------------------------------------

CELLS = (
    f"{PUT}put('out.csv', 'a,b')\n# %%\nimport os\nos.mkdir('sub')\nput('sub/p.png')\n"
    f"put('.bashrc', 'evil')\nput({HOSTILE!r}, 'odd')\n# %%\n1/0\n"
)


def exec_cells(command: Command, *options: str) -> subprocess.CompletedProcess[str]:
    shown = command("exec", "-", "--allow-import", "os", *options, stdin=CELLS)
    assert shown.returncode == 1, shown.stderr
    return shown


def test_exec_lists_files_and_says_how_to_keep_them(command: Command, folder: Path) -> None:
    shown = exec_cells(command)
    assert "  wrote out.csv (3 B, text/csv)\n" in shown.stdout
    assert shown.stdout.endswith(
        "\n4 files written\n  .bashrc (4 B)\n  new line.csv (3 B, text/csv)\n  out.csv (3 B, text/csv)\n"
        f"  sub/p.png (1 B, image/png)\n{TEMPORARY}\n"
    )
    for raw in ("\x1b", "\x07", "\u202e"):
        assert raw not in shown.stdout + shown.stderr
    assert list(folder.iterdir()) == []


def test_exec_keeps_files(command: Command, folder: Path) -> None:
    (folder / "kept").mkdir()
    (folder / "kept" / "out.csv").write_text("mine")
    shown = exec_cells(command, "--keep-files", "kept")
    assert "4 files written, copied to kept\n" in shown.stdout
    assert "  out-2.csv: there is 'out.csv' already; it is kept\n" in shown.stdout
    assert "  _bashrc: a plain name for '.bashrc'\n" in shown.stdout
    assert TEMPORARY not in shown.stdout
    assert "\x1b" not in shown.stdout
    kept = {path.name: path.read_text() for path in (folder / "kept").rglob("*") if path.is_file()}
    assert kept.pop("out.csv") == "mine"
    assert sorted(kept.values()) == ["a,b", "evil", "odd", "x"]
    assert all(name.isprintable() for name in kept)


def test_exec_documents_say_where_files_are(command: Command, folder: Path) -> None:
    def files(*options: str) -> dict[str, object]:
        document = json.loads(exec_cells(command, "--json", *options).stdout)
        assert [len(cell["files"]) for cell in document["cells"]] == [1, 3, 0]
        assert document["cells"][0]["files"] == [{"name": "out.csv", "size": 3, "media_type": "text/csv"}]
        assert [set(file) - {"remark"} for file in document["files"]] == [
            {"name", "size", "media_type", "path"}
        ] * 4
        return {file["name"]: file["path"] for file in document["files"]}

    assert set(files().values()) == {None}
    assert files("--keep-files", "kept")["sub/p.png"] == str(folder / "kept" / "sub" / "p.png")
    (folder / "space").mkdir()
    assert files("--workspace", "space")[HOSTILE] == str(folder / "space" / HOSTILE)


def test_nothing_written_nothing_said(command: Command, folder: Path) -> None:
    shown = command("exec", "-", "--keep-files", "kept", stdin="1")
    assert (shown.returncode, "written" in shown.stdout, list(folder.iterdir())) == (0, False, [])


def test_a_run_keeps_files_also_when_it_fails(command: Command, folder: Path) -> None:
    (folder / "script.jsonl").write_text(json.dumps({"code": PUT + "put('out.csv', 'a,b')"}) + "\n")
    options = ("--model", "scripted:script.jsonl", "--out", "run.ipynb", "--keep-files", "new/kept")
    shown = command("run", "t", *options)
    assert shown.returncode == 4, shown.stderr
    assert "1 file written, copied to new/kept\n  out.csv (3 B, text/csv)\n" in shown.stdout
    assert (folder / "new" / "kept" / "out.csv").read_text() == "a,b"
    saved = command("show", "run.ipynb")
    assert "  wrote out.csv (3 B, text/csv)\n" in saved.stdout


def test_run_documents_list_files(command: Command, folder: Path) -> None:
    replies: list[dict[str, str]] = [{"code": PUT + "put('out.csv')"}, {"answer": "done"}]
    (folder / "script.jsonl").write_text("".join(json.dumps(reply) + "\n" for reply in replies))
    shown = command(
        "run", "t", "--json", "--no-verify", "--model", "scripted:script.jsonl", "--keep-files", "kept"
    )
    assert shown.returncode == 0, shown.stderr
    path = str(folder / "kept" / "out.csv")
    assert json.loads(shown.stdout)["files"] == [
        {"name": "out.csv", "size": 1, "media_type": "text/csv", "path": path}
    ]


@pytest.mark.parametrize("where", ["file", "file/below"])
def test_a_folder_that_cannot_be_is_refused_before_anything_runs(
    command: Command, folder: Path, where: str
) -> None:
    (folder / "file").write_text("")
    shown = command("exec", "-", "--keep-files", where, stdin="print('ran')")
    assert (shown.returncode, shown.stdout) == (2, "")
    assert f"--keep-files '{where}': " in shown.stderr
    assert "is no folder; name another one" in shown.stderr
