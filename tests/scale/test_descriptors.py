"""A host that has no descriptors left says so before a session begins, and the sessions it has go on."""

from __future__ import annotations

import asyncio
import random
import resource
from collections.abc import Iterator

import pytest
from scale_counts import held
from scale_fleet import SETUP, Fleet

from codeact_kernel import Launcher
from codeact_kernel.exceptions import SandboxError
from codeact_kernel.sandbox.descriptors import NEEDED
from codeact_kernel.sandbox.session import KernelSession

pytestmark = pytest.mark.kernel


@pytest.fixture
def no_more_than_there_are() -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.usefixtures("no_more_than_there_are")
def test_one_session_too_many() -> None:
    before = held()
    asyncio.run(one_too_many())
    after = held()
    assert (after.processes, after.descriptors, after.folders) == (
        before.processes,
        before.descriptors,
        before.folders,
    )


async def one_too_many() -> None:
    with Launcher(preload=()) as launcher:
        assert launcher.ready() == ""
        async with Fleet(launcher) as fleet:
            await fleet.grow(1)
            now = held()
            _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (now.descriptors + NEEDED // 2, hard))
            session = KernelSession(launcher=launcher)
            with pytest.raises(SandboxError, match=f"needs {NEEDED} file descriptors .* are left.*ulimit -n"):
                await session.start(SETUP)
            await session.aclose()
            stepped = await fleet.step(1.0, random.Random(1))
            assert stepped.lost == 0
            assert (stepped.held.processes, stepped.held.folders) == (now.processes, now.folders)
