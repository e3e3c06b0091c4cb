"""Owns a person's attention: one question at a time, with the mark of the session, while no clock runs.

The mark is a random word that only the host knows and shows: what a program prints can look like a question
of ours, but not carry it. Who is away or has stopped the run is not asked again by the same cell.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from ..waiting import Waiting
from .approval_text import Question
from .portal import Door

T = TypeVar("T")
NOBODY = "there is nobody who can be asked"
SILENT = "nobody answers here"


class Stopped(Exception):
    """The person wants the run to end. Whoever raises it has said so to the run."""


async def read_at(door: Door, read: Callable[[], str | None]) -> str | None:
    """What `read` gives on the thread of the caller, who may interrupt it. Raises: Stopped."""
    stopped: list[KeyboardInterrupt] = []

    def held() -> str | None:
        try:
            return read()
        except KeyboardInterrupt as problem:
            stopped.append(problem)
            raise

    try:
        line = await door.at_caller(held)
    except RuntimeError:
        if stopped:
            raise Stopped from None
        raise
    return None if line is None else str(line)


class Asker(Protocol):
    """A front end at which a person can be asked. Called by the desk, on the portal, once at a time."""

    who: str
    """Who answers there, for the record: "a person at the terminal"."""

    def ready(self) -> bool:
        """Whether somebody can be asked now."""
        ...

    async def line(self, question: Question, door: Door) -> str | None:
        """Shows the question and reads one line; None: nobody answers here. `door`: that the run came in by.
        Raises: Stopped."""
        ...


class Attention:
    """Of the person at one front end.

    Args:
        asker: None: nobody can be asked.
        seconds: that they have for an answer; None: as many as they like.
    """

    def __init__(self, asker: Asker | None, seconds: float | None) -> None:
        self.asker = asker
        self._seconds = seconds
        self._absent: set[object] = set()
        self._stopped = False
        self._over = False
        self._timer: asyncio.Timeout | None = None
        self._flush: Callable[[], None] = lambda: None
        self.tell: Callable[[str], None] = lambda text: None
        """Tells the user something."""
        self.waiting = Waiting()
        self.turn = asyncio.Lock()
        """Held while a person is asked anything, also by `input()` of the sandbox."""
        self.mark = _mark()

    def begin(self, flush: Callable[[], None] = lambda: None) -> None:
        """A new task: who was away or stopped the last one may be asked again. `flush`: shows what has
        happened up to now, the code above all."""
        self._absent, self._stopped, self._flush, self._over = set(), False, flush, False

    def end(self) -> None:
        """The task is over, and with it the front end that asked: a server may still have a question."""
        self._over = True
        if self._timer is not None and not self._timer.expired():
            self._timer.reschedule(asyncio.get_running_loop().time())

    async def ask(
        self, dialogue: Callable[[Asker], Awaitable[T]], unasked: Callable[[str], T], about: object
    ) -> T:
        """What comes of a dialogue, when it is its turn; `unasked`: what it is where there is none, and why.

        `about`: who did not answer once is not asked about the same again. Raises: CancelledError when the
        person has stopped the run: who stops at one question is not to get those that wait behind it.
        """
        with self.waiting.person():
            async with self.turn:
                if self._stopped:
                    raise asyncio.CancelledError
                if self._over or self.asker is None or not self.asker.ready():
                    return unasked(NOBODY)
                if about in self._absent:
                    return unasked("nobody has answered the last question")
                self._flush()
                try:
                    async with asyncio.timeout(self._seconds) as self._timer:
                        return await dialogue(self.asker)
                except TimeoutError:
                    self._absent.add(about)
                    return unasked(NOBODY if self._over else f"nobody answered within {self._seconds:g} s")
                except Stopped:
                    self._stopped = True
                    raise asyncio.CancelledError from None
                finally:
                    self._timer = None


def _mark() -> str:
    """A word that can be compared at a glance, and not be guessed: 37 bits."""
    syllables = [first + second for first in "bdfghjklmnprstvwz" for second in "aeiou"]
    return "-".join(secrets.choice(syllables) + secrets.choice(syllables) for _ in range(3))
