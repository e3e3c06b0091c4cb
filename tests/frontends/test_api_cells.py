"""Cells without a model, and what the host says of imports."""

from __future__ import annotations

import threading
from importlib.util import find_spec
from pathlib import Path

import pytest

from codeact_kernel import Limits, SandboxProfile, tool
from codeact_kernel.config import Settings
from codeact_kernel.events import Event, StepFinished
from codeact_kernel.exceptions import ToolDefinitionError, UsageError
from codeact_kernel.frontends.cellrun import exec_cells
from codeact_kernel.frontends.imports import allowed_imports
from codeact_kernel.in_kernel.guard_lists import load_lists
from codeact_kernel.wire.messages import Raised, Returned

CELLS = [
    "x = 1\nprint(add(x, 1))",
    "1 / 0",
    "def broken(:",
    "final_answer(x)\nprint('after')",
    "y = [1]\nwhile True: pass",
    "import ctypes\nlost = 1\nctypes.string_at(0)",
    "print(x, 'lost' in globals(), add(2, 2))",
    "add('one', 1)",
    "1 / 0",
    "1 / 0",
    "1 / 0",
    "x + 41",
]


@pytest.mark.kernel
def test_cells_go_on_after_failures_kills_and_answers() -> None:
    calls: list[tuple[int, int]] = []
    threads: set[threading.Thread] = set()
    events: list[Event] = []

    def add(a: int, b: int) -> int:
        calls.append((a, b))
        threads.add(threading.current_thread())
        return a + b

    settings = Settings(
        # The budgets of a task do not hold here.
        Limits(max_steps=1, max_seconds=1e-6, max_tokens=1, step_timeout_s=1, interrupt_grace_s=5),
        profile=SandboxProfile(allow_imports=("ctypes",)),
    )
    found = exec_cells(CELLS, tools=[add], settings=settings, on_event=events.append)
    statuses = [observation.status for observation in found]
    assert statuses == [
        *("ok", "error", "error", "ok", "timeout", "killed"),
        *("ok", "error", "error", "error", "error", "ok"),
    ]
    enames = [observation.error.ename if observation.error else None for observation in found]
    assert enames[1:5] == ["ZeroDivisionError", "SyntaxError", None, "KeyboardInterrupt"]
    assert found[3].text("stdout") == "after\n"
    assert found[6].text("stdout") == "1 False 4\n"
    assert calls == [(1, 1), (2, 2)]  # Not again while the state was rebuilt.
    assert threads == {threading.main_thread()}
    assert [call.outcome for call in found[0].tool_calls] == [Returned(2)]
    (wrong,) = found[7].tool_calls
    assert isinstance(wrong.outcome, Raised)
    assert [event.step.index for event in events if isinstance(event, StepFinished)] == list(range(1, 13))


def test_no_cells_show_nothing() -> None:
    assert exec_cells([]) == ()


def test_wrong_tools_are_refused_before_a_kernel_starts() -> None:
    def add(a: int) -> int:
        return a

    with pytest.raises(ToolDefinitionError, match="add"):
        exec_cells(["1"], tools=[add, tool(add)])


@pytest.mark.kernel
def test_a_listener_that_fails_ends_the_run() -> None:
    def listener(event: Event) -> None:
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        exec_cells(["while True: pass"], on_event=listener)


@pytest.mark.kernel
def test_the_host_lists_the_imports_that_the_kernel_allows() -> None:
    """Every listed module can be imported in the kernel; what is not listed and is installed cannot."""
    names = allowed_imports(["ctypes"])
    assert "ctypes" in names
    assert list(names) == sorted(set(names))
    in_force = load_lists(["ctypes"]).imports
    assert set(names) == {name for name in in_force if find_spec(name.partition(".")[0])}
    cells = [f"import {name}" for name in names]
    refused = ["import os", "import subprocess", "import socket", "import pytest"]
    # One process for all: a cell each would be slow.
    attempt = "failed = []\n" + "".join(
        f"try: {c}\nexcept ImportError as e: failed.append(str(e))\n" for c in cells
    )
    profile = SandboxProfile(allow_imports=("ctypes",))
    ok, *bad = exec_cells([f"{attempt}print(failed)", *refused], settings=Settings(profile=profile))
    assert (ok.status, ok.text("stdout")) == ("ok", "[]\n"), ok
    assert [observation.refusals[0].name for observation in bad] == ["os", "subprocess", "socket", "pytest"]


def test_a_workspace_that_cannot_be_made_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    settings = Settings(profile=SandboxProfile(workspace=tmp_path / "file" / "folder"))
    with pytest.raises(UsageError, match="cannot be made"):
        exec_cells(["1"], settings=settings)
