"""Owns a fleet: many sessions in one event loop, each stepping once a second; and how large it may get."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import chain
from statistics import median, quantiles

from scale_counts import Held, available, held

from codeact_kernel import Launcher
from codeact_kernel.outputs import Stream
from codeact_kernel.sandbox.session import KernelSession, NoCalls
from codeact_kernel.trajectory import Action
from codeact_kernel.wire.setup import SetupSpec, setup_source

SETUP = setup_source(SetupSpec("scale", (), (), ()))
STARTS_AT_ONCE = os.cpu_count() or 2
EVERY_S = 1.0
CELL = "count = globals().get('count', 0) + 1\nprint(count)"
"""Its output tells that the step ran, that none before it was lost, and that it came back."""


TIMES_ALONE = 10
"""How much slower the 99th percentile may be than the median step of a session that is alone."""
LEVELS = (25, 50, 100, 125, 150, 175, 200, 250, 300, 400)
NEEDED_MIB = 2048
"""That stay free: a machine that swaps measures its disk."""


@dataclass(frozen=True)
class Stepped:
    """`seconds`: of each step, from when it was due. `lost`: steps whose output did not come back whole.
    `cores`: processor time by role, in cores."""

    sessions: int
    seconds: tuple[float, ...]
    lost: int
    cores: Mapping[str, float]
    held: Held

    @property
    def p50(self) -> float:
        return median(self.seconds)

    @property
    def p99(self) -> float:
        return quantiles(self.seconds, n=100, method="inclusive")[-1]

    def holds(self, alone: float) -> bool:
        return not self.lost and self.p99 <= TIMES_ALONE * alone

    def bottleneck(self) -> str:
        """What is nearest to its end, as far as processor time says it."""
        cores, whole = os.cpu_count() or 1, sum(self.cores.values())
        most = max(self.cores, key=lambda name: self.cores[name])
        if self.cores["host"] > 0.8:
            return f"the event loop of the host ({self.cores['host']:.0%} of its one core)"
        return f"processor time: {whole:.2f} of {cores} cores, most of it {most} ({self.cores[most]:.2f})"


class Session:
    """One session that counts its own steps."""

    def __init__(self, session: KernelSession) -> None:
        self.session = session
        self.steps = 0
        self.lost = 0

    async def step(self) -> None:
        self.steps += 1
        text = ""
        async with aclosing(self.session.execute(Action(CELL), NoCalls())) as outputs:
            async for output in outputs:
                if isinstance(output, Stream):
                    text += output.text
        self.lost += text != f"{self.steps}\n"

    async def step_for(self, seconds: float, phase: float) -> list[float]:
        """A step a second. One that is late does not move the next: what waits counts as time of its own."""
        loop = asyncio.get_running_loop()
        due, end, took = loop.time() + phase, loop.time() + seconds, []
        while due < end:
            await asyncio.sleep(max(0.0, due - loop.time()))
            await self.step()
            took.append(loop.time() - due)
            due += EVERY_S
        return took


class Fleet:
    """Sessions that are alive at once. Use as an async context manager."""

    def __init__(self, launcher: Launcher | None = None) -> None:
        self._launcher = launcher
        self.sessions: list[Session] = []

    async def __aenter__(self) -> Fleet:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.shrink(0)

    async def grow(self, to: int) -> float:
        """Seconds that it took, as many starts at once as there are cores."""
        began = time.perf_counter()
        turn = asyncio.Semaphore(STARTS_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for _ in range(to - len(self.sessions)):
                group.create_task(self._open(turn))
        return time.perf_counter() - began

    async def _open(self, turn: asyncio.Semaphore) -> None:
        async with turn:
            session = KernelSession(launcher=self._launcher)
            await session.start(SETUP)
            self.sessions.append(Session(session))

    async def shrink(self, to: int) -> None:
        surplus, self.sessions = self.sessions[to:], self.sessions[:to]
        for one in surplus:
            await one.session.aclose()

    async def step(self, seconds: float, chance: random.Random) -> Stepped:
        """All of them step once a second, each at a moment of its own."""
        await asyncio.gather(*(one.step() for one in self.sessions))  # The first is not like the others.
        before, began = held(), time.perf_counter()
        lost = sum(one.lost for one in self.sessions)
        stepping = (one.step_for(seconds, chance.random() * EVERY_S) for one in self.sessions)
        took = await asyncio.gather(*stepping)
        passed, after = time.perf_counter() - began, held()
        cores = {name: (now - before.seconds.get(name, 0.0)) / passed for name, now in after.seconds.items()}
        lost = sum(one.lost for one in self.sessions) - lost
        return Stepped(len(self.sessions), tuple(chain(*took)), lost, cores, after)


@dataclass(frozen=True)
class Search:
    """`best`: the largest fleet that held the bound; `beyond`: the next, which did not. `alone`: seconds of
    the median step of one session. `why`: what ended the search."""

    alone: float
    best: Stepped | None
    beyond: Stepped | None
    why: str


async def search(launcher: Launcher | None, levels: Sequence[int], seconds: float, box: float) -> Search:
    """Grows one fleet from level to level as long as it holds; what fails is tried a second time.

    Args:
        seconds: that each level steps.
        box: seconds after which no further level begins.
    """
    end, chance = time.monotonic() + box, random.Random(1)
    alone = median(await one_alone(200, launcher))
    best: Stepped | None = None
    async with Fleet(launcher) as fleet:
        for level in levels:
            if time.monotonic() > end:
                return Search(alone, best, None, f"the {box:.0f} s were over")
            if available() < NEEDED_MIB:
                return Search(alone, best, None, f"less than {NEEDED_MIB} MiB were free")
            await fleet.grow(level)
            stepped = await fleet.step(seconds, chance)
            if not stepped.holds(alone):
                stepped = await fleet.step(seconds, chance)
            if not stepped.holds(alone):
                return Search(alone, best, stepped, f"{level} sessions did not hold")
            best = stepped
            print(f"  {level} sessions: p99 {stepped.p99 / alone:.1f} x alone", flush=True)
    return Search(alone, best, None, "there is no further level")


async def one_alone(steps: int, launcher: Launcher | None) -> list[float]:
    """Seconds of a single session's steps, one right after the other: the fastest that it gets."""
    async with Fleet(launcher) as fleet:
        await fleet.grow(1)
        (session,) = fleet.sessions
        took = []
        for _ in range(steps):
            began = time.perf_counter()
            await session.step()
            took.append(time.perf_counter() - began)
        return took[steps // 5 :]
