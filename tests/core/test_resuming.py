"""A step that was cut off runs again: calls that are done are answered, none is made twice unasked."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from codeact_kernel.agent import AgentLoop
from codeact_kernel.config import Settings, ToolLimits
from codeact_kernel.events import Event, ThoughtDelta, ToolStarted
from codeact_kernel.exceptions import SandboxError
from codeact_kernel.models.scripted import ScriptedModel
from codeact_kernel.notebook.null import NullRecorder
from codeact_kernel.outputs import Stream
from codeact_kernel.policy import CodeActPolicy
from codeact_kernel.resuming import Earlier, Pending, cut_off_step, doubtful, skipped
from codeact_kernel.sandbox.fake import Call, FakeExecutor, Hang, Move, Moves
from codeact_kernel.toolcalls import StepCalls
from codeact_kernel.tools.registry import ToolRegistry
from codeact_kernel.trajectory import (
    CUT_OFF,
    Action,
    Observation,
    Reply,
    RunInfo,
    Step,
    Stop,
    Trajectory,
    Turn,
)
from codeact_kernel.wire.messages import Raised, Returned, ToolCall, ToolOutcome, ToolRequest

INFO = RunInfo("r1", "scripted", "2026-01-01T00:00:00", "")
CODE = "for i in ids: refund(i)"


def call(index: int, order: int, outcome: ToolOutcome | None = None, tool: str = "refund") -> ToolCall:
    return ToolCall(1, index, tool, (order,), {}, outcome)


def cut(*calls: ToolCall) -> Step:
    observation = Observation("killed", reason=CUT_OFF, tool_calls=calls)
    return Step(1, Reply("Now all.", CODE), Action(CODE), observation)


class Shop:
    """Tools, and which calls were made."""

    def __init__(self) -> None:
        self.made: list[int] = []
        self.called = asyncio.Event()

    async def refund(self, order: int) -> str:
        """Refunds."""
        self.made.append(order)
        self.called.set()
        return f"ok {order}"


class Recorder(NullRecorder):
    def __init__(self) -> None:
        self.calls: list[ToolCall] = []

    def tool_intent(self, call: ToolCall) -> None:
        self.calls.append(call)

    def tool_outcome(self, call: ToolCall) -> None:
        self.calls.append(call)


def again(
    step: Step,
    *orders: int,
    repeat: bool = False,
    tools: bool = True,
    limits: ToolLimits = ToolLimits(),
) -> tuple[Shop, Recorder, StepCalls, list[ToolOutcome]]:
    """The cell asks for these orders, all at once."""

    async def decide(asked: ToolCall) -> bool:
        return repeat

    shop, recorder = Shop(), Recorder()
    registry = ToolRegistry([shop.refund] if tools else [])
    calls = StepCalls(1, registry, recorder, limits=limits, earlier=Earlier(Pending(step, decide)))

    async def ask() -> list[ToolOutcome]:
        calls.again()
        requests = (ToolRequest(n, "refund", (order,), {}) for n, order in enumerate(orders))
        return list(await asyncio.gather(*(calls.call(request) for request in requests)))

    return shop, recorder, calls, asyncio.run(ask())


def test_what_was_done_is_answered_and_what_was_not_is_called() -> None:
    done = call(1, 1, Returned("ok, then")), call(2, 2, Raised("ValueError", "no such order"))
    shop, recorder, calls, outcomes = again(cut(*done), 1, 2, 3)
    assert shop.made == [3]
    assert outcomes == [done[0].outcome, done[1].outcome, Returned("ok 3")]
    assert calls.calls[:2] == done
    assert [(each.index, each.outcome) for each in calls.calls[2:]] == [(3, Returned("ok 3"))]
    # What had been recorded is recorded again, in the new journal, before anything else.
    assert recorder.calls[:4] == [
        replace(done[0], outcome=None),
        done[0],
        replace(done[1], outcome=None),
        done[1],
    ]


def test_calls_are_paired_by_what_they_ask_in_whatever_order() -> None:
    done = call(1, 1, Returned("one")), call(2, 2, Returned("two")), call(3, 3, Returned("three"))
    shop, _, _, outcomes = again(cut(*done), 3, 1, 2)
    assert shop.made == []
    assert outcomes == [Returned("three"), Returned("one"), Returned("two")]


def test_the_same_call_is_answered_as_often_as_it_was_made() -> None:
    shop, _, calls, outcomes = again(cut(call(1, 7, Returned("a")), call(2, 7, Returned("b"))), 7, 7, 7)
    assert shop.made == [7]
    assert outcomes == [Returned("a"), Returned("b"), Returned("ok 7")]
    assert len(calls.calls) == 3


def test_of_the_same_calls_those_that_are_done_answer_before_one_in_doubt() -> None:
    doubt = call(1, 7)
    shop, _, calls, outcomes = again(cut(doubt, call(2, 7, Returned("b"))), 7)
    assert (shop.made, outcomes) == ([], [Returned("b")])
    assert calls.calls[0] == doubt


def test_a_call_in_doubt_is_not_made_again_unless_somebody_says_so() -> None:
    doubt = call(1, 4)
    shop, recorder, calls, (outcome,) = again(cut(doubt), 4)
    assert shop.made == []
    assert outcome == skipped(doubt)
    assert isinstance(outcome, Raised)
    assert "in doubt: refund(4) began before the run was cut off" in outcome.message
    assert outcome.made == "unknown"
    # That it was skipped is settled: another kill does not bring the question back.
    assert recorder.calls[-1] == calls.calls[0] == replace(doubt, outcome=outcome)


def test_a_call_in_doubt_that_is_made_again_stays_one_call() -> None:
    shop, _, calls, outcomes = again(cut(call(1, 4)), 4, repeat=True)
    assert (shop.made, outcomes) == ([4], [Returned("ok 4")])
    assert [(each.index, each.outcome) for each in calls.calls] == [(1, Returned("ok 4"))]


def test_without_the_tools_what_was_done_is_answered_and_the_rest_is_an_error_of_the_cell() -> None:
    _, _, calls, outcomes = again(cut(call(1, 1, Returned("ok"))), 1, 2, tools=False)
    assert outcomes[0] == Returned("ok")
    assert isinstance(outcomes[1], Raised)
    assert outcomes[1].type == "NameError"
    assert len(calls.calls) == 1


def test_a_call_in_doubt_whose_tool_is_gone_stays_in_doubt() -> None:
    doubt = call(1, 4)
    _, _, calls, (outcome,) = again(cut(doubt), 4, repeat=True, tools=False)
    assert isinstance(outcome, Raised)
    assert outcome.type == "NameError"
    assert calls.calls == (doubt,)


def test_calls_that_are_answered_count_too() -> None:
    limits = ToolLimits(max_calls=1)
    shop, _, _, outcomes = again(cut(call(1, 1, Returned("ok"))), 1, 2, limits=limits)
    assert shop.made == []
    assert isinstance(outcomes[1], Raised)


def test_what_is_in_doubt_and_changes_something_is_what_has_to_be_decided() -> None:
    step = cut(
        call(1, 1, Returned("ok")), call(2, 2), call(3, 3, tool="orders"), call(4, 4, tool="final_answer")
    )
    found = list(doubtful(step, {"refund": "write", "orders": "read"}))
    assert found == [call(2, 2)]
    # A tool that nobody says anything of may change something.
    assert list(doubtful(step, {})) == [call(2, 2), call(3, 3, tool="orders")]


@pytest.mark.parametrize(
    ("turns", "found"),
    [
        ((), False),
        ((Turn("t"),), False),
        ((Turn("t", (cut(),)),), True),
        ((Turn("t", (cut(),), Stop("interrupted", "stopped")),), False),
        ((Turn("t", (replace(cut(), observation=Observation("killed", reason="it died")),)),), False),
        ((Turn("t", (cut(), replace(cut(), index=2, observation=Observation("ok")))),), False),
    ],
)
def test_which_step_was_cut_off(turns: tuple[Turn, ...], found: bool) -> None:
    assert (cut_off_step(Trajectory(INFO, turns)) is not None) == found


# --- the loop ----------------------------------------------------------------------------------


def loop(step: Step, moves: Moves, shop: Shop, events: list[Event]) -> tuple[AgentLoop, ScriptedModel]:
    model = ScriptedModel([{"answer": "all done"}])
    settings = Settings()
    made = AgentLoop(
        Trajectory(INFO, (Turn("refund all", (step,)),)),
        CodeActPolicy(model, settings, "You write Python."),
        FakeExecutor({CODE: moves}),
        ToolRegistry([shop.refund]),
        Recorder(),
        settings,
        emit=events.append,
    )
    return made, model


async def never(call: ToolCall) -> bool:
    return False


def go_on(made: AgentLoop, pending: Pending) -> Stop:
    async def run() -> Stop:
        await made._executor.start("setup")
        return await made.go_on(first=pending)

    return asyncio.run(run())


def test_the_turn_goes_on_with_the_step_that_was_cut_off() -> None:
    step = cut(call(1, 1, Returned("ok 1")), call(2, 2))
    shop, events = Shop(), list[Event]()
    moves: list[Move] = [
        Call("refund", (1,)),
        Call("refund", (2,)),
        Call("refund", (3,)),
        Stream("stdout", "three\n"),
    ]
    made, model = loop(step, moves, shop, events)
    stop = go_on(made, Pending(step, never))
    assert stop.answer == "all done"
    assert shop.made == [3]
    (turn,) = made.trajectory.turns
    (now,) = turn.steps  # In the place of the one that was cut off.
    assert (now.index, now.reply, now.observation.status) == (1, step.reply, "ok")
    assert [each.outcome for each in now.observation.tool_calls] == [
        Returned("ok 1"),
        skipped(call(2, 2)),
        Returned("ok 3"),
    ]
    # The model is asked for what comes after it only, and the user sees what it had thought.
    assert len(model.requests) == 1
    assert "three" in str(model.requests[0].messages)
    assert ThoughtDelta("Now all.") in events
    assert [event.tool for event in events if isinstance(event, ToolStarted)] == ["refund"]


def test_an_interruption_of_the_step_that_runs_again_keeps_its_calls() -> None:
    step = cut(call(1, 1, Returned("ok 1")))
    shop, events = Shop(), list[Event]()
    made, _ = loop(step, [Call("refund", (1,)), Call("refund", (2,)), Hang()], shop, events)

    async def run() -> None:
        await made._executor.start("setup")
        going = asyncio.ensure_future(made.go_on(first=Pending(step, never)))
        await shop.called.wait()
        going.cancel()
        with pytest.raises(asyncio.CancelledError):
            await going

    asyncio.run(run())
    (now,) = made.trajectory.steps
    assert now.observation.status == "timeout"
    assert [each.args for each in now.observation.tool_calls] == [(1,), (2,)]
    assert made.trajectory.stop is not None
    assert made.trajectory.stop.reason == "interrupted"


def test_a_kernel_that_is_lost_leaves_what_was_done_on_the_record() -> None:
    step = cut(call(1, 1, Returned("ok 1")), call(2, 2))
    shop, events = Shop(), list[Event]()
    made, _ = loop(step, [Call("refund", (1,))], shop, events)

    async def run() -> None:
        with pytest.raises(SandboxError):  # It was never started.
            await made.go_on(first=Pending(step, never))

    asyncio.run(run())
    (now,) = made.trajectory.steps
    assert now.observation.tool_calls == step.observation.tool_calls
