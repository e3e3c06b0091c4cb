"""Owns going on with a step that was cut off: it runs again, and calls that were made are answered.

No call that is known to be done is made twice. One that began and has no outcome is in doubt: nobody knows
whether it was done, so somebody has to say whether it may be made again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from .events import ThoughtDelta
from .interfaces import Emit
from .trajectory import CUT_OFF, DENIED, Action, Observation, Reply, Step, Trajectory
from .wire.frames import FINAL_ANSWER, called
from .wire.messages import Effect, Json, Raised, ToolCall, ToolRequest
from .wire.tape import call_key, show_call

Repeat = Callable[[ToolCall], Awaitable[bool]]
"""Whether a call in doubt is to be made again."""
Key = Callable[[str, Sequence[Json], Mapping[str, Json]], str]


@dataclass(frozen=True)
class Pending:
    """A step that is to be taken now: it was cut off, or its code was given. `repeat`: asked for each of
    its calls in doubt."""

    step: Step
    repeat: Repeat
    key: Key = call_key
    """Equal for calls that ask the same, as far as the record shows it: it may mask what they say."""
    own: bool = False
    """It is a cell of a person's: no model is asked, before or after."""

    async def reply(self, emit: Emit) -> Reply:
        """What the model replied then, as if it did now."""
        if self.step.reply.thought:
            emit(ThoughtDelta(self.step.reply.thought))
        return self.step.reply


def own_cell(code: str, index: int) -> Pending:
    """A cell that a person wrote, as the step to take now."""

    async def never(call: ToolCall) -> bool:
        return False

    return Pending(Step(index, Reply(code=code), Action(code), Observation("ok")), never, own=True)


class Earlier:
    """Calls that a step made before it was cut off, each to be answered once."""

    def __init__(self, pending: Pending | None = None) -> None:
        self.calls = () if pending is None else pending.step.observation.tool_calls
        self._repeat = pending.repeat if pending is not None else None
        self._key = pending.key if pending is not None else call_key
        self._left: dict[str, deque[ToolCall]] = {}
        # Of calls that ask the same, the ones that are done answer first.
        for call in sorted(self.calls, key=lambda call: call.outcome is None):
            self._left.setdefault(self._key(call.tool, call.args, call.kwargs), deque()).append(call)

    def take(self, request: ToolRequest) -> ToolCall | None:
        """The earlier call that asked the same, if one is left."""
        if not self._left:
            return None
        left = self._left.get(self._key(request.tool, request.args, request.kwargs))
        return left.popleft() if left else None

    async def may_repeat(self, call: ToolCall) -> bool:
        """Whether a call in doubt is to be made again."""
        return self._repeat is not None and await self._repeat(call)


def skipped(call: ToolCall) -> Raised:
    """What the code gets for a call in doubt that is not made again."""
    if call.denied_by:  # It was not made; only that was not recorded any more.
        return Raised(DENIED, f"{called(call.tool)}: denied by {call.denied_by}", "no")
    return Raised(
        "RuntimeError",
        f"in doubt: {show_call(call)} began before the run was cut off and may have been done; "
        "it is not called again",
        "unknown",
    )


def cut_off_step(trajectory: Trajectory) -> Step | None:
    """The step that a run was in when it was cut off."""
    if not trajectory.turns or trajectory.stop is not None or not trajectory.turns[-1].steps:
        return None
    step = trajectory.turns[-1].steps[-1]
    return step if step.observation.status == "killed" and step.observation.reason == CUT_OFF else None


def doubtful(step: Step, effects: dict[str, Effect]) -> Iterable[ToolCall]:
    """Its calls in doubt to tools that change something; asking a reading one again does no harm."""
    for call in step.observation.tool_calls:
        open_ = call.outcome is None and not call.denied_by and call.tool != FINAL_ANSWER
        if open_ and effects.get(call.tool, "write") == "write":
            yield call
