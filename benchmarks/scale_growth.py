"""Owns what must not grow: a host that opens and closes sessions, hears a gigabyte, takes thousands of steps.

Each is a process of its own (`python scale_growth.py NAME COUNT`), so that no memory that others have left to
the interpreter hides what this one takes; it prints one JSON object.
"""

from __future__ import annotations

import asyncio
import gc
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from statistics import median

from scale_counts import Held, descriptors_of, held, resident
from scale_fleet import SETUP, STARTS_AT_ONCE, Session

from codeact_kernel import Agent, Launcher
from codeact_kernel.collect import Collector
from codeact_kernel.config import Limits, OutputLimits
from codeact_kernel.events import AssistantMessage, ModelRequest, Text
from codeact_kernel.interfaces import Emit
from codeact_kernel.outputs import Finished
from codeact_kernel.sandbox.session import KernelSession, NoCalls
from codeact_kernel.trajectory import Action, Reply, Usage

WARM = 30
"""Sessions, or steps, before the first look: what is allocated once is no growth."""
LINE = 1000
MIB = 1024 * 1024
GROWTH_MIB = 4.0
"""What a host may keep after a thousand sessions: allocators do not give back every page."""
PRINTED_MIB = 50.0
"""What a host may need at most, while a cell prints whatever it likes."""


def apart(name: str, count: int, timeout: float, *more: str) -> dict[str, float]:
    """Runs one of these in a process of its own."""
    command = [sys.executable, __file__, name, str(count), *more]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
    if done.returncode:
        raise RuntimeError(f"{name}: {(done.stderr.strip().splitlines() or ['it said nothing'])[-1][:300]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


# --- sessions opened and closed ----------------------------------------------------------------


def opened_and_closed(count: int, box: str = "inf", *preload: str) -> dict[str, float]:
    """Sessions opened, stepped and closed, as many at once as there are cores, for `box` seconds at most."""
    with Launcher(preload=preload) as launcher:
        launcher.ready()
        return asyncio.run(_opened_and_closed(count, float(box), launcher))


async def _opened_and_closed(count: int, box: float, launcher: Launcher) -> dict[str, float]:
    await _open_and_close(min(WARM, count // 3), math.inf, launcher)
    before, in_launcher, its_mib = settled(), descriptors_of(_launcher()), resident(pid=_launcher())
    began = time.perf_counter()
    opened, lost = await _open_and_close(count, box, launcher)
    seconds = time.perf_counter() - began
    after = settled()
    return {
        "count": opened,
        "seconds": seconds,
        "lost": lost,
        "processes": after.processes - before.processes,
        "descriptors": after.descriptors - before.descriptors,
        "launcher_descriptors": descriptors_of(_launcher()) - in_launcher,
        "folders": after.folders - before.folders,
        "host_mib": after.anonymous - before.anonymous,
        "launcher_mib": resident(pid=_launcher()) - its_mib,
    }


async def _open_and_close(count: int, box: float, launcher: Launcher) -> tuple[int, int]:
    """How many there were, and how many steps were lost."""
    end, left = time.monotonic() + box, iter(range(count))

    async def worker() -> tuple[int, int]:
        opened = lost = 0
        while time.monotonic() < end and next(left, None) is not None:
            session = Session(KernelSession(launcher=launcher))
            await session.session.start(SETUP)
            await session.step()
            await session.session.aclose()
            opened, lost = opened + 1, lost + session.lost
        return opened, lost

    workers = await asyncio.gather(*(worker() for _ in range(STARTS_AT_ONCE)))
    return sum(opened for opened, _ in workers), sum(lost for _, lost in workers)


def settled() -> Held:
    gc.collect()
    return held()


def _launcher() -> int:
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        return int(file.read().split()[0])


# --- a gigabyte of output ----------------------------------------------------------------------


def printed(megabytes: int) -> dict[str, float]:
    return asyncio.run(_printed(megabytes))


async def _printed(megabytes: int) -> dict[str, float]:
    session = KernelSession()
    await session.start(SETUP)
    try:
        counting = Session(session)
        before = [await _timed(counting) for _ in range(WARM)]
        resting = resident()
        forget_peak()
        began = time.perf_counter()
        code = f"line = 'x' * {LINE - 1}\nfor _ in range({megabytes} * {1_000_000 // LINE}):\n    print(line)"
        collector, status = Collector(OutputLimits()), ""
        async with aclosing(session.execute(Action(code), NoCalls())) as outputs:
            async for output in outputs:
                collector.add(output)
                status = output.status if isinstance(output, Finished) else status
        seconds = time.perf_counter() - began
        peak = resident("VmHWM") - resident("VmRSS") + resident() - resting
        kept = sum(len(getattr(shown, "text", "")) for shown in collector.shown())
        after = [await _timed(counting) for _ in range(WARM)]
    finally:
        await session.aclose()
    return {
        "megabytes": megabytes,
        "ok": status == "ok",
        "seconds": seconds,
        "growth_mib": peak,
        "kept_mib": kept / MIB,
        "lost": counting.lost,
        "before": median(before),
        "after": median(after),
        "first_after": after[0],
    }


def forget_peak() -> None:
    """From here on, VmHWM is the peak."""
    Path("/proc/self/clear_refs").write_text("5")


async def _timed(session: Session) -> float:
    began = time.perf_counter()
    await session.step()
    return time.perf_counter() - began


# --- thousands of steps ------------------------------------------------------------------------


class Endless:
    """A model that answers with one more cell, `steps` times; keeps sizes and times, not requests."""

    name = "endless"
    context_window = 60_000
    instructions = ""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self.ours: list[float] = []
        """Seconds from one reply to the next request: the cell, and everything of ours."""
        self.tokens: list[int] = []
        self.resident: list[float] = []
        self._replied = time.perf_counter()

    def cost(self, usage: Usage) -> float | None:
        return 0.0

    async def respond(self, request: ModelRequest, emit: Emit) -> Reply:
        self.ours.append(time.perf_counter() - self._replied)
        self.tokens.append(tokens(request))
        self.resident.append(resident())
        number = len(self.ours)
        reply = Reply(answer="done", raw="done")
        if number <= self._steps:
            code = f"total = globals().get('total', 0) + {number}\\nprint('line of output\\n' * 100, total)"
            usage = Usage(input_tokens=self.tokens[-1], output_tokens=len(code) // 4)
            reply = Reply("One more.", code, raw=f"One more. {code}", call_id=f"c{number}", usage=usage)
        self._replied = time.perf_counter()
        return reply

    async def aclose(self) -> None: ...


def tokens(request: ModelRequest) -> int:
    """As an endpoint would count them, about: four characters each."""
    size = len(request.system)
    for message in request.messages:
        if isinstance(message, AssistantMessage):
            size += len(message.reply.raw)
        else:
            size += sum(len(part.text) for part in message.parts if isinstance(part, Text))
    return size // 4


def conversation(steps: int) -> dict[str, float]:
    """One task of so many steps, recorded and saved, with everything that an agent does."""
    model = Endless(steps)
    unbounded = Limits(max_steps=None, max_seconds=None, max_tokens=None)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "run.ipynb")
        began = time.perf_counter()
        with Agent(model=model, out=out, verify=False, limits=unbounded) as agent:
            run = agent.run_sync("Go on.")
        seconds = time.perf_counter() - began
        notebook = out.stat().st_size / MIB
    tenth = max(1, steps // 10)
    return {
        "steps": run.steps,
        "seconds": seconds,
        "answered": run.stop.reason == "answer",
        "window": model.context_window,
        "most_tokens": max(model.tokens),
        "notebook_mib": notebook,
        "growth_mib": model.resident[-1] - model.resident[min(WARM, steps)],
        "first": median(model.ours[1 : 1 + tenth]),
        "last": median(model.ours[-tenth:]),
    }


KINDS: dict[str, Callable[..., dict[str, float]]] = {
    "opened": opened_and_closed,
    "printed": printed,
    "conversation": conversation,
}

if __name__ == "__main__":
    print(json.dumps(KINDS[sys.argv[1]](int(sys.argv[2]), *sys.argv[3:])))
