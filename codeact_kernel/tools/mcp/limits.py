"""Owns how often a server may be called in a run, and how many of its calls run at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ...wire.frames import TOO_MANY
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
        self._of_tools: Counter[str] = Counter()
        self.calls = 0

    @asynccontextmanager
    async def one(self, tool: str, most: int | None = None) -> AsyncIterator[None]:
        """A call, when it is its turn. `most`: of this tool. Raises: Failure: there were enough."""
        _check(tool, self._module, self.calls, self._most)
        _check(tool, "it", self._of_tools[tool], most)
        self.calls += 1
        self._of_tools[tool] += 1
        async with self._slots:
            yield


def _check(tool: str, which: str, calls: int, most: int | None) -> None:
    if most is not None and calls >= most:
        said = f"{tool}(): {which} may be called {most:,} times in a run {TOO_MANY}, and was"
        raise Failure(ERROR, said, "no")
