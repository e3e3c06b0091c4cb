"""What the model is told of the calls of a cell that failed."""

from __future__ import annotations

import asyncio

import pytest

from codeact_kernel.agent import AgentLoop
from codeact_kernel.callnotes import MAX_CHARS, calls_notes
from codeact_kernel.config import Settings
from codeact_kernel.models.scripted import ScriptedModel
from codeact_kernel.notebook.null import NullRecorder
from codeact_kernel.outputs import Error, Status
from codeact_kernel.policy import CodeActPolicy
from codeact_kernel.sandbox.fake import Call, FakeExecutor
from codeact_kernel.tools.registry import ToolRegistry
from codeact_kernel.trajectory import Observation, RunInfo, Trajectory
from codeact_kernel.wire.messages import Json, Raised, Returned, ToolCall, ToolOutcome

NONE = Returned(None)
NO = Error("ValueError", "no", ("ValueError: no",))


def made(
    tool: str, *args: Json, outcome: ToolOutcome | None = NONE, denied_by: str = "", **kwargs: Json
) -> ToolCall:
    return ToolCall(1, 1, tool, args, kwargs, outcome, denied_by=denied_by)


def notes(*calls: ToolCall, status: Status = "error") -> list[str]:
    return [*calls_notes(Observation(status, tool_calls=calls))]


def test_calls_that_count_are_named_with_their_results() -> None:
    calls = (made("refund", order_id=7), made("shop.total", 3, outcome=Returned(12.5)))
    assert notes(*calls) == [
        "Before it failed these calls were made, and count: refund(order_id=7) → None; shop.total(3) → 12.5."
    ]


@pytest.mark.parametrize("status", ["error", "timeout", "interrupted", "killed"])
def test_of_each_way_to_fail_and_not_of_success(status: Status) -> None:
    assert notes(made("refund", 7), status=status)
    assert not notes(made("refund", 7), status="ok")


def test_a_tool_may_begin_with_an_underscore_as_what_only_the_kernel_asks_of_modules() -> None:
    assert notes(made("_pay", 7)) == ["Before it failed these calls were made, and count: _pay(7) → None."]


def test_what_was_not_made_does_not_count() -> None:
    denied = made("pay", 5, outcome=Raised("ToolDenied", "pay(): denied by ana"), denied_by="ana")
    assert not notes(denied, made("final_answer", 3), made("shop._updates", outcome=Returned([])))
    assert notes(denied, made("pay", 6))[0].endswith("count: pay(6) → None.")


def test_what_never_reached_its_tool_does_not_count_and_what_nobody_knows_is_in_doubt() -> None:
    refused = made("pay", "x", outcome=Raised("ValueError", "pay(): argument 'n': no number", "no"))
    lost = made("pay", 1, outcome=Raised("ToolUnavailable", "whether it did is not known", "unknown"))
    assert not notes(refused)
    assert notes(refused, lost, made("pay", 6)) == [
        "Before it failed these calls were made, and count: pay(6) → None.",
        "It is in doubt whether these were done: pay(1) raised ToolUnavailable. Look before you repeat one.",
    ]


def test_one_that_raised_was_made_and_one_in_doubt_is_called_so() -> None:
    said = notes(made("pay", 1, outcome=Raised("ToolError", "x" * 5000)), made("pay", 2, outcome=None))
    assert said == [
        "Before it failed these calls were made, and count: pay(1) raised ToolError.",
        "It is in doubt whether these were done: pay(2). Look before you repeat one.",
    ]


def test_of_many_calls_there_is_a_count_and_the_last() -> None:
    (said,) = notes(*(made("refund", n) for n in range(5000)), made("look", 1), made("refund", 5000))
    assert said.startswith("Before it failed these calls were made, and count: refund(0) → None; refund(1)")
    assert said.endswith(
        "… in all 5,002 calls (refund 5,001 times, look 1 times), the last one refund(5000) → None."
    )
    assert len(said) < MAX_CHARS


def test_large_arguments_and_results_are_not_shown_in_full() -> None:
    large: Json = ["x" * 100] * 20_000
    (said,) = notes(*(made("t" * 300, large, k=large, outcome=Returned(large)) for _ in range(30)))
    assert "bytes)" in said
    assert len(said) < 2 * MAX_CHARS


def test_the_loop_tells_it_with_the_step() -> None:
    def refund(order_id: int) -> None: ...

    model = ScriptedModel([{"code": "loop"}, {"answer": "done"}])
    script = {"loop": [Call("refund", (7,)), Call("refund", (), {"order_id": 8}), NO]}
    executor, policy = FakeExecutor(script), CodeActPolicy(model, Settings(), "")
    trajectory, tools = Trajectory(RunInfo("r", "m", "2026", "")), ToolRegistry([refund])
    loop = AgentLoop(trajectory, policy, executor, tools, NullRecorder(), Settings(), emit=lambda event: None)

    async def scene() -> None:
        await executor.start("setup")
        await loop.run("task")

    asyncio.run(scene())
    said = "Before it failed these calls were made, and count: refund(7) → None; refund(order_id=8) → None."
    assert loop.trajectory.steps[0].notes == (said,)
    assert said in str(policy.request(loop.trajectory).messages)
