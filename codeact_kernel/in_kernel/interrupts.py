"""Owns the moments in which an interrupt has to wait."""

from __future__ import annotations

import signal
import threading


class Deferral:
    """A part of the program that an interrupt must not leave half done.

    A context manager, which may be entered again inside. While `active`, a signal handler sets
    `interrupted` and returns. The signal is raised again as soon as it can do no harm, so that the handler
    then in force decides what it means. Handlers run in the main thread only; for any other thread
    nothing is deferred.
    """

    def __init__(self) -> None:
        self._main = threading.main_thread().ident
        self._depth = 0
        self.interrupted = False

    @property
    def active(self) -> bool:
        return self._depth > 0

    def __enter__(self) -> None:
        if threading.get_ident() == self._main:
            self._depth += 1

    def __exit__(self, *problem: object) -> None:
        if threading.get_ident() == self._main:
            self._depth -= 1
            self._let_through(0)

    def checkpoint(self) -> None:
        """Inside: now an interrupt may come out."""
        self._let_through(1)

    def _let_through(self, depth: int) -> None:
        if self.interrupted and self._depth == depth and threading.get_ident() == self._main:
            self.interrupted, self._depth = False, 0
            try:
                signal.raise_signal(signal.SIGINT)
            finally:
                self._depth = depth
