"""The `%%recorded` cell: written by the host, read back, and raised in a real IPython shell."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeact_kernel.wire.recorded import parse_header, parse_recorded, recorded_source

TEXT = st.text(alphabet=st.characters(exclude_categories=()))


@given(st.sampled_from(["timeout", "killed"]), st.sampled_from(["StepTimeout", "KernelKilled"]), TEXT, TEXT)
def test_round_trip(status: Any, ename: str, evalue: str, code: str) -> None:
    source = recorded_source(status, ename, evalue, code)
    assert parse_recorded(source) == (status, ename, evalue, code)
    assert source.isascii() or not code.isascii()


@pytest.mark.parametrize(
    "source",
    [
        "",
        "print(1)",
        "%%recorded",
        "%%recorded {bad\nx",
        "%%recordedx {}\nx",
        "%%recorded []\nx",
        '%%recorded {"status": "ok", "ename": "E", "evalue": ""}\nx',
        '%%recorded {"status": "timeout", "ename": "not a name", "evalue": ""}\nx',
        '%%recorded {"status": "timeout", "ename": "E", "evalue": 3}\nx',
        "%%recorded " + "[" * 100_000 + "\nx",
    ],
)
def test_what_is_no_recorded_cell(source: str) -> None:
    assert parse_recorded(source) is None


def test_a_bad_header_says_what_it_must_be() -> None:
    with pytest.raises(ValueError, match=r"%%recorded must be followed by one line of JSON, not '\{bad'"):
        parse_header("{bad")
    with pytest.raises(ValueError, match='"timeout" or "killed"'):
        parse_header('{"status": "ok", "ename": "E", "evalue": ""}')
    with pytest.raises(ValueError, match="class name"):
        recorded_source("killed", "no name", "", "")


def shell(*cells: str) -> list[Any]:
    """(error class, message, what was printed) of each cell, in a shell with the magic and the guard."""
    code = """
import io, json, sys
from contextlib import redirect_stdout, redirect_stderr
from IPython.core.interactiveshell import InteractiveShell
from codeact_kernel.in_kernel.guard import Guard
from codeact_kernel.in_kernel.recorded import register_recorded
shell = InteractiveShell.instance(colors="nocolor")
register_recorded(shell)
Guard(shell, (), print).install()
answers = []
for cell in json.load(sys.stdin):
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(out):
        error = shell.run_cell(cell).error_in_exec
    answers.append([type(error).__name__, str(error), out.getvalue()])
json.dump(answers, sys.stdout)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(cells),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    answers: list[Any] = json.loads(done.stdout)
    return answers


def test_the_magic_raises_and_runs_nothing() -> None:
    body = "print('it ran')\nimport os\n!ls\nwhile True: pass"
    timeout, killed, bad, after = shell(
        recorded_source("timeout", "StepTimeout", "stopped after 5 s: {x} $y 'q'\n", body),
        recorded_source("killed", "KernelKilled", "the kernel died", "pass"),
        "%%recorded nonsense\npass",
        "print('goes on')",
    )
    assert timeout[:2] == ["StepTimeout", "stopped after 5 s: {x} $y 'q'\n"]
    assert timeout[2].startswith("StepTimeout: stopped after 5 s")
    assert "it ran" not in timeout[2]
    assert killed == ["KernelKilled", "the kernel died", "KernelKilled: the kernel died\n"]
    assert bad[0] == "UsageError"
    assert "'nonsense'" in bad[1]
    assert after == ["NoneType", "None", "goes on\n"]
