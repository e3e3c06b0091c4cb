"""The kernels of MCP clients: what is kept of one that was idle, and for how long."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mcp")
from codeact_kernel.events import StepFinished
from codeact_kernel.frontends import mcp_server_kernels
from codeact_kernel.frontends.mcp_server_kernels import ClientKernel, Kernels
from codeact_kernel.outputs import Status
from codeact_kernel.trajectory import Action, Observation, Reply, Step

OK: Status = "ok"
STEP = Step(1, Reply(code="1"), Action("1"), Observation(OK))


class _Agent:
    """Runs nothing."""

    trajectory = None

    def __init__(self, path: Path) -> None:
        self.path = path

    async def stream(self, task: None, cell: str) -> AsyncIterator[StepFinished]:
        yield StepFinished(STEP)

    async def aclose(self) -> None:
        pass


class _Clock:
    """Stands still unless it is set; each sleep of a sweep is one turn of the loop."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.sleeps = 0
        monkeypatch.setattr(mcp_server_kernels.time, "monotonic", lambda: self.now)
        self._sleep = asyncio.sleep
        monkeypatch.setattr(mcp_server_kernels.asyncio, "sleep", self._slept)

    async def _slept(self, seconds: float) -> None:
        self.sleeps += 1
        await self._sleep(0)

    async def swept(self) -> None:
        """Two whole sweeps at least."""
        until = self.sleeps + 3
        while self.sleeps < until:
            await self._sleep(0)


@contextlib.asynccontextmanager
async def sweeping() -> AsyncIterator[Kernels]:
    make: Any = lambda path, asker: _Agent(path)  # noqa: E731  # only `Any` lets it stand for an agent
    kernels = Kernels(make, Path("/nonexistent"), idle_s=60.0, tell=lambda text: None)
    task = asyncio.create_task(kernels.sweep())
    try:
        yield kernels
    finally:
        task.cancel()


async def idle(kernels: Kernels, clock: _Clock) -> ClientKernel:
    found = kernels.of("a")
    await found.run("1")
    clock.now += 61
    await clock.swept()
    assert not found.there
    return found


def test_a_client_is_told_of_its_idle_kernel_however_many_sweeps_come_before_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scene() -> None:
        clock = _Clock(monkeypatch)
        async with sweeping() as kernels:
            found = await idle(kernels, clock)
            clock.now += 3600
            await clock.swept()
            assert kernels.of("a") is found
            assert "the kernel was idle for long" in found.note

    asyncio.run(scene())


def test_what_nobody_comes_for_is_not_kept_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        clock = _Clock(monkeypatch)
        async with sweeping() as kernels:
            told = await idle(kernels, clock)
            clock.now += mcp_server_kernels.KEPT_S + 1
            await clock.swept()
            assert kernels.of("a") is not told
            never_ran = kernels.of("a")
            clock.now += 61
            await clock.swept()
            assert kernels.of("a") is not never_ran

    asyncio.run(scene())
