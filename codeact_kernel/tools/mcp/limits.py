"""Owns how often a server may be called in a run, and how many of its calls run at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ..failures import Failure
from .results import ERROR

AT_ONCE = 32
"""Calls of one server; further ones wait."""


class Allowed:
    """The account of one server. `most`: calls of a run; None: no bound."""

    def __init__(self, module: str, most: int | None) -> None:
        self._module = module
        self._most = most
        self._slots = asyncio.Semaphore(AT_ONCE)
        self.calls = 0

    @asynccontextmanager
    async def one(self, tool: str) -> AsyncIterator[None]:
        """A call, when it is its turn. Raises: Failure: there were enough."""
        if self._most is not None and self.calls >= self._most:
            said = (
                f"{tool}(): {self._module} may be called {self._most:,} times in a run (max_calls), and was"
            )
            raise Failure(ERROR, said)
        self.calls += 1
        async with self._slots:
            yield
