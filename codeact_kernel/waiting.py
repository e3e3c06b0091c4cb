"""Owns the time in which a run waits for a person: it counts for no limit, but for what the sandbox computes
meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext


class Waiting:
    """How long a run has waited for people. One for a kernel and all that has a limit beside it.

    Args:
        computed: seconds of processor time that the kernel has used so far. They count: code that goes on in
            a thread while somebody thinks about a question uses up the time of its step.
        now: a clock, in seconds.
    """

    def __init__(
        self, computed: Callable[[], float] = lambda: 0.0, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._computed = computed
        self._now = now
        self._asked = 0
        self._past = 0.0
        self._began = self._computed_then = 0.0
        self.beside: Callable[[], AbstractContextManager[None]] = nullcontext
        """Entered while a person is asked: who else takes the time."""

    @contextmanager
    def person(self) -> Iterator[None]:
        """While a person is asked. Several may be at once: the time counts once."""
        if not self._asked:
            self._began, self._computed_then = self._now(), self._computed()
        self._asked += 1
        try:
            with self.beside():
                yield
        finally:
            self._asked -= 1
            if not self._asked:
                self._past += self._idle()

    @property
    def seconds(self) -> float:
        """That count for no limit, so far; of a question that is open, too."""
        return self._past + (self._idle() if self._asked else 0.0)

    def clock(self) -> float:
        """Seconds of a clock that stands still meanwhile."""
        return self._now() - self.seconds

    def _idle(self) -> float:
        elapsed = self._now() - self._began
        return elapsed - min(elapsed, max(0.0, self._computed() - self._computed_then))
