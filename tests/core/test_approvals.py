"""Approvals on the record and on the clock: decisions are on the tape; a person's time counts for nobody."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import pytest

from codeact_kernel.agent import AgentLoop
from codeact_kernel.config import Limits, Settings, ToolLimits
from codeact_kernel.interfaces import CallHandler
from codeact_kernel.notebook.journal import JournalRecorder
from codeact_kernel.notebook.journal_reader import read_journal
from codeact_kernel.notebook.null import NullRecorder
from codeact_kernel.notebook.redact import Redactor
from codeact_kernel.outputs import Finished, Output
from codeact_kernel.rebuild import TapeCalls
from codeact_kernel.resuming import Earlier, Pending, doubtful
from codeact_kernel.sandbox.fake import Call, FakeExecutor
from codeact_kernel.sandbox.session import KernelSession
from codeact_kernel.toolcalls import StepCalls
from codeact_kernel.tools.registry import ToolRegistry
from codeact_kernel.trajectory import (
    CUT_OFF,
    Action,
    Approval,
    Observation,
    Refusal,
    Reply,
    RunInfo,
    Step,
    Trajectory,
)
from codeact_kernel.waiting import Waiting
from codeact_kernel.wire.entries import call_digest, call_from_json, call_to_json
from codeact_kernel.wire.messages import Raised, Returned, ToolCall, ToolOutcome, ToolRequest
from codeact_kernel.wire.setup_tape import read_tape, tape_lines
from codeact_kernel.wire.tape import Tape

DENIED = ToolCall(1, 1, "pay", (5,), {}, Raised("ToolDenied", "pay(): denied by ana"), denied_by="ana")
EDITED = ToolCall(1, 2, "pay", (9,), {}, Returned(3), approved_by="ana", edited=((3,), {"note": "less"}))
LIMIT_S = 5.0
LONGER_S = 5.5
SPIN_S = 1.0


class Policy:
    """Runs one cell, then answers."""

    def __init__(self) -> None:
        self._replies = [Reply(code="cell"), Reply(answer="done")]

    async def act(self, trajectory: Trajectory, emit: object) -> Reply:
        return self._replies.pop(0)


# --- the tape ----------------------------------------------------------------------------------


@pytest.mark.parametrize("call", [DENIED, EDITED])
def test_a_decision_is_part_of_the_entry_and_of_its_digest(call: ToolCall) -> None:
    assert call_from_json(json.loads(json.dumps(call_to_json(call)))) == call
    assert read_tape([*tape_lines([call])]) == (call,)
    plain = replace(call, denied_by="", edited=None)
    assert call_digest(plain) != call_digest(call)


def test_large_arguments_that_a_person_gave_stand_once() -> None:
    large = "x" * 10_000
    calls = [replace(EDITED, index=n, edited=((large,), {})) for n in (1, 2)]
    lines = [*tape_lines(calls)]
    assert [line.startswith('{"data":') for line in lines] == [True, False, False]
    assert read_tape(lines) == tuple(calls)


@pytest.mark.parametrize("edited", [3, {"args": 3, "kwargs": {}}, {"args": []}, [[], {}]])
def test_an_entry_with_other_edits_is_refused(edited: object) -> None:
    entry = json.loads(json.dumps({**call_to_json(EDITED), "edited": edited}))
    with pytest.raises(ValueError, match="'edited'"):
        call_from_json(entry)


def test_a_replay_raises_and_returns_what_was_recorded() -> None:
    step = Step(1, Reply(code="c"), Action("c"), Observation("ok", tool_calls=(DENIED, EDITED)))

    async def asked(*values: int) -> list[ToolOutcome]:
        calls = TapeCalls(Tape((DENIED, EDITED)), step)
        return [await calls.call(ToolRequest(1, "pay", (value,))) for value in values]

    assert asyncio.run(asked(5, 9)) == [DENIED.outcome, EDITED.outcome], "found by what the code asked for"


def test_decisions_are_in_the_journal_and_masked_there(tmp_path: Path) -> None:
    recorder = JournalRecorder(tmp_path / "run.ipynb", Redactor({"KEY": "sesame-sesame"}))
    recorder.begin(RunInfo("r", "m", "", "setup"))
    recorder.begin_turn("t")
    recorder.begin_step(1, Reply(code="c"))
    secret = replace(EDITED, edited=(("sesame-sesame",), {}))
    for call in (DENIED, secret):
        recorder.tool_intent(replace(call, outcome=None))
        recorder.tool_outcome(call)
    recorder.close()
    (step,) = read_journal(recorder.journal).steps
    assert step.observation.tool_calls[0] == DENIED
    assert step.observation.tool_calls[1].edited == (("[secret KEY]",), {})


def test_a_call_that_was_denied_is_not_in_doubt_and_is_not_made_when_the_run_goes_on() -> None:
    """Also when the run was cut off between the decision and its outcome."""
    cut = Observation("killed", reason=CUT_OFF, tool_calls=(replace(DENIED, outcome=None),))
    step = Step(1, Reply(code="c"), Action("c"), cut)
    made: list[int] = []

    def pay(n: int) -> None:
        made.append(n)

    async def again(call: ToolCall) -> bool:
        return True

    calls = StepCalls(
        1, ToolRegistry([pay]), NullRecorder(), limits=ToolLimits(), earlier=Earlier(Pending(step, again))
    )
    outcome = asyncio.run(calls.call(ToolRequest(1, "pay", (5,))))
    assert outcome == Raised("ToolDenied", "pay(): denied by ana")
    assert made == [] == [*doubtful(step, {})]


def test_a_call_in_doubt_that_a_person_had_changed_is_made_again_as_changed() -> None:
    cut = Observation("killed", reason=CUT_OFF, tool_calls=(replace(EDITED, index=1, outcome=None),))
    made: list[object] = []

    def pay(n: int, note: str = "") -> int:
        made.append((n, note))
        return n

    async def again(call: ToolCall) -> bool:
        return True

    pending = Pending(Step(1, Reply(code="c"), Action("c"), cut), again)
    calls = StepCalls(1, ToolRegistry([pay]), NullRecorder(), limits=ToolLimits(), earlier=Earlier(pending))
    assert asyncio.run(calls.call(ToolRequest(1, "pay", (9,)))) == Returned(3)
    assert made == [(3, "less")]
    assert [call.edited for call in calls.calls] == [EDITED.edited]


# --- the clock ---------------------------------------------------------------------------------


def test_waiting_does_not_count_but_for_what_was_computed_meanwhile() -> None:
    now, computed = [100.0], [7.0]
    waiting = Waiting(lambda: computed[0], lambda: now[0])

    def passes(seconds: float, cpu: float) -> None:
        now[0] += seconds
        computed[0] += cpu

    passes(5, 5)
    with waiting.person():
        passes(10, 1)
        assert waiting.seconds == 9, "of a question that is open"
        with waiting.person():
            passes(10, 0)
        passes(1, 0)
    assert waiting.seconds == 20
    with waiting.person():
        passes(10, 40)
    assert waiting.seconds == 20, (
        "several threads compute more than the time that passes; nothing is taken off"
    )
    assert waiting.clock() == now[0] - 20


class Patient:
    """An Approver whose person takes far longer than the task may; the clock is told."""

    def __init__(self, waiting: Waiting, now: list[float]) -> None:
        self._waiting = waiting
        self._now = now

    async def decide(self, request: ToolRequest, step: int) -> Approval:
        with self._waiting.person():
            self._now[0] += 1000
            await asyncio.sleep(0.3)  # The loop looks at the clock meanwhile, several times.
        return Approval(True, "ana")


@pytest.mark.parametrize("counts", [False, True])
def test_the_time_of_a_task_does_not_count_it(counts: bool) -> None:
    now = [0.0]
    waiting = Waiting(now=lambda: now[0])

    def pay(n: int) -> int:
        return n

    async def scene() -> str:
        executor = FakeExecutor({"cell": [Call("pay", (1,))]})
        await executor.start("setup")
        loop = AgentLoop(
            Trajectory(RunInfo("r", "m", "", "setup")),
            Policy(),
            executor,
            ToolRegistry([pay]),
            NullRecorder(),
            Settings(limits=Limits(max_seconds=60)),
            emit=lambda event: None,
            approver=Patient(waiting, now),
            clock=(lambda: now[0]) if counts else waiting.clock,
        )
        return (await loop.run("task")).reason

    assert asyncio.run(scene()) == ("max_seconds" if counts else "answer")


class Asks(CallHandler):
    """A handler whose person answers after a while, or never."""

    def __init__(self, waiting: Waiting, seconds: float | None) -> None:
        self._waiting = waiting
        self._seconds = seconds

    async def call(self, request: ToolRequest) -> ToolOutcome:
        with self._waiting.person():
            await (asyncio.Event().wait() if self._seconds is None else asyncio.sleep(self._seconds))
        return Returned(1)

    def refused(self, refusal: Refusal) -> None: ...


def ran(code: str, limit: float, seconds: float | None) -> tuple[Finished, float]:
    """How the cell ended that calls a tool, and how long its person was waited for without it counting."""
    setup = "from codeact_kernel.in_kernel import setup\nsetup(r'''\n{}\n{}\n''')\n".format(
        '{"codeact":1,"imports":[]}', '{"tool":"pay","parameters":[],"returns":"int"}'
    )

    async def scene() -> tuple[Finished, float]:
        session = KernelSession(Settings(limits=Limits(step_timeout_s=limit, interrupt_grace_s=20)))
        await session.start(setup)
        try:
            handler: CallHandler = Asks(session.waiting, seconds)
            outputs: AsyncGenerator[Output, None] = session.execute(Action(code), handler)
            found = [output async for output in outputs]
            assert isinstance(found[-1], Finished)
            return found[-1], session.waiting.seconds
        finally:
            await session.aclose()

    return asyncio.run(scene())


@pytest.mark.kernel
def test_a_person_may_take_longer_than_the_step() -> None:
    finished, waited = ran("pay()", LIMIT_S, LONGER_S)
    assert finished.status == "ok", finished.reason
    assert waited > 0


@pytest.mark.kernel
def test_code_that_goes_on_computing_meanwhile_uses_up_its_time() -> None:
    spin = "import threading\ndef spin():\n    while True: pass\nthreading.Thread(target=spin).start()"
    finished, _ = ran(f"{spin}\npay()", SPIN_S, None)
    assert finished.status in ("timeout", "killed"), "the latter where the machine is too busy"
    assert f"longer than {SPIN_S:g} s" in (finished.reason or "")
