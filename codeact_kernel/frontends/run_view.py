"""Owns how a run is shown in a notebook as it happens: events in, outputs of a cell out.

Shared by the kernel and the magic. Whoever has it calls it for every event, and `tick` some twenty times a
second, both on one thread, and `close` at the end, however that came.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from time import monotonic
from typing import assert_never

from ..events import (
    ActionReady,
    CodeDelta,
    Event,
    Notice,
    OutputShown,
    SandboxReady,
    StepFinished,
    StepStarted,
    ThoughtDelta,
    ToolFinished,
    ToolStarted,
    TurnFinished,
    TurnStarted,
)
from ..notebook.cage import UNSANDBOXED, cage_line
from ..outputs import Error, MimeBundle, Output
from ..trajectory import Reply, Step, Stop, Usage
from ..wire.frames import FINAL_ANSWER
from ..wire.messages import Raised, ToolCall
from . import brief, notebook_view
from .publishing import LIVE, Publish, Style
from .relay import Relay, new_id

REDRAW_S = 0.5
WAITED_S = 1.0
MOST = 1_000_000
"""Characters of one reply that are kept as it streams in."""


@dataclass
class Shown:
    """The step that is on: its display, what it holds and what it says of how it goes."""

    index: int = 0
    display_id: str | None = None
    thought: str = ""
    code: str = ""
    phase: str = "starting"
    since: float = 0.0
    ready: bool = False


class RunView:
    """One run, in one cell.

    Args:
        keep: what of the sandbox's outputs may reach the front end.
        saved: where the run is, given a summary of it; None: not said.
        own: it is a cell of the user's own: only its outputs are shown.
    """

    def __init__(
        self,
        publish: Publish,
        keep: Callable[[Output], Output | None],
        *,
        style: Style = LIVE,
        saved: Callable[[str], MimeBundle] | None = None,
        own: bool = False,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._publish = publish
        self._style = style
        self._saved = saved
        self._own = own
        self._clock = clock
        self._relay = Relay(publish, keep, narrated=not own, live=style.updates, clock=clock)
        self._started = self._drawn = clock()
        self._shown = Shown(since=self._started)
        self._changed = False
        self._calls: list[str] = []
        self._hidden_calls = 0
        self._calls_id: str | None = None
        self._steps: list[Step] = []
        self.stop: Stop | None = None
        """How the run ended, once it has."""
        self.error: Error | None = None
        """What ended a cell of the user's own."""

    @property
    def last(self) -> Step | None:
        """The last step that has ended."""
        return self._steps[-1] if self._steps else None

    def begin(self) -> None:
        """The cell was asked for: nothing has happened yet."""
        if not self._own and self._style.progress and self._style.updates:
            self._head()

    def __call__(self, event: Event) -> None:
        """Shows one event."""
        match event:
            case SandboxReady(sandbox):
                said = cage_line(sandbox)
                if said.startswith(UNSANDBOXED):
                    self._notice(f"sandbox: {said}")
            case TurnStarted():
                pass
            case StepStarted(index):
                self._begin_step(index)
            case ThoughtDelta(text):
                self._shown.thought = (self._shown.thought + text)[:MOST]
                self._changed = True
            case CodeDelta(text):
                self._shown.code = (self._shown.code + text)[:MOST]
                self._phase("writing code")
            case ActionReady(action=action):
                self._ready(action.code)
            case OutputShown(output):
                if isinstance(output, Error) and self._own:
                    self.error = output
                self._relay.feed(output)
            case ToolStarted(tool):
                self._phase(f"in {brief.name(tool)}")
            case ToolFinished(call):
                self._call(call)
            case StepFinished(step):
                self._end_step(step)
            case Notice(text):
                self._relay.flush(force=True)
                self._notice(text)
            case TurnFinished(stop):
                self._finish(stop)
            case _:
                assert_never(event)
        self.tick()

    def tick(self) -> None:
        """Shows what is due."""
        self._relay.flush()
        if self._own or not self._style.updates or self._shown.display_id is None or self.stop is not None:
            return
        now = self._clock()
        waited = now - self._drawn
        if waited >= WAITED_S or (self._changed and waited >= REDRAW_S):
            self._redraw(now)

    def flush(self) -> None:
        """Shows what came so far: something else is about to be shown."""
        self._relay.flush(force=True)

    def close(self) -> None:
        """Shows what was held back. What was going on is said to have been stopped."""
        self._relay.end_step()
        if self.stop is None and self._shown.display_id is not None and self._style.updates:
            data = self._step("stopped") if self._shown.index else {"text/plain": ""}
            self._publish.update(self._shown.display_id, data)

    # --- a step ---

    def _begin_step(self, index: int) -> None:
        kept = self._shown.display_id if self._shown.index == 0 else None
        self._shown = Shown(index, kept, phase="thinking", since=self._clock())
        self._calls, self._hidden_calls, self._calls_id = [], 0, None
        if not self._own and self._style.progress:
            self._head()

    def _head(self) -> None:
        data = notebook_view.progress(self._shown.index, self._shown.phase, 0)
        if not self._style.updates:
            self._publish.display(data)
        elif self._shown.display_id is None:
            self._shown.display_id = new_id()
            self._publish.display(data, display_id=self._shown.display_id)
        else:
            self._publish.update(self._shown.display_id, data)
        self._drawn = self._clock()

    def _phase(self, phase: str) -> None:
        if phase != self._shown.phase:
            self._shown.phase = phase
            self._shown.since = self._clock()
        self._changed = True

    def _ready(self, code: str) -> None:
        if self._own:
            return
        self._shown.code, self._shown.ready = code, True
        self._phase("running")
        if self._shown.display_id is not None and self._style.updates:
            self._redraw(self._clock())
        else:
            self._publish.display(self._step("", heading=not self._style.progress))

    def _redraw(self, now: float) -> None:
        shown, seconds = self._shown, now - self._shown.since
        if shown.ready:
            waited = f" {seconds:.0f} s" if seconds >= 1 else ""
            data = self._step(f"{shown.phase}…{waited}")
        else:
            data = notebook_view.progress(shown.index, shown.phase, seconds, shown.thought, shown.code)
        self._publish.update(shown.display_id or "", data)
        if self._calls_id is not None and self._changed:
            self._publish.update(self._calls_id, notebook_view.calls(self._calls, self._hidden_calls))
        self._drawn, self._changed = now, False

    def _step(self, state: str, *, heading: bool = True) -> MimeBundle:
        shown = self._shown
        return notebook_view.step(shown.index, shown.thought, shown.code, state, heading=heading)

    def _call(self, call: ToolCall) -> None:
        # The answer itself is shown at the end; that it was refused is shown here.
        if call.tool == FINAL_ANSWER and not isinstance(call.outcome, Raised):
            return
        if len(self._calls) < notebook_view.CALLS:
            self._calls.append(brief.call(call))
        else:
            self._hidden_calls += 1
        if self._style.updates and self._calls_id is None:
            self._relay.flush(force=True)
            self._calls_id = new_id()
            self._publish.display(notebook_view.calls(self._calls), display_id=self._calls_id)
        self._phase("running")

    def _end_step(self, step: Step) -> None:
        self._relay.end_step()
        self._steps.append(step)
        if self._calls:
            data = notebook_view.calls(self._calls, self._hidden_calls)
            if self._calls_id is not None:
                self._publish.update(self._calls_id, data)
            else:
                self._publish.display(data)
        live = self._shown.display_id is not None and self._style.updates
        if live and not self._own:
            self._shown.thought = step.reply.thought or self._shown.thought
            self._publish.update(self._shown.display_id or "", self._step(notebook_view.ended(step)))
        foot = notebook_view.footing(step, own=live or self._own)
        if foot is not None:
            self._publish.display(foot)
        self._shown = replace(self._shown, display_id=None)

    # --- the end ---

    def _notice(self, text: str) -> None:
        self._publish.display(notebook_view.notice(text))

    def _finish(self, stop: Stop) -> None:
        self._relay.end_step()
        self.stop = stop
        if self._own:
            return
        waiting, self._shown.display_id = self._shown.display_id, None
        foot = self._saved(self._summary(stop)) if self._saved is not None else None
        if waiting is not None and self._style.updates:
            # Of the reply that was only the answer, what streamed in is shown as that.
            self._publish.update(waiting, foot or {"text/plain": ""})
        elif foot is not None:
            self._publish.display(foot)
        if stop.reason == "answer":
            self._publish.result(notebook_view.answer(stop.answer))

    def _summary(self, stop: Stop) -> str:
        replies: list[Reply] = [step.reply for step in self._steps]
        replies += [stop.reply] if stop.reply is not None else []
        usage = sum((reply.usage for reply in replies), Usage())
        costs = [reply.cost_usd for reply in replies]
        cost = None if None in costs else sum(cost for cost in costs if cost is not None)
        took = brief.seconds(self._clock() - self._started)
        if self._steps:
            took = f"{brief.count(len(self._steps), 'step')} in {took}"
        return f"{took} · {brief.usage(usage, cost)}" if usage.total else took
