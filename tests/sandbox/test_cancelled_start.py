"""Who stops a start is heard, also in the moment in which what it waits for has come.

`asyncio.wait_for` of Python 3.11 loses a cancellation then, and the run goes on as if nobody had said so.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from codeact_kernel.config import SandboxProfile
from codeact_kernel.sandbox.confine.policy import Report
from codeact_kernel.sandbox.folders import SessionFolder
from codeact_kernel.sandbox.forked import Order, _readable
from codeact_kernel.sandbox.launching import Launcher, kernel_for
from codeact_kernel.sandbox.process import KernelProcess


class Coming(Order):
    """An order whose report comes in the moment in which `stop` is called."""

    def __init__(self) -> None:
        self.stop: Callable[[], object] = lambda: None
        self.pid = 1
        self.closed = False

    async def report(self) -> Report | None:
        loop = asyncio.get_running_loop()
        come: asyncio.Future[None] = loop.create_future()
        loop.call_soon(come.set_result, None)
        loop.call_soon(self.stop)
        await come
        return Report()

    def close(self, *, folder: bool = True) -> None:
        self.closed = True


class OneOrder(Launcher):
    def __init__(self, order: Order) -> None:
        self._order = order

    def fork(self, folder: SessionFolder, profile: SandboxProfile) -> Order | str:
        return self._order


async def cancelled(work: Coroutine[Any, Any, object], coming: Coming) -> bool:
    task = asyncio.create_task(work)
    coming.stop = task.cancel
    await asyncio.wait([task])
    return task.cancelled()


def test_a_kernel_whose_start_is_stopped_as_its_report_comes() -> None:
    async def scene() -> bool:
        coming = Coming()
        return await cancelled(KernelProcess(coming).start(), coming)

    assert asyncio.run(scene())


def test_a_fork_that_is_stopped_as_its_report_comes(tmp_path: Any) -> None:
    async def scene() -> tuple[bool, bool]:
        coming, folder = Coming(), SessionFolder(SandboxProfile(workspace=tmp_path))
        try:
            return await cancelled(
                kernel_for(folder, SandboxProfile(), OneOrder(coming)), coming
            ), coming.closed
        finally:
            folder.remove()

    assert asyncio.run(scene()) == (True, True)


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    try:
        yield ends
    finally:
        for end in ends:
            os.close(end)


@pytest.mark.parametrize("seconds", [None, 60.0])
def test_what_is_stopped_as_a_descriptor_becomes_readable(seconds: float | None) -> None:
    async def scene(reader: int, writer: int, other: int, signal: int) -> bool:
        loop = asyncio.get_running_loop()
        task = asyncio.create_task(_readable(reader, seconds))
        loop.add_reader(other, task.cancel)
        await asyncio.sleep(0)
        os.write(writer, b"x")  # Both are heard in one round of the loop, in this order.
        os.write(signal, b"x")
        await asyncio.wait([task])
        loop.remove_reader(other)
        return task.cancelled()

    with pipe() as first, pipe() as second:
        assert asyncio.run(scene(*first, *second))
