"""Calls that nothing is waited for: answered at once, and checked, limited, recorded as any other."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from codeact_kernel.config import ToolLimits
from codeact_kernel.events import Event, ToolFinished, ToolStarted
from codeact_kernel.notebook.journal import read_journal
from codeact_kernel.resuming import Earlier, Pending
from codeact_kernel.toolcalls import StepCalls
from codeact_kernel.tools.registry import ToolRegistry, tool
from codeact_kernel.trajectory import Action, Observation, Reply, Step
from codeact_kernel.wire.blob import LEAST, Blob
from codeact_kernel.wire.messages import Raised, Returned, ToolCall, ToolRequest
from codeact_kernel.wire.values import encode

from .test_toolcalls import Log


def add(a: int, b: int) -> int:
    return a + b


def fail(kind: str) -> None:
    raise {"key": KeyError, "stop": StopIteration, "exit": SystemExit}[kind](kind)


async def slow(a: int) -> int:
    return a


def late(seconds: float) -> Coroutine[Any, Any, float]:
    """No `async def`, but what it gives has to be awaited."""
    return asyncio.sleep(seconds, seconds)


def size(data: bytes) -> int:
    return len(data)


def registry() -> ToolRegistry:
    here: list[Callable[..., Any]] = [add, fail, late, size]
    return ToolRegistry([*(tool(each, thread="loop") for each in here), tool(print_, thread="worker"), slow])


def print_(a: int) -> None: ...


def calls(log: Log, **said: Any) -> StepCalls:
    limits = said.pop("limits", ToolLimits())
    return StepCalls(1, registry(), log, limits=limits, **said)


def ask(tool: str, *args: Any, **kwargs: Any) -> ToolRequest:
    return ToolRequest(1, tool, args, kwargs)


def test_intent_call_outcome_in_that_order_and_no_event_loop() -> None:
    log, events = Log(), list[Event]()
    step = calls(log, emit=events.append)
    assert step.at_once(ask("add", 1, b=2)) == Returned(3)
    assert log.said == ["intent 1", "outcome 1"]
    (call,) = step.calls
    assert (call.tool, call.args, call.kwargs, call.outcome) == ("add", (1,), {"b": 2}, Returned(3))
    assert events == [ToolStarted("add", 1), ToolFinished(call)]


@pytest.mark.parametrize("name", ["slow", "print_", "nothing_of_that_name", "input"])
def test_what_has_to_be_awaited_is_left_alone(name: str) -> None:
    log = Log()
    step = calls(log)
    assert step.at_once(ask(name, 1)) is None
    assert (step.calls, log.said) == ((), [])


def test_where_somebody_has_a_say_nothing_is_done_at_once() -> None:
    log = Log()
    assert calls(log, approver=log).at_once(ask("add", 1, 2)) is None
    done = ToolCall(1, 1, "add", (1, 2), {}, Returned(3))

    async def never(call: ToolCall) -> bool:
        return False

    step = Step(1, Reply(code=""), Action(""), Observation("killed", tool_calls=(done,)))
    again = calls(log, earlier=Earlier(Pending(step, never)))
    assert again.at_once(ask("add", 1, 2)) is None
    assert asyncio.run(again.call(ask("add", 1, 2))) == Returned(3)
    assert log.said == []


def test_failures_of_a_tool_are_data() -> None:
    step = calls(Log())
    assert step.at_once(ask("fail", "key")) == Raised("KeyError", "key")
    stopped, ended, wrong = (
        step.at_once(ask("fail", "stop")),
        step.at_once(ask("fail", "exit")),
        step.at_once(ask("add", "x", 2)),
    )
    assert isinstance(stopped, Raised)
    assert stopped.type == "StopIteration"
    assert isinstance(ended, Raised)
    assert isinstance(wrong, Raised)
    assert "add(): argument 'a'" in wrong.message
    assert [call.outcome for call in step.calls] == [Raised("KeyError", "key"), stopped, ended, wrong]


def test_limits_are_those_of_any_call() -> None:
    step = calls(Log(), limits=ToolLimits(max_calls=2))
    asyncio.run(step.call(ask("slow", 1)))
    assert step.at_once(ask("add", 1, 2)) == Returned(3)
    assert step.at_once(ask("add", 1, 2)) == Raised("RuntimeError", "add(): more than 2 calls in one cell")
    tight = calls(Log(), limits=ToolLimits(max_cell_bytes=100))
    refused = tight.at_once(ask("add", "x" * 200, 1))
    assert isinstance(refused, Raised)
    assert "max_cell_bytes" in refused.message
    assert tight.calls == ()


def test_when_the_intent_cannot_be_written_the_tool_does_not_run() -> None:
    ran: list[int] = []

    def effect() -> None:
        ran.append(1)

    step = StepCalls(1, ToolRegistry([tool(effect, thread="loop")]), Log(disk_full=True), limits=ToolLimits())
    with pytest.raises(OSError, match="No space left"):
        step.at_once(ask("effect"))
    assert ran == []


def test_what_turns_out_to_be_awaitable_is_awaited_within_its_time() -> None:
    async def scene() -> None:
        log = Log()
        answer = calls(log).at_once(ask("late", 0.0))
        assert isinstance(answer, Coroutine)
        assert log.said == ["intent 1"]
        assert await answer == Returned(0.0)
        assert log.said == ["intent 1", "outcome 1"]
        hurried = calls(log, limits=ToolLimits(timeout_s=0.05)).at_once(ask("late", 60.0))
        assert isinstance(hurried, Coroutine)
        outcome = await asyncio.ensure_future(hurried)
        assert isinstance(outcome, Raised)
        assert outcome.type == "TimeoutError"
        patient = calls(log)
        cancelled = patient.at_once(ask("late", 60.0))
        assert isinstance(cancelled, Coroutine)
        task = asyncio.ensure_future(cancelled)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert [call.outcome for call in patient.calls] == [None]

    asyncio.run(scene())


def test_a_final_answer_is_judged_at_once() -> None:
    step = calls(
        Log(), final_check=lambda value: Returned(None) if value == 1 else Raised("ValueError", "no")
    )
    assert step.at_once(ask("final_answer", 2)) == Raised("ValueError", "no")
    assert step.answer is None
    assert step.at_once(ask("final_answer", 1)) == Returned(None)
    assert step.answer == Returned(1)


def test_long_bytes_are_text_in_the_record_only() -> None:
    step = calls(Log())
    data = b"\xff" * LEAST
    sent = encode(data, blobs=True)
    assert isinstance(sent, dict)
    assert isinstance(sent["b64"], Blob)
    assert step.at_once(ask("size", sent)) == Returned(LEAST)
    assert asyncio.run(calls(Log(), approver=Log()).call(ask("size", sent))) == Returned(LEAST)
    (call,) = step.calls
    assert call.args == (encode(data),)


KILLED = """
import os, signal, sys
from codeact_kernel.config import ToolLimits
from codeact_kernel.notebook.journal import JournalRecorder
from codeact_kernel.toolcalls import StepCalls
from codeact_kernel.tools.registry import ToolRegistry, tool
from codeact_kernel.trajectory import Reply, RunInfo
from codeact_kernel.wire.messages import ToolRequest

@tool(thread="loop", effect="read")
def look(n: int) -> int:
    if n == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return n

recorder = JournalRecorder(sys.argv[1])
recorder.begin(RunInfo("run", "model", "2026-11-28T00:00:00Z", ""))
recorder.begin_turn("a task")
recorder.begin_step(1, Reply(code="look(1)"))
step = StepCalls(1, ToolRegistry([look]), recorder, limits=ToolLimits())
for n in (1, 2, 3, 4):
    step.at_once(ToolRequest(n, "look", (n,)))
"""


def test_killed_in_the_middle_the_journal_says_how_far_it_got(tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "run.ipynb")], check=False)
    assert ended.returncode == -signal.SIGKILL
    step = read_journal(tmp_path / "run.codeact.jsonl").turns[-1].steps[-1]
    assert [(call.args, call.outcome) for call in step.observation.tool_calls] == [
        ((1,), Returned(1)),
        ((2,), Returned(2)),
        ((3,), None),
    ]
