"""Owns the start: until the first result with numpy, pandas and matplotlib, and what an idle session weighs.

The baseline is at its best: a stock ipykernel over ipc, connected the moment its sockets are there, and its
cell sent without asking first whether it is ready. Ours is `KernelSession` in three ways (cold; a fork of a
launcher that has imported the libraries; a spare that is ready), each in the tiers that this machine gives,
with the cage, its self-test and the setup cell. All run the same cell, which imports the three and uses each,
in rounds: one start of each, in random order. What a launcher does before the first session is a figure of
its own. On a busy machine the processor time of a start says more than the clock, so it is beside it.

Memory is the unique set size (USS, from smaps_rollup) of all processes of a session that idles (supervisor,
bubblewrap, kernel), when the three are imported and again when each was used. It is measured while a stock
kernel and a launcher live as well, so that the files that they map count for neither.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from measure import Figure, Missing, Row, bounded, paired, ratio_of, show
from plain import Plain
from processes import below, computed, quiet, unique

from codeact_kernel import Launcher
from codeact_kernel.config import SandboxProfile, Settings
from codeact_kernel.exceptions import SandboxError, UsageError
from codeact_kernel.outputs import Finished, Stream
from codeact_kernel.sandbox.session import KernelSession, NoCalls
from codeact_kernel.trajectory import Action
from codeact_kernel.wire.setup import SetupSpec, setup_source

TARGET, STRETCH = 1 / 10, 1 / 15
SPARE_TARGET, MEMORY_TARGET = 3.0, 1 / 3
TIERS = ("A", "B")
WITHOUT: dict[str, tuple[str, ...]] = {"B": ("namespaces",)}
"""What is switched off to get a tier."""
LIBRARIES = ("numpy", "pandas", "matplotlib.pyplot")
IMPORTS = f"import {', '.join(LIBRARIES)}"
USE = f"""{IMPORTS}
frame = pandas.DataFrame({{"x": numpy.arange(100.0), "y": numpy.arange(100.0) ** 2}})
figure, axes = matplotlib.pyplot.subplots()
axes.plot(frame["x"], frame["y"])
matplotlib.pyplot.close(figure)
mean = float(frame["y"].mean())"""
MEAN = "3283.5"
SETUP = setup_source(SetupSpec("bench", (), (), ()))
ROUNDS_S, COLD_EVERY = 45.0, 3
"""Rounds: a cold start is dear, and nothing is claimed of it."""
MEMORY = "Memory of an idle session"
START = "Session start to first result"


@dataclass(frozen=True)
class Way:
    """How a session of ours comes to be: "cold", "fork" or "spare", in a tier."""

    start: str
    tier: str

    @property
    def settings(self) -> Settings:
        return Settings(profile=SandboxProfile(sandbox=self.tier, without=WITHOUT.get(self.tier, ())))


class Cost:
    """Seconds from its making until `stop`: on the clock, and of processors, this one and all below it."""

    def __init__(self) -> None:
        self.processor = -_spent()
        self.wall = -time.perf_counter()

    def stop(self) -> None:
        self.wall += time.perf_counter()
        self.processor += _spent()


def _spent() -> float:
    return time.process_time() + computed(below())


class Ours:
    """Sessions that start in one way. Refuses to measure another one."""

    def __init__(self, way: Way, runner: asyncio.Runner, launcher: Launcher | None) -> None:
        self.way, self._run, self._launcher = way, runner.run, launcher

    def begin(self) -> KernelSession:
        session = KernelSession(self.way.settings, launcher=self._launcher)
        self._run(session.start(SETUP))
        return session

    def cell(self, session: KernelSession, code: str) -> str:
        return self._run(_cell(session, code))

    def step(self, session: KernelSession, code: str) -> float:
        started = time.perf_counter()
        self.cell(session, code)
        return time.perf_counter() - started

    def end(self, session: KernelSession) -> None:
        self._run(session.aclose())

    def seconds(self, code: str = USE) -> float:
        """From nothing to the first result."""
        return self.cost(code).wall

    def cost(self, code: str = USE) -> Cost:
        quiet()  # What the last session left, and the making of the next spare, are over.
        cost = Cost()
        session = self.begin()
        try:
            printed = self.cell(session, f"{code}\nprint({'mean' if code == USE else repr(MEAN)})")
            cost.stop()
            self._check(session, printed)
        finally:
            self.end(session)
        return cost

    def _check(self, session: KernelSession, printed: str) -> None:
        report = session.report
        if (report.start, report.tier) != (self.way.start, self.way.tier):
            raise SandboxError(
                f"wanted {self.way}, got {report.start!r} in tier {report.tier!r}: {report.remarks}"
            )
        assert printed.strip() == MEAN, printed


async def _cell(session: KernelSession, code: str) -> str:
    """What it printed; raises when it failed."""
    printed = ""
    async for output in session.execute(Action(code), NoCalls()):
        if isinstance(output, Stream):
            printed += output.text
        if isinstance(output, Finished):
            assert output.status == "ok", printed
    return printed


def plain_cost() -> Cost:
    quiet()
    cost = Cost()
    with Plain() as plain:
        mean = plain.value(USE, "mean")
        cost.stop()
    assert mean == MEAN, mean
    return cost


# --- the ways there are ---


def ways(runner: asyncio.Runner, stack: ExitStack) -> tuple[list[Ours], list[Row]]:
    """Each way that works here, after one start that reads everything from the disk; why others do not."""
    found, missing = list[Ours](), list[Row]()
    forks = stack.enter_context(Launcher(preload=LIBRARIES))
    for way in (Way(start, tier) for tier in TIERS for start in ("cold", "fork", "spare")):
        try:
            launcher = _pool(way, stack) if way.start == "spare" else forks if way.start == "fork" else None
            found.append(Ours(way, runner, launcher))
            found[-1].seconds()
        except (SandboxError, UsageError) as problem:
            missing.append(Missing(way.start, str(problem), START, way.tier))
            del found[-1:]
    return found, missing


def _pool(way: Way, stack: ExitStack) -> Launcher:
    """A launcher that keeps spares for this way. Raises SandboxError, UsageError."""
    launcher = stack.enter_context(Launcher(preload=LIBRARIES, spares=2, profile=way.settings.profile))
    problem = launcher.ready()
    if problem:
        raise SandboxError(problem)
    return launcher


# --- the rows ---


def measure(quick: bool) -> list[Row]:
    with asyncio.Runner() as runner, ExitStack() as stack:
        there, rows = ways(runner, stack)
        rows = [*_starts(there, 2 if quick else 9), *rows]
        rows += _from_the_pool([ours for ours in there if ours.way.start == "spare"], quick)
        rows += _memory([ours for ours in there if ours.way.start != "spare"], quick)
    return [*rows, *_launcher()]


def _starts(there: list[Ours], rounds: int) -> Iterator[Row]:
    """One start of each a round, in random order; every one of ours against the plain one of its round."""
    chance = random.Random(3)
    found: dict[Way, list[tuple[Cost, Cost]]] = {ours.way: [] for ours in there}
    plain_cost()
    for number in bounded(rounds, ROUNDS_S, COLD_EVERY):
        turns = [ours for ours in there if ours.way.start != "cold" or number % COLD_EVERY == 0]
        costs = {
            ours and ours.way: ours.cost() if ours else plain_cost()
            for ours in chance.sample([None, *turns], len(turns) + 1)
        }
        for ours in turns:
            found[ours.way].append((costs[ours.way], costs[None]))
    for way, pairs in found.items():
        name, tier = f"{way.start}, imports and a use of each", way.tier
        target, note = (None, "") if way.start == "cold" else (TARGET, f"stretch: {STRETCH:.3f}")
        walls = [(ours.wall, plain.wall) for ours, plain in pairs]
        yield ratio_of(name, walls, target, group=START, tier=tier, note=note)
        if way.start == "fork":
            spent = [(ours.processor, plain.processor) for ours, plain in pairs]
            yield ratio_of(f"{name}: processor time", spent, None, group=START, tier=tier)


def _from_the_pool(spares: list[Ours], quick: bool) -> list[Row]:
    """A spare until its first result, against one warm cell of a stock kernel that has run for long."""
    rows = list[Row]()
    cells = (
        ("imports, against a warm `pass`", IMPORTS, "pass", SPARE_TARGET, 21),
        ("imports and a use of each, against the same cell, warm", USE, USE, None, 5),
    )
    with Plain() as plain:
        for code in ["pass"] * 30 + [USE] * 3:
            plain.step(code)
        for name, code, warm, target, pairs in cells:
            for ours in spares:
                both = partial(ours.seconds, code), partial(plain.step, warm)
                row = f"spare, {name}"
                tier = ours.way.tier
                rows.append(paired(row, *both, 2 if quick else pairs, target, group=START, tier=tier))
    return rows


def _memory(there: list[Ours], quick: bool) -> list[Row]:
    rows = list[Row]()
    with Launcher(preload=LIBRARIES) as launcher:  # Maps the libraries, beside a cold start too.
        launcher.ready()
        for ours in there:
            forked, tier = ours.way.start == "fork", ours.way.tier
            imported, used = zip(
                *(weights(ours) for _ in range(3 if forked and not quick else 1)), strict=True
            )
            target = MEMORY_TARGET if forked else None
            name = ours.way.start
            rows += [
                ratio_of(f"{name}, imports", imported, target, group=MEMORY, tier=tier, unit="MiB"),
                ratio_of(f"{name}, after a use of each", used, None, group=MEMORY, tier=tier, unit="MiB"),
            ]
    return rows


def weights(ours: Ours) -> tuple[tuple[float, float], tuple[float, float]]:
    """MiB of a session of ours and of a stock kernel, both alive and idle: with the imports, and used."""
    quiet()
    before = below()
    session = ours.begin()
    own = below() - before
    try:
        with Plain() as plain:
            found = []
            for code in (IMPORTS, USE):
                ours.cell(session, code)
                plain.step(code)
                quiet()
                found.append((unique(own), unique(below() - before - own)))
            return found[0], found[1]
    finally:
        ours.end(session)


def _launcher() -> list[Row]:
    """What a host pays once for all its forks."""
    before, started = below(), time.perf_counter()
    with Launcher(preload=LIBRARIES) as launcher:
        if launcher.ready():
            return []
        ready = (time.perf_counter() - started) * 1e3
        weight = unique(below() - before)
    return [
        Figure("the launcher, once a host: until it is ready", ready, "ms", group=START),
        Figure("the launcher, once a host", weight, "MiB", group=MEMORY),
    ]


if __name__ == "__main__":
    show(measure)
