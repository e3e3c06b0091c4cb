"""How a cell of the CodeAct kernel is read, completed and remembered, without a kernel."""

from __future__ import annotations

from pathlib import Path

import pytest

from codeact_kernel.exceptions import UsageError
from codeact_kernel.frontends.kernel_agent import notebook_place, path_of_run
from codeact_kernel.frontends.kernel_cells import Cell, own_code, read_cell
from codeact_kernel.frontends.kernel_history import History
from codeact_kernel.frontends.kernel_words import completion, explained, is_complete, word_at


@pytest.mark.parametrize(
    ("code", "cell"),
    [
        ("", Cell()),
        ("  \n", Cell()),
        ("sum the prices", Cell(task="sum the prices")),
        ("%%python\nx = 1\n", Cell(own="x = 1\n")),
        ("\n%%py\n%time x", Cell(own="%time x")),
        ("%%python", Cell(own="")),
        ("%model a:b  \n%tools", Cell((("model", "a:b"), ("tools", "")))),
        ("%tools\n\nsum it\n%model x", Cell((("tools", ""),), task="sum it\n%model x")),
        ("100 % of it", Cell(task="100 % of it")),
        ("% of what?", Cell(task="% of what?")),
        ("?df.x", Cell(task="?df.x", asked="df.x", surely=True)),
        ("df?", Cell(task="df?", asked="df")),
        ("%tools?", Cell(task="%tools?", asked="%tools")),
        ("why is it so?", Cell(task="why is it so?")),
        ("`%%python` runs what?", Cell(task="`%%python` runs what?")),
    ],
)
def test_cells(code: str, cell: Cell) -> None:
    assert read_cell(code) == cell


@pytest.mark.parametrize(
    "code", ["!ls", "%tools\n!ls", "%%bash\nls", "%%\nx", "%tools\n%%python\nx", "%%py 3\nx"]
)
def test_what_is_no_cell(code: str) -> None:
    with pytest.raises(UsageError):
        read_cell(code)


def test_where_own_code_begins() -> None:
    assert own_code("\n%%python\nx.") == ("x.", 10)
    assert own_code("words") is None
    assert own_code("%%bash\nx") is None


def test_long_cells_are_read_at_once() -> None:
    for text in (
        "%" * 500_000,
        "%a\n" * 100_000,
        " " * 500_000 + "x",
        "?" * 500_000,
        "a." * 200_000 + "?",
        "\n" * 500_000,
    ):
        try:
            read_cell(text)
        except UsageError:
            pass
        for look in (
            is_complete,
            lambda code: completion(code, len(code), ()),
            lambda code: word_at(code, len(code)),
        ):
            look(text)


def test_completion_of_files(tmp_path: Path) -> None:
    for name in ("shop.py", "shop.txt", "sub/deep.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    line = f"%tools {tmp_path}/s"
    assert completion(line, len(line), ()).matches == (f"{tmp_path}/shop.py", f"{tmp_path}/sub/")
    line = f"%tools {tmp_path}/nowhere/s"
    assert completion(line, len(line), ()).matches == ()


def test_completion_in_prose() -> None:
    assert completion("what is @pri", 12, ["prices", "total"]).matches == ("prices",)
    assert completion("what is pri", 11, ["prices"]).matches == ()
    assert completion("%model scr", 10, ()).matches == ("scripted:",)
    assert completion("words\n%und", 10, ()).matches == ("%undo",)
    assert "%%python" in completion("%", 1, ()).matches
    assert "%%python" not in completion("words\n%", 7, ()).matches


def test_explanations() -> None:
    assert "budgets" in (explained("%limits") or "")
    assert "your own Python" in (explained("%%python") or "")
    assert explained("limits") is None
    assert word_at("the @prices, sum", 8) == "@prices"
    assert word_at("the , sum", 5) == ""


def test_history() -> None:
    history = History()
    for line, source in enumerate(["a1", "b", "a1", "a2"], 1):
        history.add(line, source, source.upper())
    assert [cell.source for cell in history.tail(2)] == ["a1", "a2"]
    assert [cell.line for cell in history.range(2, 4)] == [2, 3]
    assert [cell.line for cell in history.range(-1, None)] == [4]
    assert [cell.source for cell in history.search("a*", None, True)] == ["a1", "a2"]
    assert [cell.line for cell in history.search("a*", 1, False)] == [4]


def test_runs_lie_beside_the_users_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    assert path_of_run()[0].name.startswith("codeact-")
    (tmp_path / "sub").mkdir()
    monkeypatch.setenv("JPY_SESSION_NAME", str(tmp_path / "sub" / "My work.ipynb"))
    path, remark = path_of_run()
    assert (path.parent, remark) == (tmp_path / "sub", "")
    assert path.name.startswith("My work-codeact-2")
    path.touch()
    assert path_of_run()[0] != path
    monkeypatch.setenv("JPY_SESSION_NAME", str(tmp_path / "gone" / "x.ipynb"))
    assert notebook_place() == (tmp_path, "")


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The kernel's own folders: nobody writes there, root included.
    monkeypatch.setenv("JPY_SESSION_NAME", "/proc/self/x.ipynb")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    path, remark = path_of_run()
    assert path.parent.parent == tmp_path
    assert "cannot be written" in remark
