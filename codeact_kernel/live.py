"""Owns the live replay: the real tools are called again, and what they say is compared with the tape."""

from __future__ import annotations

from dataclasses import dataclass

from .config import ToolLimits
from .interfaces import Approver, Recorder, ToolSource
from .rebuild import TapeCalls
from .toolcalls import OF_PERSONS, StepCalls
from .trajectory import Step
from .wire.entries import outcome_to_json
from .wire.frames import FINAL_ANSWER
from .wire.lines import canonical
from .wire.messages import Raised, ToolCall, ToolOutcome, ToolRequest
from .wire.tape import Tape, TapeMiss, show_call, show_value


@dataclass(frozen=True)
class Live:
    """The tools of a live replay, and who allows their calls. None: nobody is asked."""

    tools: ToolSource
    recorder: Recorder
    limits: ToolLimits = ToolLimits()
    approver: Approver | None = None

    def handler(self, tape: Tape, step: Step) -> TapeCalls:
        """The CallHandler of a step."""
        return LiveCalls(tape, step, self)


class LiveCalls(TapeCalls):
    """Calls the tools for real. A final answer is judged as it was then: its schema is not recorded. And what
    a person was asked is not asked again: nobody attends."""

    def __init__(self, tape: Tape, step: Step, live: Live) -> None:
        super().__init__(tape, step)
        self._live = StepCalls(
            step.index, live.tools, live.recorder, limits=live.limits, approver=live.approver
        )
        self._persons = OF_PERSONS - {spec.name for spec in live.tools.specs()}

    async def call(self, request: ToolRequest) -> ToolOutcome:
        if request.tool == FINAL_ANSWER or request.tool in self._persons:
            return await super().call(request)
        try:
            then = self.recorded(request)
        except TapeMiss:
            return await self._live.call(request)
        now = await self._live.call(request)
        if canonical(outcome_to_json(then)) != canonical(outcome_to_json(now)):
            asked = ToolCall(0, 0, request.tool, request.args, request.kwargs, None)
            self.keep(self.changes, f"{show_call(asked)}: result: {_shown(then)} → {_shown(now)}")
        return now


def _shown(outcome: ToolOutcome) -> str:
    if isinstance(outcome, Raised):
        return f"{outcome.type}: {outcome.message[:200]}"
    return show_value(outcome.value)
