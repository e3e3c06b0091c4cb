"""Owns how a step of the agent is shown in a notebook while it happens: its head, and its tool calls."""

from __future__ import annotations

from collections.abc import Callable

from ..outputs import MimeBundle
from ..trajectory import Step
from ..wire.messages import ToolCall
from . import brief, notebook_view, render
from .publishing import Publish, Style
from .relay import new_id

REDRAW_S = 0.5
WAITED_S = 1.0
RESTS = 5
"""How many times as long as a drawing took nothing is drawn after it: a busy machine has more to do."""
MOST = 1_000_000
"""Characters of one reply that are kept as it streams in."""


class StepView:
    """One step. Where displays can be updated its head is one display, from the first moment to the end.

    Args:
        index: of the step; 0 as long as there is none.
        display_id: of a head that is there already.
    """

    def __init__(
        self,
        publish: Publish,
        style: Style,
        clock: Callable[[], float],
        index: int,
        phase: str,
        display_id: str | None = None,
    ) -> None:
        self._publish = publish
        self._style = style
        self._clock = clock
        self.index = index
        self.display_id = display_id
        """Of the head, while it can be updated."""
        self._thought = self._code = ""
        self._phase = phase
        self._since = self._drawn = clock()
        self._rest = 0.0
        self._changed = self._ready = False
        self._calls: list[str] = []
        self._hidden_calls = 0
        self._calls_id: str | None = None
        if style.progress:
            self._head()

    def thought(self, text: str) -> None:
        """More of the thought."""
        self._thought = (self._thought + text)[:MOST]
        self._changed = True

    def code(self, text: str) -> None:
        """More of the code."""
        self._code = (self._code + text)[:MOST]
        self.phase("writing code")

    def phase(self, phase: str, *, keep_time: bool = False) -> None:
        """What goes on now."""
        if phase != self._phase and not keep_time:
            self._since = self._clock()
        self._phase = phase
        self._changed = True

    def ready(self, code: str) -> None:
        """The code is complete, and begins to run."""
        self._code, self._ready = code, True
        self.phase("running")
        if self.display_id is not None:
            self._redraw(self._clock())
        else:
            self._publish.display(self._data("", heading=not self._style.progress))

    def call(self, call: ToolCall) -> None:
        """A tool call came back."""
        if not brief.listed(call):
            return
        if len(self._calls) < notebook_view.CALLS:
            self._calls.append(brief.call(call))
        else:
            self._hidden_calls += 1
        self.phase("running")
        if self._style.updates and self._calls_id is None:
            self._calls_id = new_id()
            self._publish.display(self._calls_data(), display_id=self._calls_id)

    def tick(self) -> None:
        """Shows what is due."""
        now = self._clock()
        waited = now - self._drawn - self._rest
        if self.display_id is not None and (waited >= WAITED_S or (self._changed and waited >= REDRAW_S)):
            self._redraw(now)

    def end(self, step: Step) -> None:
        """The step has ended."""
        if self._calls_id is not None:
            self._publish.update(self._calls_id, self._calls_data())
        elif self._calls:
            self._publish.display(self._calls_data())
        live, self.display_id = self.display_id, None
        if live is not None:
            self._thought = step.reply.thought or self._thought
            self._publish.update(live, self._data(render.ended(step)))
        elif not self._ready:  # The reply held nothing that could be run.
            self._thought = step.reply.thought
            self._publish.display(self._data("", heading=not self._style.progress))
        foot = notebook_view.footing(step, own=live is not None)
        if foot is not None:
            self._publish.display(foot)

    def give_up(self) -> None:
        """It did not come to its end."""
        live, self.display_id = self.display_id, None
        if live is not None:
            self._publish.update(live, self._data("stopped") if self.index else {"text/plain": ""})

    def replace(self, data: MimeBundle) -> None:
        """Shows something else in its place: it was no step, but the answer."""
        live, self.display_id = self.display_id, None
        self._publish.update(live or "", data)

    def _head(self) -> None:
        data = notebook_view.progress(self.index, self._phase, 0)
        if not self._style.updates:
            self._publish.display(data)
        elif self.display_id is None:
            self.display_id = new_id()
            self._publish.display(data, display_id=self.display_id)
        else:
            self._publish.update(self.display_id, data)

    def _redraw(self, now: float) -> None:
        seconds = now - self._since
        if self._ready:
            data = self._data(self._phase + "…" + (f" {seconds:.0f} s" if seconds >= 1 else ""))
        else:
            data = notebook_view.progress(self.index, self._phase, seconds, self._thought, self._code)
        self._publish.update(self.display_id or "", data)
        if self._calls_id is not None and self._changed:
            self._publish.update(self._calls_id, self._calls_data())
        self._drawn, self._changed = self._clock(), False
        self._rest = RESTS * (self._drawn - now)

    def _data(self, state: str, *, heading: bool = True) -> MimeBundle:
        return notebook_view.step(self.index, self._thought, self._code, state, heading=heading)

    def _calls_data(self) -> MimeBundle:
        return notebook_view.calls(self._calls, self._hidden_calls)
