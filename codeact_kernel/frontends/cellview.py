"""Owns what a running cell shows: its outputs and tool calls, bounded on the screen."""

from __future__ import annotations

from collections import Counter
from typing import assert_never

from ..outputs import ClearOutput, Display, DisplayUpdate, Error, Finished, Output, Result, Stream
from ..wire.messages import ToolCall
from . import brief
from .page import Page
from .terminal import LineWindow, clean, clip

CALLS_SHOWN = 6
TRACEBACK_LINES = 12
TRACKED_DISPLAYS = 100
LOOKED_AT = 100_000
"""Characters of the end of a traceback that are cleaned to find the lines to show."""
STREAMS = {"stdout": "", "stderr": "red"}


class CellView:
    """One cell.

    Args:
        page: where the lines go.
        head: lines of one output shown as they come; None: all.
    """

    def __init__(self, page: Page, head: int | None) -> None:
        self._page = page
        self._head = head
        self._calls: Counter[str] = Counter()
        self._updates: dict[str, str] = {}
        self._open_windows()
        self.partial = ""
        """The line on its way: an unfinished one, or the latest state of a progress display."""

    def output(self, output: Output) -> None:
        """Shows one live output."""
        match output:
            case Stream(name, text):
                window = self._windows[name]
                self._page.lines(window.feed(text), STREAMS[name])
                self.partial = window.partial
            case Display(data):
                self._block(brief.bundle(data))
            case DisplayUpdate(display_id, data):
                self._update(display_id, brief.bundle(data))
            case Result(data):
                self._block(brief.bundle(data), "cyan")
            case Error():
                self._error(output)
            case ClearOutput() | Finished():
                pass  # printed lines stay; how the cell ended is said once, with the step
            case _:
                assert_never(output)

    def tool(self, call: ToolCall) -> None:
        """Shows one finished call; of many, the first few and at the end how many there were."""
        self._calls[brief.name(call.tool)] += 1
        if self._calls.total() <= CALLS_SHOWN:
            self._page.line(f"  → {brief.call(call)}", "magenta")

    def close(self) -> None:
        """Shows what was held back. May be called twice."""
        for name, window in self._windows.items():
            self._rest(window, STREAMS[name])
        self._open_windows()
        hidden = self._calls.total() - CALLS_SHOWN
        if hidden > 0:
            tools = ", ".join(f"{name} ×{number:,}" for name, number in self._calls.most_common(5))
            self._page.line(f"  → … {brief.count(hidden, 'more call')} (in all: {tools})", "magenta")
        self._calls.clear()
        for text in self._updates.values():
            self._block(text)
        self._updates.clear()
        self.partial = ""

    def _open_windows(self) -> None:
        self._windows = {name: LineWindow(self._head, tail=5) for name in STREAMS}

    def _update(self, display_id: str, text: str) -> None:
        # On the way it is progress; what it ends as is printed when the cell closes.
        if display_id in self._updates or len(self._updates) < TRACKED_DISPLAYS:
            self._updates[display_id] = clip(text, 1000)
        self.partial = clean(clip(text, 200)).partition("\n")[0]

    def _block(self, text: str, style: str = "") -> None:
        window = LineWindow(self._head, tail=3)
        self._page.lines(window.feed(text), style)
        self._rest(window, style)

    def _error(self, error: Error) -> None:
        self.close()
        raw = "\n".join(error.traceback) if error.traceback else f"{error.ename}: {error.evalue}"
        lines = clean(raw[-LOOKED_AT:]).split("\n")
        if len(lines) > TRACEBACK_LINES:
            lines = ["…", *lines[-TRACEBACK_LINES:]]
        self._page.lines((clip(line, 300) for line in lines), "red")

    def _rest(self, window: LineWindow, style: str) -> None:
        hidden, lines = window.close()
        if hidden:
            self._page.line(f"  … {brief.count(hidden, 'line')} not shown …", "dim")
        self._page.lines(lines, style)
