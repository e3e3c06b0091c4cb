"""Owns scale: how many sessions one host holds, and what does not grow with time and output.

**Alive at once.** One process, one event loop, N sessions that are forks of a launcher, each in its cage and
watched. Each steps once a second, at a moment of its own: `count` goes up by one and is printed, so that a
step that was lost, or an output that did not come, shows. The clock of a step begins when it is due, so that
waiting for other sessions counts. It is held against the median of a session that has the machine to itself
and steps without a pause, which is the fastest that there is. N grows until the 99th percentile is more than
ten times that (what fails is tried twice) or the time is over. Memory is that of all processes, with their
part of what is shared.

**Opened and closed**: sessions that start, step and end, two at a time; then processes, descriptors, folders
and memory are counted as before. **A gigabyte printed** by one cell: the peak of the host's memory, kept
outputs included, and the steps after it. **Two thousand steps** of one task, by a model with a small window:
the largest request, the notebook, the host's memory, and a step at the end against one at the beginning.

`--sessions N --seconds S`: that fleet alone. `--opened N`, `--printed MB`, `--steps N`: other sizes.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import random
import resource
from statistics import median

from measure import Figure, Missing, Row, show
from scale_fleet import LEVELS, TIMES_ALONE, Fleet, Search, Stepped, one_alone, search
from scale_growth import GROWTH_MIB, PRINTED_MIB, apart

from codeact_kernel import Launcher

ALIVE, OPENED, PRINTED, STEPS = (
    "Sessions alive at once",
    "Opened and closed",
    "A gigabyte printed",
    "Many steps",
)
GOAL = 200
LEVEL_S = 8.0
LIBRARIES = ("numpy", "pandas", "matplotlib.pyplot")
BOX_S = 80.0
OPENED_S = 75.0


def measure(quick: bool) -> list[Row]:
    opened, megabytes, steps = (10, 16, 40) if quick else (1000, 1000, 2000)
    levels, seconds, box = ((4, 8), 2.0, 10.0) if quick else (LEVELS, LEVEL_S, BOX_S)
    rows: list[Row] = []
    with Launcher(LIBRARIES) as launcher:
        if problem := launcher.ready():
            rows.append(Missing("sessions that are forks", problem, ALIVE))
        rows += alive(asyncio.run(search(launcher, levels, seconds, box)), levels)
    for part in (lambda: closed(opened, OPENED_S), lambda: printed(megabytes), lambda: many_steps(steps)):
        rows += part()
    return rows


def alive(found: Search, levels: tuple[int, ...]) -> list[Row]:
    if found.best is None:
        said = "" if found.beyond is None else f": {described(found.beyond, found.alone)}"
        return [Missing("sessions alive at once", f"{found.why}{said}", ALIVE)]
    beyond = "" if found.beyond is None else f"; {described(found.beyond, found.alone)}"
    goal = GOAL if max(levels) >= GOAL else None
    ended = f"ended because {found.why}{beyond}; nearest to its end: {found.best.bottleneck()}"
    return [
        Figure(
            "each stepping once a second", found.best.sessions, "sessions", goal, "at least", ended, ALIVE
        ),
        *fleet_rows(found.best, found.alone),
    ]


def described(stepped: Stepped, alone: float) -> str:
    return f"at {stepped.sessions}, p99 {stepped.p99 / alone:.1f} x alone, {stepped.lost} steps lost"


def fleet_rows(stepped: Stepped, alone: float) -> list[Row]:
    name, count = f"{stepped.sessions} sessions: ", stepped.sessions
    memory = {of: mib for of, mib in stepped.held.memory.items() if of not in ("host", "launcher")}
    parts = ", ".join(f"{of} {mib / count:.1f}" for of, mib in memory.items())
    whole = sum(stepped.held.memory.values()) / 1024
    times = f"p50 {stepped.p50 * 1e3:.1f} ms, p99 {stepped.p99 * 1e3:.1f} ms, alone {alone * 1e3:.1f} ms"
    cores = ", ".join(f"{of} {share:.2f}" for of, share in stepped.cores.items() if share >= 0.005)
    return [
        Figure(
            f"{name}p99 by the median alone", stepped.p99 / alone, "x", TIMES_ALONE, note=times, group=ALIVE
        ),
        Figure(f"{name}outputs lost", stepped.lost, f"of {len(stepped.seconds)}", 0, group=ALIVE),
        Figure(f"{name}processor time", sum(stepped.cores.values()), "cores", note=cores, group=ALIVE),
        Figure(f"{name}memory of all processes", whole, "GiB", note=f"MiB each: {parts}", group=ALIVE),
        Figure(f"{name}descriptors of the host", stepped.held.descriptors, "open", group=ALIVE),
    ]


def closed(count: int, box: float) -> list[Row]:
    try:
        found = apart("opened", count, 60 + count, str(box), *LIBRARIES)
    except Exception as problem:
        return [Missing(f"{count} sessions opened and closed", str(problem), OPENED)]
    opened = found["count"]
    name, rate = f"{opened:,.0f} sessions: ", f"{opened / found['seconds']:.1f} a second"
    left = {
        "processes": "processes",
        "descriptors of the host": "descriptors",
        "descriptors of the launcher": "launcher_descriptors",
        "folders": "folders",
        "outputs lost": "lost",
    }
    memory = {"memory of the host": "host_mib", "memory of the launcher": "launcher_mib"}
    over = f"the {box:.0f} s were over; {rate}" if opened < count else rate
    return [
        Figure("opened and closed", opened, "sessions", count, "at least", over, OPENED),
        *(Figure(name + what, found[key], "left", 0, group=OPENED) for what, key in left.items()),
        *(Figure(name + what, found[key], "MiB", GROWTH_MIB, group=OPENED) for what, key in memory.items()),
    ]


def printed(megabytes: int) -> list[Row]:
    try:
        found = apart("printed", megabytes, timeout=60 + megabytes / 5)
    except Exception as problem:
        return [Missing(f"{megabytes} MB printed", str(problem), PRINTED)]
    name = f"{megabytes:,} MB: "
    kept = f"{found['kept_mib']:.1f} MiB of it are kept; {found['seconds']:.1f} s"
    ended = "" if found["ok"] else "; the cell did not end by itself"
    times = (
        f"the first after it {found['first_after'] * 1e3:.1f} ms, as before it {found['before'] * 1e3:.1f} ms"
    )
    return [
        Figure(
            f"{name}growth of the host",
            found["growth_mib"],
            "MiB",
            PRINTED_MIB,
            note=kept + ended,
            group=PRINTED,
        ),
        Figure(
            f"{name}steps after it by steps before",
            found["after"] / found["before"],
            "x",
            1.5,
            note=times,
            group=PRINTED,
        ),
        Figure(f"{name}outputs lost after it", found["lost"], "steps", 0, group=PRINTED),
    ]


def many_steps(steps: int) -> list[Row]:
    try:
        found = apart("conversation", steps, timeout=60 + steps / 5)
    except Exception as problem:
        return [Missing(f"{steps} steps", str(problem), STEPS)]
    name = f"{found['steps']:,.0f} steps: "
    times = f"{found['first'] * 1e3:.1f} ms early, {found['last'] * 1e3:.1f} ms late, the cell included"
    each, held = (found[key] * 1024 / found["steps"] for key in ("notebook_mib", "growth_mib"))
    taken = f"{held:.1f} KiB a step: the trajectory keeps what it showed"
    return [
        Figure(
            f"{name}largest request",
            found["most_tokens"],
            "tokens",
            found["window"],
            note="the window",
            group=STEPS,
        ),
        Figure(f"{name}growth of the host", found["growth_mib"], "MiB", note=taken, group=STEPS),
        Figure(f"{name}notebook", found["notebook_mib"], "MiB", note=f"{each:.1f} KiB a step", group=STEPS),
        Figure(
            f"{name}a late step by an early one",
            found["last"] / found["first"],
            "x",
            1.5,
            note=times,
            group=STEPS,
        ),
    ]


def one_fleet(sessions: int, seconds: float) -> None:
    async def run() -> list[Row]:
        with Launcher(LIBRARIES) as launcher:
            print(launcher.ready(), end="")
            alone = median(await one_alone(200, launcher))
            async with Fleet(launcher) as fleet:
                started = await fleet.grow(sessions)
                stepped = await fleet.step(seconds, random.Random(1))
            print(f"started in {started:.1f} s; nearest to its end: {stepped.bottleneck()}")
            return fleet_rows(stepped, alone)

    show_rows(asyncio.run(run()))


def show_rows(rows: list[Row]) -> None:
    for row in rows:
        print(row.row())


def main() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (most, most)
    )  # 1,024, as is usual, are enough for 130 sessions.
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--sessions", type=int)
    parser.add_argument("--seconds", type=float, default=20.0)
    for name in ("opened", "printed", "steps"):
        parser.add_argument(f"--{name}", type=int)
    asked, _ = parser.parse_known_args()
    if asked.sessions:
        one_fleet(asked.sessions, asked.seconds)
    elif asked.opened:
        show_rows(closed(asked.opened, math.inf))
    elif asked.printed:
        show_rows(printed(asked.printed))
    elif asked.steps:
        show_rows(many_steps(asked.steps))
    else:
        show(measure)


if __name__ == "__main__":
    main()
