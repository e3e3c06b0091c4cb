"""A live replay calls the real tools, through the approver, and compares what they say with the tape."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from codeact_kernel.config import ToolLimits
from codeact_kernel.live import Live
from codeact_kernel.notebook.null import NullRecorder
from codeact_kernel.replay import StepVerdict, replay
from codeact_kernel.sandbox.fake import Call, FakeExecutor, Moves
from codeact_kernel.tools.registry import ToolRegistry
from codeact_kernel.trajectory import Action, Approval, Observation, Reply, RunInfo, Step, Trajectory, Turn
from codeact_kernel.wire.messages import Json, Raised, Returned, ToolCall, ToolOutcome, ToolRequest


class Shop:
    """The world outside, as it is now."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def price(self, item: int) -> int:
        """What it costs."""
        self.asked.append(item)
        if item == 13:
            raise LookupError("no such item")
        return item * 10


class Refuses:
    def __init__(self, *items: int) -> None:
        self.items = items

    async def decide(self, request: ToolRequest, step: int) -> Approval:
        return Approval(request.args[0] not in self.items, "test")


def recorded(*calls: tuple[int, ToolOutcome | None]) -> Trajectory:
    made = [ToolCall(1, i, "price", (n,), {}, outcome) for i, (n, outcome) in enumerate(calls, 1)]
    step = Step(1, Reply(code="c"), Action("c"), Observation("ok", tool_calls=tuple(made)))
    return Trajectory(RunInfo("r", "m", "", "setup"), (Turn("t", (step,)),))


def replayed(
    run: Trajectory, shop: Shop, *asked: Json, refuses: tuple[int, ...] = (), most: int = 9
) -> list[str]:
    live = Live(ToolRegistry([shop.price]), NullRecorder(), ToolLimits(max_calls=most), Refuses(*refuses))

    async def main() -> list[StepVerdict]:
        executor = FakeExecutor(lambda source: [Call("price", (item,)) for item in asked])
        await executor.start("setup")
        async with aclosing(replay(executor, run, handler=live.handler)) as found:
            return [verdict async for verdict in found]

    (found,) = asyncio.run(main())
    assert all(drift.kind == "tool" for drift in found.drifts)
    return [drift.detail for drift in found.drifts]


def test_the_tools_are_called_and_what_they_say_is_compared() -> None:
    shop = Shop()
    run = recorded((1, Returned(10)), (2, Returned(25)), (13, Raised("LookupError", "gone")))
    assert replayed(run, shop, 1, 2, 13) == [
        "price(2): result: 25 → 20",
        "price(13): result: LookupError: gone → LookupError: no such item",
    ]
    assert shop.asked == [1, 2, 13]


def test_a_call_that_was_not_recorded_or_is_in_doubt_is_made_and_told() -> None:
    shop = Shop()
    run = recorded((1, Returned(10)), (3, None))
    assert replayed(run, shop, 1, 3, 4) == [
        "in doubt, it was begun and no outcome was recorded: price(3)",
        "called now, and not recorded: price(4)",
    ]
    assert shop.asked == [1, 3, 4]


def test_what_is_refused_is_not_called() -> None:
    shop = Shop()
    (said,) = replayed(recorded((1, Returned(10)), (2, Returned(20))), shop, 1, 2, refuses=(2,))
    assert said.startswith("price(2): result: 20 → ToolDenied: price(): denied by test")
    assert shop.asked == [1]


def test_the_limits_of_tools_hold() -> None:
    shop = Shop()
    (said,) = replayed(recorded((1, Returned(10)), (2, Returned(20))), shop, 1, 2, most=1)
    assert "RuntimeError" in said
    assert shop.asked == [1]


def test_what_a_person_was_asked_is_not_asked_again() -> None:
    call = ToolCall(1, 1, "input", ("Name? ",), {}, Returned("Ann"))
    step = Step(1, Reply(code="c"), Action("c"), Observation("ok", tool_calls=(call,)))
    run = Trajectory(RunInfo("r", "m", "", "setup"), (Turn("t", (step,)),))
    seen: list[ToolOutcome | None] = []

    def play(source: str) -> Moves:
        seen.append((yield Call("input", ("Name? ",))))

    async def main() -> list[StepVerdict]:
        executor = FakeExecutor(play)
        await executor.start("setup")
        handler = Live(ToolRegistry([Shop().price]), NullRecorder()).handler
        async with aclosing(replay(executor, run, handler=handler)) as found:
            return [verdict async for verdict in found]

    assert [verdict.drifts for verdict in asyncio.run(main())] == [()]
    assert seen == [Returned("Ann")]
