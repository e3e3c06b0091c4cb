"""Every tool call of a step: approve, intent on disk, run, outcome on disk. And nothing in another order."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Literal

import pytest

from codeact_kernel.config import ToolLimits
from codeact_kernel.events import Event, ToolFinished, ToolStarted
from codeact_kernel.interfaces import ToolSource
from codeact_kernel.notebook.null import NullRecorder
from codeact_kernel.toolcalls import FinalCheck, StepCalls, accept_any
from codeact_kernel.tools.registry import ToolRegistry, tool
from codeact_kernel.trajectory import Approval, Refusal, Reply, RunInfo, Step, Stop
from codeact_kernel.wire.frames import HEADER, answer, too_large
from codeact_kernel.wire.messages import (
    Arguments,
    Json,
    Raised,
    Returned,
    ToolCall,
    ToolOutcome,
    ToolRequest,
    ToolSpec,
)
from codeact_kernel.wire.weight import weight


@dataclass
class Log(ToolSource):
    """A Recorder, a ToolSource and an Approver that write one log."""

    said: list[str] = field(default_factory=list)
    allow: bool = True
    seconds: float = 0.0
    disk_full: bool = False
    edited: Arguments | None = None

    def begin(self, info: RunInfo) -> None: ...
    def begin_turn(self, task: str, notes: tuple[str, ...] = ()) -> None: ...
    def begin_step(self, index: int, reply: Reply) -> None: ...
    def end_step(self, step: Step) -> None: ...
    def end_turn(self, stop: Stop) -> None: ...
    def close(self) -> None: ...

    def tool_intent(self, call: ToolCall) -> None:
        assert call.outcome is None
        if self.disk_full:
            raise OSError(28, "No space left on device")
        self.said.append(f"intent {call.index}")

    def tool_outcome(self, call: ToolCall) -> None:
        assert call.outcome is not None
        self.said.append(f"outcome {call.index}")

    def specs(self) -> tuple[ToolSpec, ...]:
        return (ToolSpec("echo"),)

    async def call(self, request: ToolRequest) -> ToolOutcome:
        self.said.append(f"run {request.args[0]}")
        await asyncio.sleep(self.seconds)
        return Returned(request.args[0])

    async def decide(self, request: ToolRequest, step: int) -> Approval:
        self.said.append(f"approve {request.args[0]}")
        await asyncio.sleep(0)
        return Approval(self.allow, "a person", "" if self.allow else "too much", self.edited)


def request(value: Json, tool: str = "echo") -> ToolRequest:
    return ToolRequest(1, tool, (value,))


def step(log: Log, *, check: FinalCheck = accept_any, events: list[Event] | None = None, **limits: float):
    emit = None if events is None else events.append
    return StepCalls(
        3,
        log,
        log,
        limits=ToolLimits(**limits),
        approver=log,
        final_check=check,
        emit=emit,
    )


def made(calls: StepCalls) -> list[str]:
    return [call.outcome.made for call in calls.calls if isinstance(call.outcome, Raised)]


def test_order_of_one_call() -> None:
    log, events = Log(), list[Event]()
    calls = step(log, events=events)
    assert asyncio.run(calls.call(request("a"))) == Returned("a")
    assert log.said == ["approve a", "intent 1", "run a", "outcome 1"]
    (call,) = calls.calls
    assert (call.step, call.index, call.tool, call.args, call.outcome) == (
        3,
        1,
        "echo",
        ("a",),
        Returned("a"),
    )
    assert events == [ToolStarted("echo", 1), ToolFinished(call)]


def test_concurrent_calls_keep_their_places() -> None:
    log = Log(seconds=0.01)
    calls = step(log)

    async def scene() -> None:
        await asyncio.gather(*(calls.call(request(i)) for i in range(5)))

    asyncio.run(scene())
    assert [(call.index, call.outcome) for call in calls.calls] == [(i + 1, Returned(i)) for i in range(5)]
    for i in range(5):
        order = [log.said.index(entry) for entry in (f"intent {i + 1}", f"run {i}", f"outcome {i + 1}")]
        assert order == sorted(order)


def test_what_the_user_forbids_is_recorded_and_not_run() -> None:
    log, events = Log(allow=False), list[Event]()
    calls = step(log, events=events)
    refused = Raised("ToolDenied", "echo(): denied by a person: too much")
    assert asyncio.run(calls.call(request("a"))) == refused
    assert log.said == ["approve a", "intent 1", "outcome 1"]
    (call,) = calls.calls
    assert (call.outcome, call.denied_by, call.approved_by) == (refused, "a person", "")
    assert made(calls) == ["no"]
    assert events == [ToolFinished(call)]


def test_what_a_person_changes_is_called_in_place_of_what_was_asked() -> None:
    log = Log(edited=(("b",), {}))
    calls = step(log)
    assert asyncio.run(calls.call(request("a"))) == Returned("b")
    assert log.said == ["approve a", "intent 1", "run b", "outcome 1"]
    (call,) = calls.calls
    assert (call.args, call.edited, call.approved_by) == (("a",), (("b",), {}), "a person")
    assert calls.notes == ['Before echo("a") was called, a person changed it to echo("b").']


def test_cancelled_call_stays_in_doubt() -> None:
    log = Log(seconds=60)
    calls = step(log)

    async def scene() -> None:
        running = asyncio.ensure_future(calls.call(request("a")))
        while "run a" not in log.said:  # noqa: ASYNC110  # no event to wait for
            await asyncio.sleep(0)
        running.cancel()
        await asyncio.wait([running])
        assert running.cancelled()

    asyncio.run(scene())
    assert log.said == ["approve a", "intent 1", "run a"]
    assert [call.outcome for call in calls.calls] == [None]


def test_time_limit_of_a_tool_is_an_outcome() -> None:
    log = Log(seconds=60)
    calls = step(log, timeout_s=0.01)
    said = "echo(): no result after 0.01 s; it may still be at work"
    assert asyncio.run(calls.call(request("a"))) == Raised("TimeoutError", said)
    assert log.said[-1] == "outcome 1"


def test_more_calls_than_allowed_also_when_they_wait_for_approval() -> None:
    log = Log()
    calls = step(log, max_calls=2)

    async def scene() -> list[ToolOutcome]:
        return await asyncio.gather(*(calls.call(request(i)) for i in range(4)))

    refused = Raised("RuntimeError", "echo(): more than 2 calls in one cell")
    assert asyncio.run(scene()) == [Returned(0), Returned(1), refused, refused]
    assert len(calls.calls) == 2


def test_nothing_runs_when_the_intent_cannot_be_written() -> None:
    log = Log(disk_full=True)
    with pytest.raises(OSError, match="No space"):
        asyncio.run(step(log).call(request("a")))
    assert log.said == ["approve a"]


def test_final_answer_is_taken_when_the_check_accepts_it() -> None:
    calls = step(Log(), check=lambda value: Returned(None) if value == 1 else Raised("ValueError", "not 1"))
    assert asyncio.run(calls.call(request(2, "final_answer"))) == Raised("ValueError", "not 1")
    assert calls.answer is None
    assert asyncio.run(calls.call(request(1, "final_answer"))) == Returned(None)
    assert calls.answer == Returned(1)
    assert [call.tool for call in calls.calls] == ["final_answer", "final_answer"]


@pytest.mark.parametrize("asked", [ToolRequest(1, "final_answer"), ToolRequest(1, "final_answer", (1, 2))])
def test_final_answer_takes_one_value(asked: ToolRequest) -> None:
    calls = StepCalls(1, Log(), Log(), limits=ToolLimits())
    said = f"final_answer() takes exactly one value, got {len(asked.args)}"
    assert asyncio.run(calls.call(asked)) == Raised("TypeError", said)
    assert calls.answer is None


def test_refusals_are_kept() -> None:
    calls = step(Log())
    calls.refused(Refusal("import", "socket"))
    assert calls.refusals == [Refusal("import", "socket")]


def test_what_a_cell_keeps_is_bounded() -> None:
    log = Log()
    calls = step(log, max_cell_bytes=5500)

    async def scene() -> list[ToolOutcome]:
        return [await calls.call(request("x" * 1000)) for _ in range(4)]

    first, second, third, fourth = asyncio.run(scene())
    assert first == second == Returned("x" * 1000)
    # The third ran, but its result has no room; the fourth has none itself.
    assert isinstance(third, Raised)
    assert third.type == "RuntimeError"
    assert third.message.startswith("echo(): result of 1,008 bytes, after ")
    assert isinstance(fourth, Raised)
    assert "echo(): arguments of 1,032 bytes" in fourth.message
    assert "a cell can have 5,500 (max_cell_bytes)" in fourth.message
    assert [call.outcome for call in calls.calls] == [first, second, third]
    assert asyncio.run(calls.call(request("x"))) == Returned("x")


@pytest.mark.parametrize("text", ["x" * 1000, "\x00" * 160, "\u20ac" * 160])
def test_what_is_recorded_is_what_the_cell_gets_when_a_result_is_too_large(text: str) -> None:
    log = Log()
    calls = step(log, max_payload_bytes=900)
    outcome = asyncio.run(calls.call(request(text)))
    size = len(answer(1, Returned(text))) - HEADER
    assert outcome == too_large("echo", size, 900)
    assert [call.outcome for call in calls.calls] == [outcome]
    assert asyncio.run(calls.call(request("x" * 840))) == Returned("x" * 840)


def test_calls_that_wait_for_approval_count_and_so_do_refused_ones() -> None:
    log = Log(allow=False)
    calls = step(log, max_cell_bytes=2500)

    async def scene() -> list[ToolOutcome]:
        return await asyncio.gather(*(calls.call(request("x" * 1000)) for _ in range(3)))

    kinds = [outcome.type for outcome in asyncio.run(scene()) if isinstance(outcome, Raised)]
    assert kinds == ["ToolDenied", "ToolDenied", "RuntimeError"]
    outcome = asyncio.run(calls.call(request("x" * 2000)))
    assert isinstance(outcome, Raised)
    assert "echo(): arguments of 2,032 bytes" in outcome.message


def test_a_tool_that_is_none_is_neither_recorded_nor_named_in_full() -> None:
    log = Log()
    calls = step(log)
    outcome = asyncio.run(calls.call(request("a", "x" * 10_000)))
    assert isinstance(outcome, Raised)
    assert outcome.type == "NameError"
    assert outcome.message == f"no tool is called {'x' * 100!r}; there are: echo, final_answer"
    assert log.said == []
    assert calls.calls == ()


def test_a_call_of_a_module_that_is_gone_is_recorded() -> None:
    """Its stub is there when the cell is run again, and asks again."""
    log = Log()
    calls = step(log)
    outcome = asyncio.run(calls.call(request(7, "shop.refund")))
    assert isinstance(outcome, Raised)
    assert outcome.type == "ToolUnavailable"
    assert [(call.tool, call.outcome) for call in calls.calls] == [("shop.refund", outcome)]
    assert log.said == ["intent 1", "outcome 1"]
    assert made(calls) == ["no"]


@pytest.mark.parametrize("at_once", [True, False])
def test_a_call_whose_arguments_are_refused_was_not_made_and_one_whose_tool_raised_was(at_once: bool) -> None:
    def pay(n: int) -> None:
        raise ValueError("no money")

    thread: Literal["loop", "caller"] = "loop" if at_once else "caller"
    registry = ToolRegistry([tool(pay, thread=thread)])
    calls = StepCalls(1, registry, NullRecorder(), limits=ToolLimits())
    for value in ("x", 1):
        if at_once:
            assert isinstance(calls.at_once(request(value, "pay")), Raised)
        else:
            assert isinstance(asyncio.run(calls.call(request(value, "pay"))), Raised)
    assert made(calls) == ["no", "yes"]


def test_weight_is_about_the_bytes() -> None:
    assert 1_000_000 <= weight(["x" * 1_000_000, {"k" * 1000: 1}]) <= 1_002_000
    assert weight("\u20ac" * 1000) >= 4000
    assert 8_000 <= weight([[0] * 10] * 100) <= 10_000


class Growing(Log):
    """Has more tools when it is asked again."""

    names: tuple[str, ...] = ("echo",)

    def specs(self) -> tuple[ToolSpec, ...]:
        return tuple(map(ToolSpec, self.names))


def test_tools_that_come_within_a_step_can_be_called_in_it() -> None:
    log = Growing()
    calls = step(log)
    unknown = asyncio.run(calls.call(request("a", "late")))
    there = "no tool is called 'late'; there are: echo, final_answer"
    assert unknown == Raised("NameError", there)
    log.names = ("echo", "late")
    assert asyncio.run(calls.call(request("a", "late"))) == Returned("a")


def test_of_thousands_of_tools_only_some_are_named() -> None:
    log = Growing()
    log.names = tuple(f"tool_{n}" for n in range(2500))
    unknown = asyncio.run(step(log).call(request("a", "x" * 5000)))
    assert isinstance(unknown, Raised)
    assert unknown.message.endswith(" and 2,461 more")
    assert len(unknown.message) < 1_000
