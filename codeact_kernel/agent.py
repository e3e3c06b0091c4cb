"""Owns the loop: one thought, one action, one observation a step, until an answer or a budget."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from .budget import Cost, budget_note, budget_stop
from .callnotes import calls_notes
from .config import Settings
from .events import ActionReady, Notice, OutputShown, StepFinished, StepStarted, TurnFinished, TurnStarted
from .exceptions import CodeActError, ModelError, ModelRefusal
from .interfaces import Approver, Emit, Executor, Policy, Recorder, ToolSource
from .rebuild import ran, restore, restored_note, without_step
from .resuming import Earlier, Pending
from .toolcalls import FinalCheck, StepCalls, accept_any
from .trajectory import CUT_OFF, Action, Observation, Reply, Step, Stop, StopReason, Trajectory
from .wire.messages import Returned
from .wire.values import encode

ANSWER_IN_CODE = "Give the answer from a cell, with final_answer(value)."
TWICE = "it was interrupted twice, and its process was killed"
LATE_ERROR = "final_answer(…) was called, but the cell failed afterwards: the answer was not taken"


class AgentLoop:
    """Runs tasks on one kernel. Sees only the seams: the same loop runs scripted, faked or replayed."""

    def __init__(
        self,
        trajectory: Trajectory,
        policy: Policy,
        executor: Executor,
        tools: ToolSource,
        recorder: Recorder,
        settings: Settings,
        *,
        emit: Emit,
        approver: Approver | None = None,
        prompt_tokens: Callable[[Trajectory], int] = lambda trajectory: 0,
        cost: Cost | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.trajectory = trajectory  # What has happened, complete after every step.
        self._policy = policy
        self._executor = executor
        self._recorder = recorder
        self._settings = settings
        self._emit = emit
        calls = partial(StepCalls, tools=tools, recorder=recorder, limits=settings.tools, clock=clock)
        self._calls, self._news = partial(calls, approver=approver, emit=emit), tools.news
        self._prompt_tokens, self._cost, self._clock = prompt_tokens, cost, clock
        self.lost: Action | None = None
        """The action that took the kernel's state with it, until that is restored."""

    async def run(
        self,
        task: str,
        final_check: FinalCheck = accept_any,
        notes: tuple[str, ...] = (),
        first: Pending | None = None,
    ) -> Stop:
        """One turn. Raises ModelError and SandboxError, and on cancellation CancelledError, each
        after the turn's end is recorded. `notes`: what the model is told beside the task."""
        self.trajectory = self.trajectory.with_task(task, notes)
        self._recorder.begin_turn(task, notes)
        return await self.go_on(final_check, first)

    async def go_on(self, final_check: FinalCheck = accept_any, first: Pending | None = None) -> Stop:
        """The last turn, which has not ended, goes on; with step `first`, if given. Raises as `run`."""
        self._emit(TurnStarted(self.trajectory.turns[-1].task))
        try:
            return self._end(await self._turn(final_check, first))
        except asyncio.CancelledError:
            self._end(Stop("interrupted", "stopped by the user"))
            raise
        except ModelRefusal as refusal:
            return self._end(Stop("refusal", str(refusal)))
        except CodeActError as problem:
            reason: StopReason = "model_error" if isinstance(problem, ModelError) else "sandbox_error"
            self._end(Stop(reason, str(problem)))
            raise

    async def _turn(self, final_check: FinalCheck, first: Pending | None) -> Stop:
        limits = self._settings.limits
        started = told = self._clock()
        deadline = None if limits.max_seconds is None else started + limits.max_seconds
        while True:
            steps = without_step(self.trajectory, first.step.index if first else 0).turns[-1].steps
            prompt = self._prompt_tokens(self.trajectory)
            own = first is not None and first.own
            if not own and (stop := budget_stop(steps, limits, self._clock() - started, prompt, self._cost)):
                return stop
            index = first.step.index if first else self.trajectory.next_index
            self._emit(StepStarted(index))
            acting = first.reply(self._emit) if first else self._policy.act(self.trajectory, self._emit)
            try:
                async with asyncio.timeout(deadline and deadline - self._clock()) as timer:
                    reply = await acting
            except TimeoutError:
                if not timer.expired():
                    raise
                return Stop("max_seconds", f"{limits.max_seconds:g} s used while waiting for the model")
            if reply.answer is not None:
                value = encode(reply.answer)
                if isinstance(outcome := final_check(value), Returned):
                    return Stop("answer", answer=value, reply=reply)
                reply = replace(reply, answer=None, problem=f"{outcome.message}. {ANSWER_IN_CODE}")
            calls = self._calls(index, final_check=final_check, earlier=Earlier(first))
            first, step = None, await self._step(index, reply, calls, deadline)
            note = budget_note((*steps, step), limits, self._clock() - started, told - started)
            told = self._clock()
            self._keep(step, *filter(None, [note]))
            if own:
                return Stop("own_cell")
            if calls.answer is not None and step.observation.status == "ok":
                return Stop("answer", answer=calls.answer.value)

    async def _step(self, index: int, reply: Reply, calls: StepCalls, deadline: float | None) -> Step:
        if reply.code is None:
            self._recorder.begin_step(index, reply)
            problem = reply.problem or "the reply held neither code nor an answer"
            return Step(index, reply, None, Observation("error", reason=problem))
        notes = [] if self.lost is None else [await self._restore(self.trajectory)]
        self._recorder.begin_step(index, reply)
        calls.again()
        action = Action(reply.code)
        self._emit(ActionReady(index, action))
        began = datetime.now(UTC).isoformat(timespec="microseconds")
        running = asyncio.ensure_future(self._execute(action, calls))
        cancelled = await self._wait(running, deadline)
        failed = None if running.cancelled() else running.exception()
        if running.cancelled() or failed is not None:
            why = CUT_OFF if failed is not None else TWICE
            observation = Observation("killed", (), why, None, (), calls.calls, tuple(calls.refusals))
        else:
            observation = running.result()
        if observation.status == "killed":
            self.lost = action
        notes += (*calls.notes, *calls_notes(observation), *self._news())
        if calls.answer is not None and observation.status != "ok":
            notes.append(LATE_ERROR)
        step = Step(index, reply, action, observation, tuple(notes), began)
        try:
            if cancelled or failed is not None:
                raise failed or asyncio.CancelledError
            if self.lost is None:
                return step
            # With the step that was killed: its `%%recorded` cell takes its number in the new kernel too.
            return replace(step, notes=(*notes, await self._restore(self.trajectory.with_step(step))))
        except BaseException:
            self._keep(step)
            raise

    async def _wait(self, running: asyncio.Future[Observation], deadline: float | None) -> bool:
        """Waits for the cell to end, and stops it at the deadline or when this run is cancelled: whether
        it was. Cancelled again, the cell gets no grace: the kernel is ended under it."""
        try:
            while not running.done():  # The clock may stand still meanwhile.
                await asyncio.wait([running], timeout=deadline and max(0.1, deadline - self._clock()))
                if deadline is not None and self._clock() >= deadline:
                    await self._executor.interrupt()
            return False
        except asyncio.CancelledError:
            await self._executor.interrupt()
        try:
            await asyncio.wait([running])
        except asyncio.CancelledError:
            running.cancel()
            await asyncio.wait([running])
        return True

    async def _execute(self, action: Action, calls: StepCalls) -> Observation:
        limits = self._settings.output
        seen = await ran(self._executor, action, calls, limits, lambda one: self._emit(OutputShown(one)))
        return replace(seen, tool_calls=calls.calls, refusals=tuple(calls.refusals))

    async def _restore(self, trajectory: Trajectory) -> str:
        """Rebuilds the state that a killed kernel took along; what the model is told of it."""
        self._emit(Notice("the kernel was killed; a fresh one runs the earlier cells again from the tape"))
        missing = await restore(self._executor, trajectory, self.lost)
        self.lost = None
        return f"The kernel was killed and restarted. {restored_note(missing)}"

    def _keep(self, step: Step, *notes: str) -> None:
        step = replace(step, notes=(*step.notes, *notes))
        self.trajectory = self.trajectory.with_step(step)
        self._recorder.end_step(step)
        self._emit(StepFinished(step))

    def _end(self, stop: Stop) -> Stop:
        self.trajectory = self.trajectory.with_stop(stop)
        self._recorder.end_turn(stop)
        self._emit(TurnFinished(stop))
        return stop
