"""Owns how long is waited for a server: limits that stand still while a person is asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager


class Patience:
    """The limits of one connection. Used on its event loop only."""

    def __init__(self) -> None:
        self._running: dict[asyncio.Timeout, float] = {}
        """What was left of each when a person was last asked; at first all of it."""
        self._people = 0

    @property
    def waits(self) -> bool:
        """Whether a person is asked, so that no limit runs."""
        return self._people > 0

    @asynccontextmanager
    async def limit(self, seconds: float) -> AsyncIterator[None]:
        """Raises: TimeoutError."""
        async with asyncio.timeout(None if self._people else seconds) as timeout:
            self._running[timeout] = seconds
            try:
                yield
            finally:
                del self._running[timeout]

    @contextmanager
    def a_person(self) -> Iterator[None]:
        """While it lasts no limit runs."""
        self._people += 1
        try:
            if self._people == 1:
                now = asyncio.get_running_loop().time()
                for timeout in self._running:
                    if not timeout.expired():  # Its call may still unwind, and it can be moved no more.
                        self._running[timeout] = max(0.0, (timeout.when() or now) - now)
                        timeout.reschedule(None)
            yield
        finally:
            self._people -= 1
            if not self._people:
                now = asyncio.get_running_loop().time()
                for timeout, left in self._running.items():
                    if not timeout.expired():
                        timeout.reschedule(now + left)
