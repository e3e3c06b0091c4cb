"""Small versions of benchmarks/scale.py: nothing is left behind, nothing is lost, and nothing grows."""

from __future__ import annotations

import asyncio
import random

import pytest
from scale_counts import held
from scale_fleet import Fleet
from scale_growth import GROWTH_MIB, PRINTED_MIB, apart

from codeact_kernel import Launcher

pytestmark = pytest.mark.kernel
PATIENCE_S = 120.0


def test_thirty_sessions_opened_and_closed_leave_nothing() -> None:
    found = apart("opened", 30, PATIENCE_S, "inf")
    exact = ("lost", "processes", "descriptors", "launcher_descriptors", "folders")
    assert {name: found[name] for name in exact} == dict.fromkeys(exact, 0)
    assert found["host_mib"] < GROWTH_MIB
    assert found["launcher_mib"] < GROWTH_MIB


def test_output_without_end_is_not_the_host_s_to_hold() -> None:
    found = apart("printed", 64, PATIENCE_S)
    assert found["ok"]
    assert found["lost"] == 0
    assert found["growth_mib"] < PRINTED_MIB
    assert 1 < found["kept_mib"] < 9


def test_two_hundred_steps_in_a_small_window() -> None:
    found = apart("conversation", 200, PATIENCE_S)
    assert found["answered"]
    assert found["steps"] == 200
    assert found["most_tokens"] < found["window"]
    assert found["growth_mib"] < 16
    assert found["notebook_mib"] < 200 * 8 / 1024


def test_sessions_side_by_side_lose_nothing() -> None:
    async def step() -> None:
        with Launcher(preload=()) as launcher:
            async with Fleet(launcher) as fleet:
                await fleet.grow(4)
                stepped = await fleet.step(2.0, random.Random(1))
                assert stepped.lost == 0
                assert len(stepped.seconds) >= 4
                assert stepped.held.folders == before.folders + 5
                for one in fleet.sessions:
                    assert one.session._mailbox is not None
                    assert len(one.session._mailbox._signatures._seen) < 20, "of one cell, not of all"
        now = held()
        assert (now.folders, now.processes) == (before.folders, before.processes)

    before = held()
    asyncio.run(step())
