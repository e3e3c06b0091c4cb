"""Owns the CPU-bound cell: the same loop in a cell of ours, in plain CPython and in two interpreters' hands.

By processor time, so that a busy machine counts less. Against CPython: the minimum of 15 runs each, in turn.
smolagents interprets the tree of a program in the host's process; it gets a tenth of the loop, since it stops
a program after ten million operations, and so do we in that comparison. Its own time limit is off.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys

from measure import Figure, Missing, Ratio, Row, ratio_of, show
from peer import PEERS

from codeact_kernel.outputs import Stream
from codeact_kernel.sandbox.session import KernelSession, NoCalls
from codeact_kernel.trajectory import Action
from codeact_kernel.wire.setup import SetupSpec, setup_source

TARGET = 1.03
TIMES_SMOLAGENTS = 50.0
RUNS = 15
GROUP = "A CPU-bound cell"
WORK = """
def work(n):
    total = 0
    for i in range(n):
        total += i * i % 7
    return total
"""
LONG, SHORT = 2_000_000, 200_000
TIMED = "import time\nt = time.process_time()\nwork({n})\nprint(time.process_time() - t)"
SMOLAGENTS = "smolagents' LocalPythonExecutor"


def measure(quick: bool) -> list[Row]:
    runs = 3 if quick else RUNS
    ours, plain, short = asyncio.run(_measure(runs))
    ratio: Ratio = ratio_of(
        f"the loop, {LONG:,} rounds, minimum of {runs}",
        [(min(ours), min(plain))],
        TARGET,
        group=GROUP,
        note="one pair: a minimum has no median",
    )
    return [ratio, *(_against(name, min(short), quick) for name in (SMOLAGENTS, "Monty"))]


async def _measure(runs: int) -> tuple[list[float], list[float], list[float]]:
    session = KernelSession()
    await session.start(setup_source(SetupSpec("bench", (), (), ())))
    ours, plain, short = [], [], []
    try:
        await _cell(session, WORK)
        for _ in range(runs):
            ours.append(float(await _cell(session, TIMED.format(n=LONG))))
            program = [sys.executable, "-c", WORK + TIMED.format(n=LONG)]
            plain.append(float(subprocess.run(program, capture_output=True, check=True).stdout))  # noqa: ASYNC221  # nothing else runs
            short.append(float(await _cell(session, TIMED.format(n=SHORT))))
    finally:
        await session.aclose()
    return ours, plain, short


async def _cell(session: KernelSession, code: str) -> str:
    shown = [output async for output in session.execute(Action(code), NoCalls())]
    return "".join(output.text for output in shown if isinstance(output, Stream))


def _against(name: str, ours: float, quick: bool) -> Row:
    """How many times as long the peer takes, at its fastest of three."""
    peer = PEERS[name]
    if peer.problem is not None:
        return Missing(f"the loop against {name}", peer.problem, GROUP)
    with peer.start() as driven:
        driven.begin(WORK)
        answers = [driven.step(f"work({SHORT})") for _ in range(1 if quick else 3)]
    expected = str(sum(i * i % 7 for i in range(SHORT)))
    if any(answer.head != expected for answer in answers):
        raise RuntimeError(f"{name} says {answers[0].head!r}, not {expected}")
    # Monty computes in a process of its own, whose time its driver's does not contain.
    theirs = min(answer.cpu if name == SMOLAGENTS else answer.seconds for answer in answers)
    times = f"{theirs * 1e3:,.0f} ms against {ours * 1e3:.1f} ms, {SHORT:,} rounds"
    target = TIMES_SMOLAGENTS if name == SMOLAGENTS else None
    return Figure(
        f"{name}: how many times our time", theirs / ours, "times", target, "at least", times, GROUP
    )


if __name__ == "__main__":
    show(measure)
