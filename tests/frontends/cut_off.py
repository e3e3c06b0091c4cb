"""Runs that were cut off, made without a kernel: what their hosts would have left on the disk."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from codeact_kernel import tool
from codeact_kernel.notebook.journal import JournalRecorder
from codeact_kernel.notebook.redact import Redactor
from codeact_kernel.outputs import Result
from codeact_kernel.tools.registry import ToolRegistry
from codeact_kernel.trajectory import Action, Observation, Reply, RunInfo, Step
from codeact_kernel.wire.messages import Returned, ToolCall
from codeact_kernel.wire.setup import SetupSpec, setup_source

TASK = "refund all orders"
FIRST = "ids = orders()\nlen(ids)"
LOOP = "done = []\nfor i in ids:\n    try:\n        done.append(refund(i))\n"
LOOP += "    except RuntimeError as problem:\n        print(problem)\nlen(done)"


class Shop:
    """Ten orders. `made`: those that were refunded by this process; `asked`: how often for the list."""

    def __init__(self) -> None:
        self.made: list[int] = []
        self.asked = 0

    @property
    def tools(self) -> list[Any]:
        @tool
        def refund(order: int) -> str:
            """Refunds an order."""
            self.made.append(order)
            return f"ok {order}"

        @tool(effect="read")
        def orders() -> list[int]:
            """The orders."""
            self.asked += 1
            return list(range(10))

        return [refund, orders]


def info(tools: Iterable[Any]) -> RunInfo:
    setup = setup_source(SetupSpec("", (), ToolRegistry(tools).specs()))
    return RunInfo("run-1", "scripted", "2026-11-22T10:00:00Z", setup)


def first_step() -> Step:
    call = ToolCall(1, 1, "orders", (), {}, Returned(list(range(10))))
    shown = (Result({"text/plain": "10"}, 2),)
    return Step(
        1, Reply("The list.", FIRST), Action(FIRST), Observation("ok", shown, None, 2, ("ids",), (call,))
    )


def killed_after(folder: Path, done: int, *, doubt: bool = True, tools: Iterable[Any] | None = None) -> Path:
    """A run whose host was killed in its second step, with so many refunds done and perhaps one begun."""
    path = folder / "run.ipynb"
    recorder = open_run(path, Shop().tools if tools is None else tools)
    recorder.begin_step(2, Reply("Now all.", LOOP))
    for index in range(1, done + 1):
        call = ToolCall(2, index, "refund", (index - 1,), {}, None)
        recorder.tool_intent(call)
        recorder.tool_outcome(replace(call, outcome=Returned(f"ok {index - 1}")))
    if doubt:
        recorder.tool_intent(ToolCall(2, done + 1, "refund", (done,), {}, None))
    recorder.close()
    return path


def open_run(path: Path, tools: Iterable[Any], *steps: Step) -> JournalRecorder:
    """A run that goes on, after its first step and these."""
    recorder = JournalRecorder(path, Redactor({}))
    recorder.begin(info(tools))
    recorder.begin_turn(TASK)
    for step in (first_step(), *steps):
        recorder.begin_step(step.index, step.reply)
        for call in step.observation.tool_calls:
            recorder.tool_intent(replace(call, outcome=None))
            if call.outcome is not None:
                recorder.tool_outcome(call)
        recorder.end_step(step)
    return recorder
