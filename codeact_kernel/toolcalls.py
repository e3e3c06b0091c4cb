"""Owns what happens to a tool call: limits, approval, intent on disk, the call, outcome on disk."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from .allowance import Allowance
from .config import ToolLimits
from .events import ToolFinished, ToolStarted
from .interfaces import Approver, CallHandler, Emit, Later, OnTheSpot, Recorder, ToolSource
from .resuming import Earlier, skipped
from .timelimit import Expired, limited
from .trajectory import Approval, Refusal
from .wire.blob import textual
from .wire.frames import FINAL_ANSWER, called, unknown
from .wire.messages import Arguments, Json, Raised, Returned, ToolCall, ToolOutcome, ToolRequest
from .wire.tape import show_call
from .wire.weight import weight

ALLOWED = Approval(True)
MAX_NOTES = 20
MAX_MISSING = 300
"""Characters of the name of a tool that is not there; what has a longer one is none."""
FinalCheck = Callable[[Json], ToolOutcome]
"""Takes the encoded value of a final answer: Returned(None) accepts it, Raised says why not."""

OF_PERSONS = frozenset({"input", "getpass"})
"""Tools that are there while a person attends, unless the user has some of that name. Their calls may also be
of a run that goes on unattended."""


@dataclass(frozen=True)
class Secret(Returned):
    """What the cell gets, and nobody else: the record and whoever looks on have `mark` in its place."""

    mark: str = ""


def accept_any(value: Json) -> ToolOutcome:
    """The check of a task without an output type."""
    return Returned(None)


def _is_there(tool: str, tools: ToolSource) -> bool:
    return tool == FINAL_ANSWER or tools.has(tool)


def _refused(call: ToolCall, approval: Approval) -> Raised:
    """What the code gets for a call that is not made."""
    said = [called(call.tool), f"denied by {approval.by}" if approval.by else "", approval.reason]
    return Raised(approval.error, ": ".join(filter(None, said)), "no")


def _recorded(outcome: ToolOutcome) -> ToolOutcome:
    text = textual(outcome.value) if isinstance(outcome, Returned) else None
    return outcome if isinstance(outcome, Raised) or text is outcome.value else Returned(text)


class StepCalls(CallHandler):
    """The CallHandler of one step: every tool call of its cell passes through here.

    `calls` is the step's part of the tape, `answer` the last accepted final answer (encoded, wrapped
    in Returned so that None can be one), `notes` what the model is to be told beside what the cell shows.
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
        earlier: Earlier | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._step = step
        self._tools = tools
        self._spots: dict[str, OnTheSpot | None] = {}
        self._recorder = recorder
        self._limits = limits
        self._approver = approver
        self._final_check = final_check
        self._emit = emit or (lambda event: None)
        self._earlier = earlier or Earlier()
        self._clock = clock
        self._calls: list[ToolCall] = list(self._earlier.calls)
        self._allowance = Allowance(limits)
        self.refusals: list[Refusal] = []
        self.notes: list[str] = []
        self.answer: Returned | None = None

    def again(self) -> None:
        """Records the calls that the step made before it was cut off."""
        for call in self._earlier.calls:
            self._recorder.tool_intent(replace(call, outcome=None))
            if call.outcome is not None:
                self._recorder.tool_outcome(call)

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        return tuple(self._calls)

    def at_once(self, request: ToolRequest) -> ToolOutcome | Later | None:
        """As `call`, but that nothing is waited for: None where something has to be."""
        if self._approver is not None or self._earlier.calls:
            return None
        run = self._on_the_spot(request.tool)
        if run is None:
            return None
        size = weight((request.args, request.kwargs))
        refused = self._allowance.too_many(request) or self._allowance.no_room(request, size)
        if refused is not None:
            return refused
        call = self._begun(request, ALLOWED, None)
        started = time.perf_counter()
        outcome = run(request)
        if isinstance(outcome, Returned | Raised):
            return self._done(request, call, outcome, started)
        return self._later(request, call, outcome, started)

    async def call(self, request: ToolRequest) -> ToolOutcome:
        """approve → record the intent → run → record the outcome."""
        if (refused := self._allowance.too_many(request)) is not None:
            return refused
        earlier = self._earlier.take(request)
        if earlier is not None and request.tool != FINAL_ANSWER:
            if earlier.outcome is not None:
                return earlier.outcome
            if earlier.denied_by or not await self._earlier.may_repeat(earlier):
                return self._settled(replace(earlier, outcome=skipped(earlier)))
        size = weight((request.args, request.kwargs))
        if (refused := self._allowance.no_room(request, size)) is not None:
            return refused
        if not _is_there(request.tool, self._tools) and request.tool not in OF_PERSONS:
            outcome = unknown(
                request.tool, sorted({FINAL_ANSWER, *(one.name for one in self._tools.specs())})
            )
            if "." not in request.tool or len(request.tool) > MAX_MISSING:
                return outcome
            # Of a module whose server or toolkit is gone: its stub is there, and asks again in a replay.
            return self._settled(replace(self._begun(request, ALLOWED, earlier), outcome=outcome))
        approval = Approval(True, earlier.approved_by, edited=earlier.edited) if earlier else ALLOWED
        if self._approver is not None:
            approval = await self._decided(self._approver, request, size)
        call = self._begun(request, approval, earlier)
        if not approval.allowed:
            return self._settled(replace(call, outcome=_refused(call, approval)))
        if approval.edited is not None:
            request = self._changed(request, call, approval.edited)
        return await self._later(request, call, self._run(request), time.perf_counter())

    async def _later(self, request: ToolRequest, call: ToolCall, run: Later, started: float) -> ToolOutcome:
        limit = self._limits.timeout_s
        try:
            # A cancelled call stays without an outcome, in doubt: the tool may have done its work.
            outcome = await limited(run, limit, self._clock)
        except Expired:
            problem = f"{called(request.tool)}: no result after {limit:g} s; it may still be at work"
            outcome = Raised("TimeoutError", problem)
        return self._done(request, call, outcome, started)

    def _done(self, request: ToolRequest, call: ToolCall, made: ToolOutcome, started: float) -> ToolOutcome:
        """What the cell gets; the outcome on disk."""
        outcome = self._allowance.taken(request, made)
        seconds = round(time.perf_counter() - started, 6)
        seen = Returned(outcome.mark) if isinstance(outcome, Secret) else _recorded(outcome)
        self._settled(call.with_outcome(seen, seconds))
        return outcome

    def _on_the_spot(self, tool: str) -> OnTheSpot | None:
        """Asked once of each tool there is, not for each call."""
        if tool not in self._spots and _is_there(tool, self._tools):
            self._spots[tool] = self._final if tool == FINAL_ANSWER else self._tools.at_once(tool)
        return self._spots.get(tool)

    def _begun(self, request: ToolRequest, approval: Approval, earlier: ToolCall | None) -> ToolCall:
        """The call, its intent on disk. `earlier`: it is made again, and takes the place of this one."""
        index = len(self._calls) + 1
        allowed, denied = (approval.by, "") if approval.allowed else ("", approval.by)
        if earlier is None:
            asked = (request.tool, textual(request.args), textual(request.kwargs))
            decided = ToolCall(self._step, index, *asked, None, 0.0, allowed, denied, approval.edited)
            self._calls.append(decided)
        else:
            decided = replace(earlier, approved_by=allowed, denied_by=denied, edited=approval.edited)
        if decided != earlier:
            self._recorder.tool_intent(decided)
        if approval.allowed:
            self._emit(ToolStarted(decided.tool, decided.index))
        return decided

    def _changed(self, request: ToolRequest, call: ToolCall, edited: Arguments) -> ToolRequest:
        """What is called in place of `request`; the model is told of it."""
        request = replace(request, args=edited[0], kwargs=edited[1])
        made = show_call(replace(call, args=edited[0], kwargs=edited[1]))
        if len(self.notes) < MAX_NOTES:
            self.notes.append(f"Before {show_call(call)} was called, a person changed it to {made}.")
        return request

    def _settled(self, call: ToolCall) -> ToolOutcome:
        assert call.outcome is not None
        self._calls[call.index - 1] = call
        self._recorder.tool_outcome(call)
        self._emit(ToolFinished(call))
        return call.outcome

    async def _decided(self, approver: Approver, request: ToolRequest, size: int) -> Approval:
        try:
            return await approver.decide(request, self._step)
        except BaseException:
            self._allowance.give_back(size)
            raise

    def refused(self, refusal: Refusal) -> None:
        self.refusals.append(refusal)

    async def _run(self, request: ToolRequest) -> ToolOutcome:
        return self._final(request) if request.tool == FINAL_ANSWER else await self._tools.call(request)

    def _final(self, request: ToolRequest) -> ToolOutcome:
        values = [*request.args, *request.kwargs.values()]
        if len(values) != 1 or (request.kwargs and "value" not in request.kwargs):
            return Raised("TypeError", f"final_answer() takes exactly one value, got {len(values)}")
        outcome = self._final_check(values[0])
        if isinstance(outcome, Returned):
            self.answer = Returned(textual(values[0]))
        return outcome
