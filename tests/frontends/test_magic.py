"""`%load_ext codeact_kernel` in a real IPython, with real sandbox kernels and a scripted model."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from codeact_kernel.exceptions import CodeActError, NotebookError, UsageError
from codeact_kernel.notebook.load import load
from codeact_kernel.trajectory import OWN_CELL
from codeact_kernel.wire.values import Picture
from tests.frontends.shells import a_shell, bare_shell

pytestmark = pytest.mark.timeout(300)


class Notebook:
    """A shell, and what its cells gave."""

    def __init__(self, shell: Any, folder: Path) -> None:
        self.shell = shell
        self.names: dict[str, Any] = shell.user_ns
        self._folder = folder
        self._scripts = 0

    def script(self, *replies: dict[str, str]) -> str:
        """`--model` of a model that replies so."""
        self._scripts += 1
        path = self._folder / f"script{self._scripts}.jsonl"
        path.write_text("\n".join(map(json.dumps, replies)))
        return f"--model scripted:{path}"

    def run(self, cell: str) -> Any:
        """The value of the cell."""
        done = self.shell.run_cell(cell)
        assert done.error_before_exec is None
        if done.error_in_exec is not None:
            raise done.error_in_exec
        return done.result

    def shown(self) -> str:
        """What was displayed since the last time, as text."""
        outputs, self.shell.display_pub.outputs = self.shell.display_pub.outputs, []
        return "\n".join(str(output["data"].get("text/plain", "")) for output in outputs)


@pytest.fixture
def notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Notebook]:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("JPY_SESSION_NAME", str(folder / "sales.ipynb"))
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "config"))
    with a_shell(tmp_path) as shell:
        yield Notebook(shell, tmp_path)


def runs() -> list[Path]:
    return sorted(Path.cwd().glob("*-codeact-*.ipynb"))


@pytest.mark.kernel
def test_values_of_every_kind_go_and_come_and_the_run_replays(
    notebook: Notebook, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = pd.DataFrame(
        {"week": pd.to_datetime(["2026-01-05", "2026-01-12"]).tz_localize("UTC"), "n": [1, 2]},
        index=pd.Index(["a", "b"], name="key"),
    )
    figure = Figure(figsize=(2, 1))
    figure.subplots().plot([1, 2])
    notebook.names |= {"df": frame, "raw": b"\x00\xff", "arr": np.arange(6.0).reshape(2, 3), "fig": figure}
    code = """
        import matplotlib.pyplot as plt
        out = df.assign(n=df.n * 10)
        series = out.n
        back = {'raw': raw, 'arr': arr * 2, 'deep': [(1, {2}), None]}
        drawn, axes = plt.subplots(figsize=(2, 1))
        axes.plot(out.n)
        assert 'PNG' in str(fig.data)
        final_answer(out)
    """
    model = notebook.script({"code": code.replace("\n        ", "\n")})
    answer = notebook.run(
        f"%%codeact {model} --with df,raw,arr,fig --out out,series,back,drawn\nmake ten of it"
    )
    expected = frame.assign(n=[10, 20])
    pd.testing.assert_frame_equal(answer, expected)
    pd.testing.assert_frame_equal(notebook.names["out"], expected)
    pd.testing.assert_series_equal(notebook.names["series"], expected.n)
    back = notebook.names["back"]
    assert (back["raw"], back["deep"]) == (b"\x00\xff", [(1, {2}), None])
    np.testing.assert_array_equal(back["arr"], np.arange(6.0).reshape(2, 3) * 2)
    assert isinstance(notebook.names["drawn"], Picture)
    assert Image.open(io.BytesIO(notebook.names["drawn"].data)).format == "PNG"
    shown = notebook.shown()
    assert "sent df: DataFrame, 2 rows: week datetime64" in shown
    assert shown.count("make ten") == 0
    [run] = runs()
    assert "1 step in" in shown
    assert run.name in shown
    assert run.name.startswith("sales-codeact-")
    turns = load(run).turns
    assert [turn.task == OWN_CELL for turn in turns] == [True, False, True]
    assert turns[1].task == (
        "make ten of it\n\nLeave the variables `out`, `series`, `back`, `drawn` in the kernel: my notebook "
        "takes a copy."
    )
    notebook.run("%codeact_replay")
    assert "The replay agrees: 3 steps." in notebook.shown()
    notebook.run("%codeact_show")
    page = notebook.shell.display_pub.outputs[-1]["data"]
    assert page["text/html"].startswith('<iframe sandbox="" ')
    assert page["text/html"].count("<") == 2
    assert "Model: scripted" in page["text/plain"]
    notebook.run("%codeact_reset")
    assert run.name in capsys.readouterr().out
    assert notebook.shell.codeact_magics.shell is notebook.shell


@pytest.mark.kernel
def test_tasks_share_a_kernel_and_only_what_changed_is_sent_again(notebook: Notebook) -> None:
    model = notebook.script(
        {"code": "first = df.n.sum()\nfinal_answer('It is **three**')"},
        {"code": "final_answer([int(first), int(df.n.sum()), other])"},
        {"answer": "nothing to do"},
        {"code": "df = None\nfinal_answer(None)"},
        {"code": "final_answer(int(df.n.sum()))"},
    )
    notebook.names |= {"df": pd.DataFrame({"n": [1, 2]}), "other": "x"}
    notebook.run(f"said = %codeact {model} --with df what's the sum?")
    assert notebook.names["said"] == "It is **three**"
    formatted, _ = notebook.shell.display_formatter.format(notebook.names["said"])
    assert formatted["text/plain"] == "It is **three**"
    assert formatted["text/html"] == "<p>It is <strong>three</strong></p>\n"
    notebook.shown()
    notebook.names["df"].loc[0, "n"] = 10
    assert notebook.run("%codeact --with df,other again") == [3, 12, "x"]
    assert "sent df: DataFrame, 2 rows: n int64" in notebook.shown()
    assert notebook.run("%codeact --with df,other --max-steps 3 and now") == "nothing to do"
    assert "sent" not in notebook.shown()
    assert notebook.run("%codeact lose it") is None
    assert (
        notebook.run("%codeact --with df,other is it there again?") == 12
    )  # What it bound anew was not sent.
    assert "sent df" in notebook.shown()
    assert len(runs()) == 1
    assert [len(turn.steps) for turn in load(runs()[0]).turns] == [1, 1, 1, 1, 0, 1, 1, 1]


@pytest.mark.kernel
def test_functions_of_the_notebook_are_tools_on_its_thread(notebook: Notebook) -> None:
    notebook.names["threads"] = []
    notebook.run(
        "import threading\ndef price(item: str) -> float:\n"
        "    threads.append(threading.current_thread())\n    return 2.5"
    )
    model = notebook.script(
        {"code": "kept = price('a')\nfinal_answer(kept)"}, {"code": "final_answer(price('a'))"}
    )
    assert notebook.run(f"%codeact {model} --tools price what does it cost?") == 2.5
    assert notebook.names["threads"] == [threading.current_thread()]
    # The function was written anew: the agent calls the new one.
    notebook.run("def price(item: str) -> float:\n    return 3.0")
    assert notebook.run("%codeact --tools price and now?") == 3.0
    # With another function the run goes on: no call that was made is made again.
    notebook.run(
        "def stock(item: str) -> int:\n    return 7\n"
        "def price(item: str) -> float:\n    raise RuntimeError('again')"
    )
    other = notebook.script({"code": "final_answer([kept, stock('a')])"})
    notebook.shown()
    assert notebook.run(f"%codeact {other} --tools stock how many?") == [2.5, 7]
    assert "the run goes on with these tools: price, stock" in notebook.shown()
    assert len(runs()) == 1
    with pytest.raises(UsageError, match="--out stock: that is the name of a tool"):
        notebook.run("%codeact --out stock x")


@pytest.mark.kernel
def test_the_sandbox_can_neither_read_the_notebook_nor_write_to_it(notebook: Notebook) -> None:
    steal = """
tried = []
for call in (lambda: from_notebook('secret'), lambda: from_notebook('df'), lambda: to_notebook('df', 1)):
    try:
        tried.append(call())
    except RuntimeError as problem:
        tried.append(str(problem))
r = 1
result = 5
df = 'changed'
"""
    model = notebook.script({"code": steal + "final_answer(tried)"})
    notebook.names |= {"secret": "s3cret", "df": [1]}
    with pytest.raises(
        UsageError,
        match=r"--out missing: the agent has left no variable of that name; brought back: result, r",
    ):
        notebook.run(f"%codeact {model} --with df --out result,missing,r steal")
    assert (notebook.names["result"], notebook.names["r"]) == (5, 1)
    assert (notebook.names["secret"], notebook.names["df"]) == ("s3cret", [1])
    assert "missing" not in notebook.names
    shown = notebook.shown()  # The answer is not lost with what did not come.
    assert shown.rstrip().endswith('cannot be set from here; leave the value in a variable"]')
    [secret, again, write] = load(runs()[0]).turns[1].stop.answer  # type: ignore[union-attr,misc]  # a list of texts
    assert secret == again
    assert secret.startswith("the user's variables cannot be read from here; sent so far: df.")
    assert write.startswith("the user's variables cannot be set from here")


@pytest.mark.kernel
def test_what_cannot_come_back_is_told_and_a_task_without_answer_fails(notebook: Notebook) -> None:
    model = notebook.script(
        {"code": "class Model: pass\nm = Model()\nn = 2\nfinal_answer(1)"},
        {"code": "n += 1"},
        {"code": "n += 1"},
        {"code": "final_answer(n)"},
    )
    with pytest.raises(
        UsageError, match=r"--out m: TypeError: .*cannot send a value of type .*Model.*; brought back: n"
    ):
        notebook.run(f"%codeact {model} --out m,n go")
    assert notebook.names["n"] == 2
    with pytest.raises(
        CodeActError, match=r"stopped: max steps.*\. The kernel keeps its state: give the next"
    ):
        notebook.run("%codeact --max-steps 2 --insert count")
    assert notebook.run("%codeact how far?") == 4
    assert notebook.shell.rl_next_input == (
        "# What the agent ran for: count\n\n# Step 4\nn += 1\n\n# Step 5\nn += 1\n"
    )


def test_nothing_starts_before_all_is_checked(notebook: Notebook, capsys: pytest.CaptureFixture[str]) -> None:
    notebook.names |= {"df": pd.DataFrame({"n": [1, 2]}), "lines": iter("ab")}
    notebook.run("def price(item: str) -> float:\n    'What it costs.'\n    return 1.0")
    for line, said in (
        ("--with df,lines x", "--with lines: a str_ascii_iterator cannot be sent"),
        ("--with nope x", "--with nope: there is no such variable"),
        ("--tools df x", "is no function"),
        ("--out In x", "--out In: that name is of"),
        ("--model nonsense x", "No model is spelled 'nonsense'"),
        ("--save run.txt x", "--save 'run.txt' is a notebook; give a name that ends in .ipynb"),
        ("--max-cots 1 x", "Did you mean '--max-cost'"),
    ):
        with pytest.raises(UsageError, match=said):
            notebook.run(f"%codeact {line}")
    for line in ("%codeact_show", "%codeact_replay"):
        with pytest.raises(UsageError, match="nothing has run here yet"):
            notebook.run(line)
        with pytest.raises(UsageError, match="does not exist"):
            notebook.run(f"{line} nope.ipynb")
    Path("plain.ipynb").write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
    with pytest.raises(NotebookError):
        notebook.run("%codeact_show plain.ipynb")
    capsys.readouterr()
    model = notebook.script({"answer": "never asked"})
    notebook.run(f"%codeact --dry {model} --with df --tools price --max-cost 2 what's {{it}}?")
    said = capsys.readouterr().out
    for part in (
        "Nothing is sent",
        "what's {it}?",
        "Budgets  $2, 30 steps",
        "df: DataFrame, 2 rows: n int64 (",
        "def price(item: str) -> float:",
        "What it costs.",
        "You are an agent that solves tasks by writing Python.",
    ):
        assert part in said
    assert runs() == []


def test_errors_are_a_sentence_and_not_our_frames(
    notebook: Notebook, capsys: pytest.CaptureFixture[str]
) -> None:
    notebook.shell.run_cell("%codeact --with nope x")
    printed = capsys.readouterr().out
    assert printed.strip() == ("UsageError: --with nope: there is no such variable here; there are: none")


def test_config_files_are_those_of_jupyter_and_never_of_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ours, folder = tmp_path / "config", tmp_path / "work"
    ours.mkdir()
    folder.mkdir()
    (ours / "codeact_config.py").write_text(
        "c.CodeActMagics.model = 'scripted:mine.jsonl'\nc.CodeActMagics.approve = 'ask'\n"
        "c.Limits.max_steps = 7\n"
    )
    (folder / "codeact_config.py").write_text("raise SystemExit('a stranger')")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(ours))
    with a_shell(tmp_path) as shell:
        shell.run_cell("%codeact --dry --max-cost 2 go")
    said = capsys.readouterr().out
    assert "Model    scripted:mine.jsonl" in said
    assert "Budgets  $2, 7 steps" in said
    assert "Approval ask" in said


def test_a_config_file_that_cannot_be_used_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "codeact_config.py").write_text("c.CodeActMagics.model = ")
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path))
    with bare_shell(tmp_path) as shell:
        shell.run_cell("%load_ext codeact_kernel")
    assert capsys.readouterr().out.startswith("UsageError: config file '")


def test_help_and_configuration(notebook: Notebook, capsys: pytest.CaptureFixture[str]) -> None:
    notebook.run("%codeact?")
    said = capsys.readouterr().out
    assert "--with NAMES" in said
    assert "Gives an agent a task" in said
    notebook.run("%config CodeActMagics.model = 'scripted:nowhere.jsonl'")
    with pytest.raises(UsageError, match=r"nowhere\.jsonl"):
        notebook.run("%codeact go")
    notebook.run("%reload_ext codeact_kernel")
    notebook.run("%unload_ext codeact_kernel")
    assert "codeact" not in notebook.shell.magics_manager.magics["line"]
    assert "codeact" not in notebook.shell.magics_manager.magics["cell"]
    notebook.run("%load_ext codeact_kernel")
