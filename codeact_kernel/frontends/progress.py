"""Owns the live region of a terminal: what is going on right now, redrawn a few times a second."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.spinner import Spinner
from rich.text import Text

from . import brief
from .page import highlighted
from .terminal import clean

CODE_LINES = 20
THOUGHT_LINES = 6


class Progress:
    """A renderable whose attributes the renderer sets. Rich's refresh thread reads them.

    `thought` and `code`: the reply as far as it has streamed in. `partial`: the output line that has
    not ended. `calls`: tool calls of the running cell.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._spinner = Spinner("dots" if console.encoding.startswith("utf") else "line")
        self._label = ""
        self._phase = ""
        self._since = monotonic()
        self.thought = self.code = self.partial = ""
        self.calls = 0

    def begin(self, label: str) -> None:
        """A new step: the model is asked."""
        self._label = label
        self.thought = self.code = self.partial = ""
        self.calls = 0
        self.phase("thinking")

    def running(self) -> None:
        """The cell runs; what streamed in has been printed."""
        self.thought = self.code = ""
        self.phase("running")

    def called(self, count: int = 1) -> None:
        """A tool call of the running cell came back. `count`: 0 for one that is not counted."""
        self.calls += count
        self.phase("running", keep_time=True)

    def phase(self, name: str, *, keep_time: bool = False) -> None:
        """What the spinner says."""
        self._phase = name
        if not keep_time:
            self._since = monotonic()

    def idle(self) -> None:
        """Nothing is going on."""
        self._phase = self.thought = self.code = self.partial = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self._phase:
            yield from self._streaming()
            yield self._status()

    def _streaming(self) -> Iterator[RenderableType]:
        room = max(3, self._console.height - 4)
        if self.thought.strip():
            yield Text(_last(self.thought, min(THOUGHT_LINES, room)), style="italic")
        if self.code:
            code = _last(self.code, min(CODE_LINES, max(2, room - THOUGHT_LINES)))
            yield highlighted(code)
        if self.partial:
            yield Text("  " + self.partial[: self._console.width - 4], no_wrap=True)

    def _status(self) -> RenderableType:
        parts = [self._phase, self._label]
        if self.calls:
            parts.append(brief.count(self.calls, "tool call"))
        if (seconds := monotonic() - self._since) >= 1:  # Below, each redrawing would show another number.
            parts.append(brief.seconds(seconds))
        self._spinner.update(text=Text(" · ".join(part for part in parts if part), style="dim"))
        return self._spinner


def _last(text: str, lines: int) -> str:
    # Bounded before it is cleaned: a reply streams in small parts, and each redraw reads it anew.
    return "\n".join(clean(text[-8000:]).strip("\n").split("\n")[-lines:])
