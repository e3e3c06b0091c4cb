"""The loop on a fake executor: how each turn ends, what is recorded of it, and what the model is told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import pytest

from codeact_kernel.agent import AgentLoop
from codeact_kernel.config import Limits, Settings, ToolLimits
from codeact_kernel.events import (
    ActionReady,
    Event,
    ModelRequest,
    OutputShown,
    StepFinished,
    StepStarted,
    Text,
    ThoughtDelta,
    ToolFinished,
    ToolStarted,
    TurnFinished,
    TurnStarted,
)
from codeact_kernel.exceptions import ModelError, ModelRefusal, SandboxError, ScriptExhausted
from codeact_kernel.interfaces import Emit, Model
from codeact_kernel.models.scripted import Scripted, ScriptedModel
from codeact_kernel.outputs import Error, Finished, Stream
from codeact_kernel.policy import CodeActPolicy
from codeact_kernel.sandbox.fake import Call, FakeExecutor, Hang, Moves, Script
from codeact_kernel.toolcalls import FinalCheck, accept_any
from codeact_kernel.tools.registry import ToolRegistry
from codeact_kernel.trajectory import Refusal, Reply, RunInfo, Step, Stop, Trajectory, Usage
from codeact_kernel.wire.messages import Json, Raised, Returned, ToolCall, ToolOutcome

ERROR = Error("ValueError", "no", ("ValueError: no",))
EMPTY = Trajectory(RunInfo("r1", "scripted", "2026-01-01T00:00:00", ""))


class Journal:
    """A Recorder that keeps what was recorded, in order."""

    def __init__(self) -> None:
        self.records: list[Any] = []

    def begin(self, info: RunInfo) -> None:
        self.records.append(info)

    def begin_turn(self, task: str, notes: tuple[str, ...] = ()) -> None:
        self.records.append(task)

    def begin_step(self, index: int, reply: Reply) -> None:
        self.records.append(index)

    def tool_intent(self, call: ToolCall) -> None:
        self.records.append(call)

    def tool_outcome(self, call: ToolCall) -> None:
        self.records.append(call)

    def end_step(self, step: Step) -> None:
        self.records.append(step)

    def end_turn(self, stop: Stop) -> None:
        self.records.append(stop)

    def close(self) -> None: ...


class Lab:
    """One loop, and everything that can be seen of it."""

    def __init__(
        self,
        model: Model | Iterable[Scripted],
        script: Script | None = None,
        *,
        limits: Limits = Limits(),
        tool_limits: ToolLimits = ToolLimits(),
        tools: Iterable[Callable[..., object]] = (),
    ) -> None:
        self.model: Any = ScriptedModel(model) if isinstance(model, Iterable) else model
        self.executor = FakeExecutor(script)
        self.journal = Journal()
        self.events: list[Event] = []
        settings = Settings(limits, tool_limits)
        self.policy = CodeActPolicy(self.model, settings, "You write Python.")
        self.loop = AgentLoop(
            EMPTY,
            self.policy,
            self.executor,
            ToolRegistry(tools),
            self.journal,
            settings,
            emit=self.events.append,
            prompt_tokens=self.policy.prompt_tokens,
            cost=self.model.cost,
        )

    def run(self, check: FinalCheck = accept_any, task: str = "do it") -> Stop:
        return asyncio.run(self.arun(check, task))

    async def arun(self, check: FinalCheck = accept_any, task: str = "do it") -> Stop:
        if not self.executor.starts:
            await self.executor.start("setup")
        return await self.loop.run(task, check)

    @property
    def steps(self) -> tuple[Step, ...]:
        return self.loop.trajectory.steps

    @property
    def told(self) -> str:
        """The text that the model would see next, but for its own."""
        messages = self.policy.request(self.loop.trajectory).messages
        parts = [part for m in messages for part in getattr(m, "parts", ())]
        return "\n".join(part.text for part in parts if isinstance(part, Text))

    @property
    def recorded(self) -> tuple[Step, ...]:
        return tuple(r for r in self.journal.records if isinstance(r, Step))

    @property
    def stops(self) -> list[Stop]:
        return [r for r in self.journal.records if isinstance(r, Stop)]


def final(value: Json) -> list[Call]:
    return [Call("final_answer", (value,))]


def codes(*sources: str) -> list[Scripted]:
    return [{"code": source} for source in sources]


def numbered(count: int) -> list[Scripted]:
    return codes(*(f"x = {i}" for i in range(count)))


# --- answers -----------------------------------------------------------------------------------


def test_a_text_reply_is_the_answer() -> None:
    lab = Lab([{"thought": "hm", "answer": "42"}])
    stop = lab.run()
    assert (stop.reason, stop.answer) == ("answer", "42")
    assert stop.reply is not None
    assert stop.reply.answer == "42"
    assert lab.steps == ()
    assert lab.journal.records == ["do it", stop]
    assert lab.loop.trajectory.cost_usd == 0.0


def test_final_answer_in_code_is_the_answer() -> None:
    lab = Lab(codes("final_answer(6 * 7)"), {"final_answer(6 * 7)": final(42)})
    stop = lab.run()
    assert (stop.reason, stop.answer, stop.reply) == ("answer", 42, None)
    (step,) = lab.steps
    assert [(call.tool, call.args) for call in step.observation.tool_calls] == [("final_answer", (42,))]


def test_none_can_be_the_answer() -> None:
    lab = Lab(codes("f"), {"f": final(None)})
    stop = lab.run()
    assert (stop.reason, stop.answer) == ("answer", None)


def test_the_last_accepted_answer_of_a_cell_counts() -> None:
    lab = Lab(codes("f"), {"f": [*final(1), *final(2)]})
    assert lab.run().answer == 2


def test_an_answer_is_not_taken_from_a_cell_that_fails_afterwards() -> None:
    lab = Lab([*codes("f", "g")], {"f": [*final(1), ERROR], "g": final(2)})
    assert lab.run().answer == 2
    (note,) = lab.steps[0].notes
    assert "was not taken" in note
    assert note in lab.told


def not_seven(value: Json) -> ToolOutcome:
    return Returned(None) if value == 7 else Raised("ValueError", f"value: want 7, got {value!r}")


def test_an_answer_in_code_that_does_not_fit_is_raised_in_the_cell() -> None:
    seen: list[ToolOutcome] = []

    def script(source: str) -> Moves:
        outcome = yield Call("final_answer", (int(source),))
        assert outcome is not None
        seen.append(outcome)
        if isinstance(outcome, Raised):
            yield Error(outcome.type, outcome.message)

    lab = Lab(codes("6", "7"), script)
    assert lab.run(not_seven).answer == 7
    assert seen == [Raised("ValueError", "value: want 7, got 6"), Returned(None)]
    assert "want 7, got 6" in lab.told


def test_a_text_answer_that_does_not_fit_is_given_back() -> None:
    lab = Lab([{"answer": "seven"}, *codes("f")], {"f": final(7)})
    stop = lab.run(not_seven)
    assert (stop.reason, stop.answer) == ("answer", 7)
    first = lab.steps[0]
    assert first.action is None
    assert first.reply.answer is None
    assert first.reply.problem is not None
    assert "want 7, got 'seven'" in first.reply.problem
    assert "final_answer(value)" in first.reply.problem
    assert first.reply.problem in lab.told
    assert lab.recorded == lab.steps


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (Call("final_answer"), "exactly one value, got 0"),
        (Call("final_answer", (1, 2)), "exactly one value, got 2"),
        (Call("final_answer", (), {"answer": 1}), "exactly one value"),
    ],
)
def test_a_malformed_final_answer_is_a_type_error(call: Call, message: str) -> None:
    outcomes: list[ToolOutcome | None] = []

    def script(source: str) -> Moves:
        outcomes.append((yield call))

    lab = Lab([*codes("f"), {"answer": "done"}], script)
    assert lab.run().answer == "done"
    (outcome,) = outcomes
    assert isinstance(outcome, Raised)
    assert outcome.type == "TypeError"
    assert message in outcome.message


# --- a step ------------------------------------------------------------------------------------


def test_events_and_records_come_in_order() -> None:
    def double(x: int) -> int:
        return 2 * x

    script = {"f": [Stream("stdout", "hi\n"), Call("double", (4,)), Refusal("import", "os"), *final(1)]}
    lab = Lab([{"thought": "so", "code": "f"}], script, tools=[double])
    stop = lab.run()
    kinds = [type(event).__name__ for event in lab.events if not isinstance(event, ThoughtDelta)]
    assert kinds == [
        *("TurnStarted", "StepStarted", "CodeDelta", "ActionReady", "OutputShown"),
        *("ToolStarted", "ToolFinished", "ToolStarted", "ToolFinished"),
        *("StepFinished", "TurnFinished"),
    ]
    (step,) = lab.steps
    assert step.observation.text("stdout") == "hi\n"
    assert step.observation.refusals == (Refusal("import", "os"),)
    assert step.observation.tool_calls[0].outcome == Returned(8)
    intent, outcome = lab.journal.records[2:4]
    assert (intent.outcome, outcome.outcome) == (None, Returned(8))
    assert lab.journal.records[:2] == ["do it", 1]
    assert lab.journal.records[-2:] == [step, stop]
    assert lab.events[0] == TurnStarted("do it")
    assert lab.events[-1] == TurnFinished(stop)
    assert StepStarted(1) in lab.events
    assert StepFinished(step) in lab.events
    assert OutputShown(Stream("stdout", "hi\n")) in lab.events
    assert any(isinstance(event, ToolFinished) and event.call.outcome == Returned(8) for event in lab.events)
    assert ToolStarted("double", 1) in lab.events


def test_a_reply_with_a_problem_is_a_step_without_an_action() -> None:
    lab = Lab([Reply(problem="the code was cut off", raw="x"), {"answer": "ok"}])
    assert lab.run().answer == "ok"
    (step,) = lab.steps
    assert (step.action, step.observation.status) == (None, "error")
    assert "the code was cut off" in lab.told
    assert lab.executor.executed == []
    assert not any(isinstance(event, ActionReady) for event in lab.events)


def test_turns_share_the_kernel_and_the_numbering() -> None:
    lab = Lab([*codes("a"), {"answer": "1"}, *codes("b"), {"answer": "2"}])

    async def both() -> None:
        await lab.arun(task="one")
        await lab.arun(task="two")

    asyncio.run(both())
    assert [step.index for step in lab.steps] == [1, 2]
    assert lab.executor.executed == ["a", "b"]
    assert lab.executor.starts == 1
    assert lab.told.index("one") < lab.told.index("two")


# --- budgets -----------------------------------------------------------------------------------


def test_max_steps() -> None:
    lab = Lab(numbered(9), limits=Limits(max_steps=3))
    stop = lab.run()
    assert (stop.reason, stop.detail) == ("max_steps", "3 of 3 steps used, after step 3")
    assert len(lab.steps) == 3
    assert "2 steps are left" in lab.steps[0].notes[0]
    assert "1 step is left" in lab.steps[1].notes[0]
    assert len(lab.model.requests) == 3
    assert lab.steps[0].notes[0] in str(lab.model.requests[1].messages)


def test_a_step_without_an_action_gets_its_note_too() -> None:
    lab = Lab([{"answer": "no"}, *numbered(9)], limits=Limits(max_steps=3))
    assert lab.run(not_seven).reason == "max_steps"
    assert any("2 steps are left" in note for note in lab.steps[0].notes)
    assert "2 steps are left" in str(lab.model.requests[1].messages)


def test_max_steps_is_per_task() -> None:
    lab = Lab(numbered(4), limits=Limits(max_steps=2))

    async def both() -> list[str]:
        return [(await lab.arun(task=task)).reason for task in ("one", "two")]

    assert asyncio.run(both()) == ["max_steps", "max_steps"]
    assert len(lab.steps) == 4


def test_max_tokens() -> None:
    lab = Lab([Reply(code="x = 1", usage=Usage(900, 50)), *numbered(5)], limits=Limits(max_tokens=1000))
    stop = lab.run()
    assert stop.reason == "max_tokens"
    assert stop.detail.startswith("950 of 1,000 tokens used, after step 1")


class Priced(ScriptedModel):
    """A dollar a thousand tokens."""

    def cost(self, usage: Usage) -> float | None:
        return usage.total / 1000


def test_max_cost_and_the_price_is_filled_in() -> None:
    replies = [Reply(code=f"x = {i}", usage=Usage(900, 100)) for i in range(9)]
    lab = Lab(Priced(replies), limits=Limits(max_cost_usd=2.5))
    stop = lab.run()
    assert stop.reason == "max_cost"
    assert [step.reply.cost_usd for step in lab.steps] == [1.0] * len(lab.steps)
    assert lab.loop.trajectory.cost_usd == len(lab.steps) <= 2.5
    assert any("cost budget is left" in note for step in lab.steps for note in step.notes)


def test_a_price_that_the_adapter_knows_is_kept() -> None:
    lab = Lab(Priced([Reply(answer="x", usage=Usage(10, 10), cost_usd=0.5)]))
    lab.run()
    assert lab.loop.trajectory.cost_usd == 0.5


def test_repeated_failure() -> None:
    lab = Lab(codes(*["boom"] * 9), {"boom": [ERROR]}, limits=Limits(repeated_failures=3))
    stop = lab.run()
    assert stop.reason == "repeated_failure"
    assert len(lab.steps) == 3
    assert any("try something else" in note for note in lab.steps[1].notes)


def test_failures_that_differ_are_no_repetition() -> None:
    lab = Lab([*codes("boom", "bang", "boom", "bang"), {"answer": "x"}], lambda source: [ERROR])
    assert lab.run().reason == "answer"


class SlowModel(ScriptedModel):
    """Its replies, each when `gate` lets it."""

    def __init__(self, replies: Iterable[Scripted], gate: Callable[[int], Awaitable[None]]) -> None:
        super().__init__(replies)
        self.gate = gate
        self.cancelled = 0

    async def respond(self, request: ModelRequest, emit: Emit) -> Reply:
        try:
            await self.gate(len(self.requests))
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return await super().respond(request, emit)


async def forever(number: int) -> None:
    await asyncio.Event().wait()


def test_max_seconds_in_the_model_call() -> None:
    model = SlowModel([{"answer": "late"}], forever)
    stop = Lab(model, limits=Limits(max_seconds=0.05)).run()
    assert stop.reason == "max_seconds"
    assert "waiting for the model" in stop.detail
    assert model.cancelled == 1


def test_max_seconds_in_a_cell_counts_the_models_time() -> None:
    """The cell gets what is left when it starts, not what was left when the model was asked."""

    async def a_while(number: int) -> None:
        await asyncio.sleep(0.3)

    model = SlowModel(numbered(2), a_while)
    lab = Lab(model, lambda source: [Hang()], limits=Limits(max_seconds=0.4))

    async def timed() -> tuple[Stop, float]:
        before = asyncio.get_running_loop().time()
        return await lab.arun(), asyncio.get_running_loop().time() - before

    stop, took = asyncio.run(timed())
    assert stop.reason == "max_seconds"
    assert 0.4 <= took < 0.65
    (step,) = lab.steps
    assert step.observation.status == "timeout"
    assert lab.recorded == lab.steps


# --- the other ends ----------------------------------------------------------------------------


class FailingModel(ScriptedModel):
    def __init__(self, problem: Exception, replies: Iterable[Scripted] = ()) -> None:
        super().__init__(replies)
        self.problem = problem

    async def respond(self, request: ModelRequest, emit: Emit) -> Reply:
        if len(self.requests) < len(self._script):
            return await super().respond(request, emit)
        raise self.problem


def test_refusal_ends_the_turn_and_is_no_exception() -> None:
    lab = Lab(FailingModel(ModelRefusal("I would rather not", "harm"), numbered(1)))
    stop = lab.run()
    assert (stop.reason, stop.detail) == ("refusal", "I would rather not")
    assert lab.stops == [stop]


def test_a_model_error_is_raised_after_the_turn_is_recorded() -> None:
    lab = Lab(FailingModel(ModelError("overloaded"), numbered(1)))
    with pytest.raises(ModelError, match="overloaded"):
        lab.run()
    (stop,) = lab.stops
    assert (stop.reason, stop.detail) == ("model_error", "overloaded")
    assert lab.loop.trajectory.stop == stop
    assert lab.events[-1] == TurnFinished(stop)
    assert len(lab.steps) == 1


def test_an_exhausted_script_is_a_model_error() -> None:
    lab = Lab(numbered(1))
    with pytest.raises(ScriptExhausted, match="reply 2"):
        lab.run()
    assert lab.stops[0].reason == "model_error"


def broken(source: str) -> Moves:
    yield Stream("stdout", "a")
    raise SandboxError("the machine is on fire")


def test_a_sandbox_error_is_raised_after_the_turn_is_recorded() -> None:
    lab = Lab(numbered(1), broken)
    with pytest.raises(SandboxError, match="on fire"):
        lab.run()
    assert [stop.reason for stop in lab.stops] == ["sandbox_error"]


# --- interruption ------------------------------------------------------------------------------


async def cancelled_when(lab: Lab, task: asyncio.Task[Stop], kind: type) -> None:
    """Cancels `task` once an event of `kind` was seen and the loop waits for what it announced."""
    while not any(isinstance(event, kind) for event in lab.events):  # noqa: ASYNC110  # a list has no event
        await asyncio.sleep(0)
    for _ in range(5):
        await asyncio.sleep(0)
    task.cancel()


async def interrupted(lab: Lab, kind: type = OutputShown) -> None:
    task = asyncio.ensure_future(lab.arun())
    await cancelled_when(lab, task, kind)
    with pytest.raises(asyncio.CancelledError):
        await task


def test_cancelling_interrupts_the_cell_and_records_it() -> None:
    lab = Lab([*codes("hang"), {"answer": "on"}], {"hang": [Stream("stdout", "half"), Hang()]})

    async def both() -> Stop:
        await interrupted(lab)
        return await lab.arun(task="and now?")

    assert asyncio.run(both()).answer == "on"
    first, _ = lab.loop.trajectory.turns
    (step,) = first.steps
    assert (step.observation.status, step.observation.text("stdout")) == ("timeout", "half")
    assert first.stop is not None
    assert first.stop.reason == "interrupted"
    assert lab.recorded == (step,)
    assert lab.executor.starts == 1
    assert "half" in str(lab.model.requests[1].messages)


def test_cancelling_the_model_call_records_the_end() -> None:
    lab = Lab(SlowModel(numbered(1), forever))
    asyncio.run(interrupted(lab, StepStarted))
    assert [stop.reason for stop in lab.stops] == ["interrupted"]
    assert lab.steps == ()


def test_after_an_interruption_that_killed_the_state_comes_back_and_the_model_is_told() -> None:
    lab = Lab([*codes("x = 1", "hang", "y = 2"), {"answer": "on"}], hanging)

    async def both() -> Stop:
        task = asyncio.ensure_future(lab.arun())
        await cancelled_when(lab, task, OutputShown)
        with pytest.raises(asyncio.CancelledError):
            await task
        return await lab.arun(task="and now?")

    assert asyncio.run(both()).answer == "on"
    assert [step.observation.status for step in lab.steps] == ["ok", "killed", "ok"]
    assert lab.executor.starts == 2
    assert lab.executor.executed[0] == "x = 1"
    assert lab.executor.executed[-1] == "y = 2"
    (note,) = lab.steps[2].notes
    assert "killed and restarted" in note
    assert note in lab.told


def hanging(source: str) -> Moves:
    if source == "hang":
        yield Stream("stdout", "half")
        yield Hang(stubborn=True)
    else:
        yield Finished("ok", names=(source[0],))


def test_cancelled_twice_the_kernel_is_ended_and_the_step_kept() -> None:
    def script(source: str) -> Moves:
        yield Stream("stdout", "half")
        yield Call("wait")

    async def wait() -> None:
        """A tool that will not be cancelled."""
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if refused.is_set():
                    raise
                refused.set()

    refused = asyncio.Event()
    lab = Lab([*codes("f"), *codes("y = 2"), {"answer": "on"}], script, tools=[wait])

    async def both() -> None:
        task = asyncio.ensure_future(lab.arun())
        await cancelled_when(lab, task, ToolStarted)
        await refused.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(both())
    (step,) = lab.steps
    assert step.observation.status == "killed"
    assert [call.tool for call in step.observation.tool_calls] == ["wait"]
    assert lab.recorded == (step,)


# --- the kill ladder, as far as the loop goes --------------------------------------------------


def killing(source: str) -> Moves:
    """Sets a variable named by the first letter; `k…` kills after a tool call; `m…` calls a tool."""
    if source.startswith("m"):
        yield Call("pay", (5,))
    if source.startswith("k"):
        yield Finished("killed", "its process ended (signal 9)")
    yield Finished("ok", names=(source[0],))


def test_a_kill_rebuilds_and_tells() -> None:
    paid: list[int] = []

    def pay(amount: int) -> None:
        paid.append(amount)

    lab = Lab([*codes("m = pay(5)", "k = [a := 1]", "b = 2"), {"answer": "x"}], killing, tools=[pay])
    assert lab.run().answer == "x"
    assert paid == [5]
    assert lab.executor.starts == 2
    first, recorded, last = lab.executor.executed
    assert (first, last) == ("m = pay(5)", "b = 2")
    assert recorded.startswith("%%recorded ")  # in its place: the numbers of later cells still agree
    killed = lab.steps[1]
    assert killed.observation.status == "killed"
    (note,) = killed.notes
    assert "could not be rebuilt: a, k" in note
    request = str(lab.model.requests[2].messages)
    assert note in request
    assert "signal 9" in request


def test_a_kill_with_nothing_lost_says_so() -> None:
    lab = Lab([*codes("a = 1", "kill()"), {"answer": "x"}], killing)
    lab.run()
    assert lab.steps[1].notes == (
        "The kernel was killed and restarted. The variables of the earlier steps were rebuilt.",
    )


def test_variables_of_a_step_that_timed_out_are_named_when_they_are_lost() -> None:
    def script(source: str) -> Moves:
        match source:
            case "slow":
                yield Finished("timeout", "it ran too long", names=("half",))
            case "kill":
                yield Finished("killed", "gone")

    lab = Lab([*codes("slow", "kill"), {"answer": "x"}], script)
    lab.run()
    assert "could not be rebuilt: half" in lab.steps[1].notes[0]


class Unrestartable(FakeExecutor):
    async def restart(self) -> None:
        if self.starts:
            raise SandboxError("no kernel can be started any more")
        await super().restart()


def test_the_step_that_killed_is_recorded_even_when_nothing_can_be_restored() -> None:
    lab = Lab(codes("kill()"), killing)
    lab.executor = lab.loop._executor = Unrestartable(killing)
    with pytest.raises(SandboxError, match="any more"):
        lab.run()
    (step,) = lab.steps
    assert step.observation.status == "killed"
    assert lab.recorded == (step,)
    assert lab.stops[0].reason == "sandbox_error"


def test_a_cell_that_kills_again_while_it_is_rebuilt_does_not_end_the_run() -> None:
    runs: list[str] = []

    def script(source: str) -> Moves:
        runs.append(source)
        if source == "kill" or (source == "flaky" and runs.count("flaky") > 1):
            yield Finished("killed", "gone")
        yield Finished("ok", names=(source,))

    lab = Lab([*codes("good", "flaky", "last", "kill", "more"), {"answer": "x"}], script)
    assert lab.run().answer == "x"
    (note,) = lab.steps[3].notes
    assert "could not be rebuilt: flaky" in note
    assert lab.executor.executed[-1] == "more"


# --- tool limits -------------------------------------------------------------------------------


def outcomes_of(call: Call, count: int, **lab: Any) -> list[ToolOutcome | None]:
    outcomes: list[ToolOutcome | None] = []

    def script(source: str) -> Moves:
        for _ in range(count):
            outcomes.append((yield call))

    Lab([*codes("f"), {"answer": "x"}], script, **lab).run()
    return outcomes


def test_too_many_calls_are_refused() -> None:
    def one() -> int:
        return 1

    found = outcomes_of(Call("one"), 3, tools=[one], tool_limits=ToolLimits(max_calls=2))
    assert found[:2] == [Returned(1), Returned(1)]
    assert isinstance(found[2], Raised)
    assert "more than 2 calls" in found[2].message


def test_a_tool_that_takes_too_long_is_a_timeout() -> None:
    async def slow() -> None:
        await asyncio.Event().wait()

    (found,) = outcomes_of(Call("slow"), 1, tools=[slow], tool_limits=ToolLimits(timeout_s=0.02))
    assert isinstance(found, Raised)
    assert (found.type, "no result after 0.02 s" in found.message) == ("TimeoutError", True)


def test_an_unknown_tool_is_a_name_error() -> None:
    (found,) = outcomes_of(Call("nope"), 1)
    assert isinstance(found, Raised)
    assert found.type == "NameError"
