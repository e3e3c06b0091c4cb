"""Owns how a run is shown in a notebook as it happens: events in, outputs of a cell out.

Shared by the kernel and the magic. Whoever has it calls it for every event, and `tick` some twenty times a
second, both on one thread, and `close` at the end, however that came.
"""

from __future__ import annotations

from collections.abc import Callable
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
    ToolProgress,
    ToolStarted,
    TurnFinished,
    TurnStarted,
)
from ..notebook.cage import UNSANDBOXED, cage_line
from ..outputs import Error, MimeBundle, Output
from ..trajectory import Step, Stop, Usage
from ..wire.frames import is_ours
from . import brief, notebook_view
from .publishing import LIVE, Counted, Publish, Style
from .relay import Bounds, Relay
from .step_view import StepView

MANY = 40
"""Outputs after which earlier steps are folded before the next one; JupyterLab shows fifty of a cell, and
hides what comes after them, the answer too."""
FULL = 46
"""Outputs after which they are folded for the answer."""
DISPLAYS = 25
"""Of a step's outputs that are shown between its start and its end."""


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
        self._publish = Counted(publish)
        self._keep = keep
        self._style = style
        self._saved = saved
        self._own = own
        self._clock = clock
        self._relay = self._new_relay()
        self._started = clock()
        self._step: StepView | None = None
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
            self._step = StepView(self._publish, self._style, self._clock, 0, "starting")

    def __call__(self, event: Event) -> None:
        """Shows one event."""
        match event:
            case SandboxReady(sandbox):
                said = cage_line(sandbox)
                if said.startswith(UNSANDBOXED):
                    self._notice(f"sandbox: {said}")
            case Notice(text):
                self._notice(text)
            case StepStarted(index):
                self._begin_step(index)
            case OutputShown(output):
                if isinstance(output, Error) and self._own:
                    self.error = output
                self._relay.feed(output)
            case StepFinished(step):
                self._end_step(step)
            case TurnFinished(stop):
                self._finish(stop)
            case ToolProgress() if self._step is not None and not self._own:
                self._step.phase(brief.under_way(event), keep_time=True)
            case ThoughtDelta() | CodeDelta() | ActionReady() | ToolStarted() | ToolFinished():
                if self._step is not None and not self._own:
                    self._in_step(self._step, event)
            case TurnStarted() | ToolProgress():
                pass
            case _:
                assert_never(event)
        self.tick()

    def tick(self) -> None:
        """Shows what is due."""
        self._relay.flush()
        if self._step is not None and self.stop is None:
            self._step.tick()

    def flush(self) -> None:
        """Shows what came so far: something else is about to be shown."""
        self._relay.flush(force=True)

    def close(self) -> None:
        """Shows what was held back. What was going on is said to have been stopped."""
        self._relay.end_step()
        if self._step is not None:
            self._step.give_up()

    def _new_relay(self) -> Relay:
        live = self._style.updates
        bounds = Bounds() if self._own or not live else Bounds(displays=DISPLAYS)
        return Relay(
            self._publish, self._keep, narrated=not self._own, live=live, bounds=bounds, clock=self._clock
        )

    def _fold(self, most: int) -> None:
        """Makes room in the cell, if it holds more than `most` outputs."""
        if self._style.updates and self._steps and self._publish.outputs > most:
            self._publish.clear(wait=True)
            self._publish.display(notebook_view.folded(self._steps))
            self._relay, self._step = self._new_relay(), None

    def _begin_step(self, index: int) -> None:
        if self._own:
            return
        self._fold(MANY)
        waiting = self._step.display_id if self._step is not None and self._step.index == 0 else None
        self._step = StepView(self._publish, self._style, self._clock, index, "thinking", waiting)

    def _in_step(
        self, step: StepView, event: ThoughtDelta | CodeDelta | ActionReady | ToolStarted | ToolFinished
    ) -> None:
        match event:
            case ThoughtDelta(text):
                step.thought(text)
            case CodeDelta(text):
                step.code(text)
            case ActionReady(action=action):
                step.ready(action.code)
            case ToolStarted(tool):
                if not is_ours(tool):
                    step.phase(f"in {brief.name(tool)}")
            case ToolFinished(call):
                self.flush()
                step.call(call)
            case _:
                assert_never(event)

    def _end_step(self, step: Step) -> None:
        self._relay.end_step()
        self._steps.append(step)
        if self._step is not None:
            self._step.end(step)
        elif (foot := notebook_view.footing(step, own=True)) is not None:
            self._publish.display(foot)

    def _notice(self, text: str) -> None:
        self.flush()
        self._publish.display(notebook_view.notice(text))

    def _finish(self, stop: Stop) -> None:
        self._relay.end_step()
        self.stop = stop
        if self._own:
            return
        self._fold(FULL)
        foot = self._saved(self._summary(stop)) if self._saved is not None else None
        if self._step is not None and self._step.display_id is not None:
            # Of a reply that was only the answer, what streamed in is shown as that.
            self._step.replace(foot or {"text/plain": ""})
        elif foot is not None:
            self._publish.display(foot)
        if stop.reason == "answer":
            self._publish.result(notebook_view.answer(stop.answer))

    def _summary(self, stop: Stop) -> str:
        replies = [step.reply for step in self._steps]
        replies += [stop.reply] if stop.reply is not None else []
        usage = sum((reply.usage for reply in replies), Usage())
        costs = [reply.cost_usd for reply in replies]
        cost = None if None in costs else sum(cost for cost in costs if cost is not None)
        took = brief.seconds(self._clock() - self._started)
        if self._steps:
            took = f"{brief.count(len(self._steps), 'step')} in {took}"
        return f"{took} · {brief.usage(usage, cost)}" if usage.total else took
