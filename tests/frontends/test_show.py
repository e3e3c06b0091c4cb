"""`codeact show`: a saved run in the terminal, and as a page on disk."""

from __future__ import annotations

import io
import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from codeact_kernel.exceptions import NotebookError, UsageError
from codeact_kernel.frontends.app import launch
from codeact_kernel.frontends.facts import Fact, facts_of, verdict_fact
from codeact_kernel.frontends.page import Page
from codeact_kernel.notebook.redact import Redactor
from codeact_kernel.notebook.writer import write
from codeact_kernel.outputs import Stream
from codeact_kernel.trajectory import (
    Action,
    Observation,
    Parent,
    Reply,
    RunInfo,
    Step,
    Stop,
    Trajectory,
    Turn,
    Usage,
    Verdict,
)
from codeact_kernel.wire.messages import Returned, ToolCall

SECRET = "hunter2hunter2"


def made() -> Trajectory:
    call = ToolCall(1, 1, "refund", (7,), {}, Returned(1), 0.25, "ada\x1b[31m")
    seen = Observation("ok", (Stream("stdout", f"{SECRET}\n"),), tool_calls=(call,), duration_s=0.5)
    reply = Reply("I refund.", "refund(7)", usage=Usage(100, 10), cost_usd=0.0125, duration_s=1.5)
    info = RunInfo(
        "r1", "scripted", "2026-11-22T10:00:00+00:00", "", parent=Parent("r0", 3, "", "base.ipynb")
    )
    turns = (
        Turn(
            "a task",
            (Step(1, reply, Action("refund(7)"), seen),),
            Stop("answer", answer="done"),
            ("a file is gone",),
        ),
    )
    return Trajectory(info, turns, Verdict("identical", remarks=("The clock was read.",)))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    write(made(), tmp_path / "run.ipynb", Redactor({"API_KEY": SECRET}))
    return tmp_path / "run.ipynb"


def test_show(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert launch(["show", str(saved)]) == 0
    assert (
        capsys.readouterr().out
        == """\
Run: r1 · 2026-11-22T10:00:00+00:00
Model: scripted
Forked from: base.ipynb (run r0) after step 3
Verified: identical
Not shown by a replay: The clock was read.
Masked in the record: API_KEY
Task: a task
note: a file is gone

── Step 1 ──────────────────────────────────────────────────────────────────────
I refund.
│ refund(7)
  → refund(7) = 1  250 ms  approved by ada
  [secret API_KEY]
  ✓ 500 ms · 1 tool call · model 1.5 s · 100 tokens in, 10 out, $0.0125

Answer: done

1 step · 100 tokens in, 10 out, $0.0125
"""
    )


@pytest.mark.parametrize(
    ("verdict", "fact"),
    [
        (Verdict("identical"), Fact("Verified", "identical", "good")),
        (Verdict("drift", ("output", "tool")), Fact("Verified", "no, drift: output, tool", "bad")),
        (Verdict("unverified", reason="x\x1b[1m\ny"), Fact("Verified", "no, unverified: x y", "wary")),
    ],
)
def test_verdict(verdict: Verdict, fact: Fact) -> None:
    assert verdict_fact(verdict) == fact
    assert fact in list(facts_of(replace(made(), verdict=verdict)))


def test_facts_of_a_run_without_a_cage() -> None:
    run = made()
    run = replace(run, info=replace(run.info, sandbox={"tier": "none"}, parent=Parent("r0", 0)))
    facts = {fact.label: fact for fact in facts_of(run, tuple(f"N{n}" for n in range(30)))}
    assert facts["Sandbox"].tone == "bad"
    assert facts["Forked from"].text == "r0, before its first step"
    assert facts["Masked in the record"].text.endswith("N19 and 10 more")


def test_page_on_disk(saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "out.html"
    assert launch(["show", str(saved), "--html", str(target)]) == 0
    assert capsys.readouterr().out.startswith(f"Wrote {target} (")
    text = target.read_text()
    assert text.startswith("<!doctype html>")
    assert "Masked in the record</dt>" in text
    assert launch(["show", str(saved), "--html", "-"]) == 0
    assert capsys.readouterr().out == text


def test_a_page_overwrites_nothing(saved: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.html"
    target.write_text("mine")
    with pytest.raises(UsageError, match=r"--html '.*out.html' exists and is not overwritten"):
        launch(["show", str(saved), "--html", str(target)])
    assert target.read_text() == "mine"
    with pytest.raises(UsageError, match=r"the folder '.*no' does not exist"):
        launch(["show", str(saved), "--html", str(tmp_path / "no" / "out.html")])
    dangling = tmp_path / "link.html"
    dangling.symlink_to(tmp_path / "elsewhere.html")
    with pytest.raises(UsageError, match="exists"):
        launch(["show", str(saved), "--html", str(dangling)])
    assert not (tmp_path / "elsewhere.html").exists()


def test_a_notebook_that_is_none_of_ours(tmp_path: Path) -> None:
    (tmp_path / "foreign.ipynb").write_text('{"nbformat":4,"metadata":{},"cells":[]}')
    with pytest.raises(NotebookError, match="no run of codeact_kernel"):
        launch(["show", str(tmp_path / "foreign.ipynb"), "--html", str(tmp_path / "out.html")])
    assert not (tmp_path / "out.html").exists()


def test_code_that_keeps_a_lexer_busy_is_plain() -> None:
    page = Page(Console(file=io.StringIO(), force_terminal=True, width=80))
    start = time.thread_time()
    page.code("match" + " " * 100_000)
    page.code("x = 1\n" * 100_000)
    assert time.thread_time() - start < 5


def test_a_large_notebook_opens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """40 MB here. One of 280 MB takes five seconds and 1.2 GB, most of it to read the JSON."""
    path = tmp_path / "large.ipynb"
    large(path, 25, 1_600_000)
    start = time.thread_time()
    assert launch(["show", str(path)]) == 0
    shown = capsys.readouterr().out
    assert len(shown) < 500_000
    assert "43,038 lines not shown" in shown
    assert launch(["show", str(path), "--html", str(tmp_path / "out.html")]) == 0
    assert (tmp_path / "out.html").stat().st_size < 6_000_000
    assert time.thread_time() - start < 20


def large(path: Path, steps: int, size: int) -> None:
    """A notebook with so much text in each step, written as front ends do: a list of lines."""
    write(made(), path, Redactor({}))
    notebook = json.loads(path.read_text())
    at, step = next((n, c) for n, c in enumerate(notebook["cells"]) if c["id"] == "step-1")
    line = "a line of output, number 1234567890 \n"
    step["outputs"] = [{"output_type": "stream", "name": "stdout", "text": [line] * (size // len(line))}]
    copies = [
        {**step, "id": f"step-{n}", "metadata": {"codeact": {**step["metadata"]["codeact"], "step": n}}}
        for n in range(1, steps + 1)
    ]
    notebook["cells"][at : at + 1] = copies
    path.write_text(json.dumps(notebook))
