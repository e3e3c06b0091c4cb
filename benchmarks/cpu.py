"""Owns the CPU-bound cell: the same loop in a cell and in plain CPython, by process time."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from measure import Ratio, ratio_of

from codeact_kernel.outputs import Stream
from codeact_kernel.sandbox.session import KernelSession, NoCalls
from codeact_kernel.trajectory import Action
from codeact_kernel.wire.setup import SetupSpec, setup_source

TARGET = 1.05
RUNS = 15
WORK = """
def work():
    total = 0
    for i in range(2_000_000):
        total += i * i % 7
    return total
"""
CELL = "import time\nt = time.process_time()\nwork()\nprint(time.process_time() - t)"


def measure_cpu() -> list[Ratio]:
    """The minimum of `RUNS`, interleaved; one pair, since the minimum is the steady figure."""
    ours, plain = asyncio.run(_measure())
    return [ratio_of(f"CPU-bound cell (minimum of {RUNS})", [(min(ours), min(plain))], TARGET)]


async def _measure() -> tuple[list[float], list[float]]:
    session = KernelSession()
    await session.start(setup_source(SetupSpec("bench", (), (), ())))
    ours, plain = [], []
    try:
        await _cell(session, WORK)
        for _ in range(RUNS):
            ours.append(float(await _cell(session, CELL)))
            program = [sys.executable, "-c", WORK + CELL]
            plain.append(float(subprocess.run(program, capture_output=True, check=True).stdout))  # noqa: ASYNC221  # nothing else runs
    finally:
        await session.aclose()
    return ours, plain


async def _cell(session: KernelSession, code: str) -> str:
    shown = [output async for output in session.execute(Action(code), NoCalls())]
    return "".join(output.text for output in shown if isinstance(output, Stream))


if __name__ == "__main__":
    print(Path(__file__).name, *(ratio.row() for ratio in measure_cpu()), sep="\n")
