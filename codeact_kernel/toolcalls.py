"""Owns what happens to a tool call: limits, approval, intent on disk, the call, outcome on disk."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from .config import ToolLimits
from .events import ToolFinished, ToolStarted
from .interfaces import Approver, Emit, Recorder, ToolSource
from .trajectory import Refusal
from .wire.frames import FINAL_ANSWER
from .wire.messages import Json, Raised, Returned, ToolCall, ToolOutcome, ToolRequest

FinalCheck = Callable[[Json], ToolOutcome]
"""Takes the encoded value of a final answer: Returned(None) accepts it, Raised says why not."""


def accept_any(value: Json) -> ToolOutcome:
    """The check of a task without an output type."""
    return Returned(None)


class StepCalls:
    """The CallHandler of one step: every tool call of its cell passes through here.

    `calls` is the step's part of the tape, `answer` the last accepted final answer (encoded, wrapped
    in Returned so that None can be one).
    """

    def __init__(
        self,
        step: int,
        tools: ToolSource,
        recorder: Recorder,
        *,
        limits: ToolLimits,
        approver: Approver | None = None,
        final_check: FinalCheck = accept_any,
        emit: Emit | None = None,
    ) -> None:
        self._step = step
        self._tools = tools
        self._recorder = recorder
        self._limits = limits
        self._approver = approver
        self._final_check = final_check
        self._emit = emit or (lambda event: None)
        self._calls: list[ToolCall] = []
        self._asked = 0
        self.refusals: list[Refusal] = []
        self.answer: Returned | None = None

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        return tuple(self._calls)

    async def call(self, request: ToolRequest) -> ToolOutcome:
        """approve → record the intent → run → record the outcome."""
        self._asked += 1  # Not `len(calls)`: many may wait for approval at once.
        if self._asked > self._limits.max_calls:
            return Raised(
                "RuntimeError", f"{request.tool}(): more than {self._limits.max_calls} calls in one cell"
            )
        if self._approver is not None and not await self._approver.decide(request):
            return Raised("PermissionError", f"{request.tool}(): the user did not allow this call")
        slot = len(self._calls)
        call = ToolCall(self._step, slot + 1, request.tool, request.args, request.kwargs, None)
        self._calls.append(call)
        self._recorder.tool_intent(call)
        self._emit(ToolStarted(call.tool, call.index))
        started = time.perf_counter()
        # A cancelled call stays without an outcome, in doubt: the tool may have done its work.
        outcome = await self._run(request)
        seconds = round(time.perf_counter() - started, 6)
        call = ToolCall(call.step, call.index, call.tool, call.args, call.kwargs, outcome, seconds)
        self._calls[slot] = call
        self._recorder.tool_outcome(call)
        self._emit(ToolFinished(call))
        return outcome

    def refused(self, refusal: Refusal) -> None:
        self.refusals.append(refusal)

    async def _run(self, request: ToolRequest) -> ToolOutcome:
        if request.tool == FINAL_ANSWER:
            return self._final(request)
        if self._limits.timeout_s is None:
            return await self._tools.call(request)
        # What asyncio.timeout does, at a fraction of its cost: a call takes little more than this.
        task = asyncio.current_task()
        assert task is not None
        expired = asyncio.Event()

        def expire() -> None:
            expired.set()
            task.cancel()

        timer = task.get_loop().call_later(self._limits.timeout_s, expire)
        try:
            return await self._tools.call(request)
        except asyncio.CancelledError:
            if not expired.is_set() or task.uncancel() > 0:
                raise
            limit = self._limits.timeout_s
            problem = f"{request.tool}(): no result after {limit:g} s; it may still be at work"
            return Raised("TimeoutError", problem)
        finally:
            timer.cancel()

    def _final(self, request: ToolRequest) -> ToolOutcome:
        values = [*request.args, *request.kwargs.values()]
        if len(values) != 1 or (request.kwargs and "value" not in request.kwargs):
            return Raised("TypeError", f"final_answer() takes exactly one value, got {len(values)}")
        outcome = self._final_check(values[0])
        if isinstance(outcome, Returned):
            self.answer = Returned(values[0])
        return outcome
