"""Owns asking at the terminal whether a tool may be called.

While a question is open nothing else is drawn: its lines are read on the thread that draws the run.
"""

from __future__ import annotations

import asyncio
import os
import select
import sys
import termios
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from rich.console import Console

from .approval_text import Question, framed
from .attention import read_at
from .page import Page, stderr_console
from .portal import Door, SyncDoor

LOOK_S = 0.1
"""Seconds between two looks whether the question still stands."""
MAX_LINE = 64 * 1024


class TerminalAsker:
    """Asks where standard input is a terminal; shows the question where the run is shown, or else on stderr.

    Args:
        console: where the run is shown.
    """

    who = "a person at the terminal"

    def __init__(self, console: Console | None = None) -> None:
        shown = console if console is not None and console.is_terminal else stderr_console()
        self._page = Page(shown)
        self.paused: Callable[[], AbstractContextManager[object]] = nullcontext
        """What stops a live region of the terminal for as long as it is entered."""

    def ready(self) -> bool:
        return _is_terminal() and self._page.console.is_terminal

    async def line(self, question: Question, door: Door) -> str | None:
        gone = threading.Event()
        try:
            if isinstance(door, SyncDoor):
                return await read_at(door, lambda: self._offered(question, gone))
            return await asyncio.to_thread(self._read, question, "", gone)
        finally:
            gone.set()

    def _offered(self, question: Question, gone: threading.Event) -> str | None:
        """With the choice to end the run, which a caller that waits on its thread has."""
        line = self._read(question, "   q: stop the run", gone)
        if line is not None and line.strip().lower() == "q":
            raise KeyboardInterrupt(f"stopped before {question.before}")
        return line

    def _read(self, question: Question, more: str, gone: threading.Event) -> str | None:
        with self.paused():
            fd = sys.stdin.fileno()
            termios.tcflush(fd, termios.TCIFLUSH)  # What was typed before is no answer to this.
            for style, text in framed(question, more):
                self._page.line(text, style)
            while not gone.is_set():
                if select.select([fd], [], [], LOOK_S)[0]:
                    data = os.read(fd, MAX_LINE)
                    return data.decode("utf-8", "replace") if data else None
            self._page.line("(the question does not stand any more)", "dim")
            return None


def _is_terminal() -> bool:
    try:
        return sys.stdin is not None and sys.stdin.isatty() and sys.stdin.fileno() >= 0
    except (ValueError, OSError):
        return False  # It is closed, or stands for no file.
