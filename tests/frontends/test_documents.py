"""The JSON documents, field by field: they are contracts."""

from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from codeact_kernel.frontends import documents
from codeact_kernel.outputs import Display, Error, Result, Stream, WorkspaceFile
from codeact_kernel.replay import Drift, ReplayReport, StepVerdict
from codeact_kernel.trajectory import Observation, Usage
from codeact_kernel.wire.messages import Raised, Returned, ToolCall
from codeact_kernel.wire.values import decode, encode

CELL = Observation(
    status="error",
    shown=(
        Stream("stdout", "a\n"),
        Stream("stderr", "warning\n"),
        Stream("stdout", "b"),
        Display({"image/png": "aGk=", "text/plain": "<Figure>", "application/vnd.codeact.digest": "x"}),
        Result({"text/plain": "42"}, execution_count=3),
        Error("ValueError", "bad", ("\x1b[31mValueError\x1b[0m: bad",)),
    ),
    tool_calls=(
        ToolCall(1, 1, "refund", (7, encode(Decimal("1.50"))), {"note": "x"}, Returned({"id": 1}), 0.25),
        ToolCall(1, 2, "refund", (8,), {}, Raised("ValueError", "no such order"), 0.5),
        ToolCall(1, 3, "refund", (9,), {}, None),
    ),
    duration_s=1.5,
    truncated=True,
    files=(WorkspaceFile("a/b.csv", 7, "text/csv"),),
    more_files=True,
)


def test_a_cell() -> None:
    cell = json.loads(documents.dumps(documents.cell_document(CELL)))
    calls = cell.pop("tool_calls")
    assert cell == {
        "status": "error",
        "stdout": "a\nb",
        "stderr": "warning\n",
        "result": "42",
        "outputs": [{"image/png": "aGk=", "text/plain": "<Figure>"}, {"text/plain": "42"}],
        "error": {"ename": "ValueError", "evalue": "bad", "traceback": ["ValueError: bad"]},
        "truncated": True,
        "files": [{"name": "a/b.csv", "size": 7, "media_type": "text/csv"}],
        "more_files": True,
        "duration_s": 1.5,
    }
    amount = calls[0].pop("args")[1]
    assert decode(amount) == Decimal("1.50")
    assert calls[0] == {
        "name": "refund",
        "kwargs": {"note": "x"},
        "ok": True,
        "result": {"id": 1},
        "duration_s": 0.25,
    }
    assert calls[1] == {
        "name": "refund",
        "args": [8],
        "kwargs": {},
        "ok": False,
        "error": {"type": "ValueError", "message": "no such order"},
        "duration_s": 0.5,
    }
    assert (calls[2]["ok"], calls[2]["error"]["type"]) == (False, "InDoubt")


def test_a_quiet_cell() -> None:
    cell = documents.cell_document(Observation("ok"))
    assert (cell["result"], cell["error"], cell["outputs"], cell["tool_calls"]) == (None, None, [], [])


@pytest.mark.parametrize(("status", "ename"), [("timeout", "StepTimeout"), ("killed", "KernelKilled")])
def test_a_cell_that_was_stopped_says_why(status: str, ename: str) -> None:
    cell = documents.cell_document(Observation(status, reason="over 1 s"))
    assert cell["error"] == {"ename": ename, "evalue": "over 1 s", "traceback": []}


def test_exec_document() -> None:
    sandbox = documents.sandbox_document({"tier": "A"}, {"python": "3.11.1", "numpy": "2"})
    document = documents.exec_document([CELL, CELL], sandbox)
    assert list(document) == ["schema_version", "cells", "sandbox", "files"]
    assert document["schema_version"] == 1
    assert document["sandbox"] == {"tier": "A", "python": "3.11.1", "versions": {"numpy": "2"}}


def test_usage_document() -> None:
    assert documents.usage_document(Usage(1, 2, 3, 4)) == {
        "input_tokens": 1,
        "output_tokens": 2,
        "cache_read_tokens": 3,
        "cache_write_tokens": 4,
        "total_tokens": 10,
    }


def test_replay_document() -> None:
    report = ReplayReport(
        (StepVerdict(1, ran=False), StepVerdict(2, (Drift("tool", "refund(7) was refund(8)"),))),
        (Drift("profile", "pandas: 2.2.0 → 3.0.0"),),
        ("stopped after step 2, as asked; not run: 3",),
    )
    assert documents.replay_document(report, Path("run.ipynb"), {"tier": "B"}) == {
        "schema_version": 1,
        "agrees": False,
        "exit_code": 11,
        "kinds": ("tool",),
        "counted": ["code", "output", "tool"],
        "steps": [
            {"index": 1, "agrees": True, "ran": False, "drifts": []},
            {
                "index": 2,
                "agrees": False,
                "ran": True,
                "drifts": [{"kind": "tool", "detail": "refund(7) was refund(8)"}],
            },
        ],
        "profile": [{"kind": "profile", "detail": "pandas: 2.2.0 → 3.0.0"}],
        "remarks": ("stopped after step 2, as asked; not run: 3",),
        "trajectory": "run.ipynb",
        "sandbox": {"tier": "B"},
    }


def test_documents_are_strict_json_whatever_the_sandbox_showed() -> None:
    deep: list[object] = []
    for _ in range(5000):
        deep = [deep]
    shown = Display({"application/json": {"nan": float("nan"), "deep": deep}})
    observation = Observation("ok", (Stream("stdout", "\udc80\u2028\x1b[31m"), shown))
    text = documents.dumps(documents.exec_document([observation], {}))
    assert text.isascii()
    (cell,) = json.loads(text, parse_constant=pytest.fail)["cells"]
    assert cell["stdout"] == "\udc80\u2028\x1b[31m"
    assert cell["outputs"][0]["application/json"]["nan"] == "nan"


def test_nothing_else_reaches_stdout_while_it_is_reserved() -> None:
    program = """if True:
        import os, subprocess
        from codeact_kernel.frontends.documents import reserved_stdout
        with reserved_stdout() as document:
            print("from print")
            os.write(1, b"from the descriptor\\n")
            subprocess.run(["echo", "from a program"])
            document.write("the document\\n")
        print("after")
    """
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout == "the document\nafter\n"
    assert set(ran.stderr.splitlines()) == {"from print", "from the descriptor", "from a program"}
