"""Owns the soak test: many minutes of everything that a host does, and what is left of it afterwards.

In one process: sessions that stay and step once a second; sessions that come, take some steps and go, by
fork, from the spares and cold; sessions whose cells kill their kernel, never end or flood the host, and that
are restarted; agents that run tasks with tools, save them and replay them. Every step has an answer that is
known, and is looked at. Once a minute is written down what the host holds; at the end everything is closed,
and processes, descriptors, folders and memory are counted again.

`python benchmarks/soak.py --minutes 20 --save` is the test whose result is in SOAK.md. It is not part of CI.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import platform
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from scale_counts import held
from scale_fleet import SETUP

from codeact_kernel import Agent, Launcher, ScriptedModel
from codeact_kernel.collect import Collector
from codeact_kernel.config import Limits, OutputLimits, SandboxProfile, Settings
from codeact_kernel.outputs import Finished
from codeact_kernel.sandbox.session import KernelSession, NoCalls
from codeact_kernel.trajectory import Action

RESIDENTS = 8
ANSWER = "5050, identical"
WARM_S = 60.0
"""Until growth is counted: everything has happened a few times by then."""
GROWTH_MIB = 8.0
"""What the host may have gained at the end, over what it held when it was warm."""
IMPATIENT = Settings(limits=Limits(step_timeout_s=5.0, interrupt_grace_s=5.0))
WITHOUT_NAMESPACES = Settings(profile=SandboxProfile(without=("namespaces",)))
RESULT = Path(__file__).with_name("SOAK.md")
SAMPLE_HEAD = (
    "| minute | steps | sessions | agents | wrong | host, MiB | launcher, MiB | descriptors | processes "
    "| load |\n"
    "|---|---|---|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True)
class Cell:
    """What it must come to. `text`: None where it does not matter."""

    code: str
    status: str = "ok"
    text: str | None = None
    size: int | None = None


HARMLESS = (
    Cell("print(sum(range(1000)))", text="499500\n"),
    Cell("import pandas\nprint(len(pandas.DataFrame({'x': range(500)})))", text="500\n"),
    Cell(
        "with open('kept', 'w') as file:\n    file.write('x' * 5000)\nprint(len(open('kept').read()))",
        text="5000\n",
    ),
    Cell("1 / 0", "error"),
    Cell("print('x' * 100_000)", size=100_001),
    Cell("import asyncio\nawait asyncio.sleep(0.05)\nprint('slept')", text="slept\n"),
)
TROUBLE = (
    Cell("import os\nos._exit(3)", "killed"),
    Cell("while True:\n    pass", "timeout"),
    Cell("sum(range(10**13))", "killed"),  # No signal is looked at before its end.
    Cell("for _ in range(20_000):\n    print('x' * 999)"),
)


@dataclass
class Soak:
    """What has happened so far. `wrong`: steps that came to something else, and how often."""

    launcher: Launcher
    end: float
    chance: random.Random = field(default_factory=lambda: random.Random(1))
    done: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    samples: list[str] = field(default_factory=list)
    warm: float | None = None
    began: float = field(default_factory=time.monotonic)

    @property
    def over(self) -> bool:
        return time.monotonic() >= self.end

    # --- what goes on ---

    async def stays(self) -> None:
        async with self.session(Settings()) as session:
            number = 0
            while not self.over:
                number += 1
                await self.step(
                    session,
                    Cell("number = globals().get('number', 0) + 1\nprint(number)", text=f"{number}\n"),
                )
                await self.step(session, self.chance.choice(HARMLESS))
                await asyncio.sleep(1)

    async def comes_and_goes(self) -> None:
        while not self.over:
            settings = self.chance.choice((Settings(), Settings(), WITHOUT_NAMESPACES))
            async with self.session(settings, cold=self.chance.random() < 0.1) as session:
                for _ in range(self.chance.randrange(1, 5)):
                    await self.step(session, self.chance.choice(HARMLESS))
            await asyncio.sleep(0.5)

    async def makes_trouble(self) -> None:
        while not self.over:
            async with self.session(IMPATIENT, setup="pass") as session:
                for cell in self.chance.sample(TROUBLE, 2):
                    if await self.step(session, cell) == "killed":
                        await session.restart()
                    await self.step(session, HARMLESS[0])
            await asyncio.sleep(2)

    async def agents(self) -> None:
        with tempfile.TemporaryDirectory(prefix="soak-") as folder:
            number = 0
            while not self.over:
                number += 1
                answer = await asyncio.to_thread(self.task, Path(folder, f"{number}.ipynb"))
                self.done["agents"] += 1
                self.wrong[f"an agent: {answer}"] += answer != ANSWER
                await asyncio.sleep(2)

    def task(self, out: Path) -> str:
        """One run of an agent with a tool, saved and replayed; its answer and the verdict."""
        calls = "total = sum(double(n) for n in range(1, 101)) // 2\nprint(total)"
        model = ScriptedModel([{"code": calls}, {"code": "final_answer(total)"}])
        with Agent(model=model, tools=[double], out=out, launcher=self.launcher) as agent:
            run = agent.run_sync("Add up the numbers to 100.")
            verdict = run.verified_sync()
        out.unlink()
        return f"{run.answer}, {verdict.status}"

    # --- how ---

    @asynccontextmanager
    async def session(
        self, settings: Settings, *, cold: bool = False, setup: str = SETUP
    ) -> AsyncIterator[KernelSession]:
        session = KernelSession(settings, launcher=None if cold else self.launcher)
        await session.start(setup)
        self.done["sessions"] += 1
        try:
            yield session
        finally:
            await session.aclose()

    async def step(self, session: KernelSession, cell: Cell) -> str:
        collector, status = Collector(OutputLimits()), ""
        async with aclosing(session.execute(Action(cell.code), NoCalls())) as outputs:
            async for output in outputs:
                collector.add(output)
                status = output.status if isinstance(output, Finished) else status
        text = "".join(getattr(shown, "text", "") for shown in collector.shown())
        right = status == cell.status and cell.text in (None, text) and cell.size in (None, len(text))
        self.done["steps"] += 1
        self.wrong[f"{cell.code!r:.60}: {status}"] += not right
        return status

    async def writes_down(self, every: float) -> None:
        while not self.over:
            await asyncio.sleep(min(every, max(0.1, self.end - time.monotonic())))
            gc.collect()
            now, passed = held(), time.monotonic() - self.began
            if self.warm is None and passed >= WARM_S:
                self.warm = now.anonymous
            cells = (
                f"{passed / 60:.0f}", *(f"{self.done[name]:,}" for name in ("steps", "sessions", "agents")),
                str(self.wrong.total()), f"{now.anonymous:.1f}", f"{now.memory.get('launcher', 0.0):.1f}",
                str(now.descriptors), str(now.processes), f"{os.getloadavg()[0]:.1f}",
            )  # fmt: skip
            self.samples.append(f"| {' | '.join(cells)} |")
            print(self.samples[-1], flush=True)


def double(n: int) -> int:
    """Twice n."""
    return 2 * n


async def soak(launcher: Launcher, minutes: float) -> Soak:
    run = Soak(launcher, time.monotonic() + minutes * 60)
    await asyncio.gather(
        *(run.stays() for _ in range(RESIDENTS)),
        run.comes_and_goes(), run.makes_trouble(), run.agents(), run.writes_down(60.0),
    )  # fmt: skip
    return run


def report(minutes: float) -> tuple[str, bool]:
    with tempfile.TemporaryDirectory(prefix="soak-") as folder, Launcher() as launcher:
        Soak(launcher, 0.0).task(
            Path(folder, "first.ipynb")
        )  # The thread of agents stays, once there was one.
    before = held()
    print(SAMPLE_HEAD, flush=True)
    with Launcher(spares=2) as launcher:
        problem = launcher.ready()
        run = asyncio.run(soak(launcher, minutes))
    gc.collect()
    after = held()
    grown = after.anonymous - (run.warm if run.warm is not None else after.anonymous)
    left = {
        "processes": after.processes - before.processes,
        "folders": after.folders - before.folders,
        "descriptors": after.descriptors - before.descriptors,
    }
    wrong = [f"{what}, {count} times" for what, count in run.wrong.items() if count]
    right = not wrong and not any(left.values()) and grown <= GROWTH_MIB and not problem
    facts = (
        f"* steps: {run.done['steps']:,}; sessions: {run.done['sessions']:,}; agents: {run.done['agents']:,}",
        f"* steps that came to something else: {'; '.join(wrong) or 'none'}",
        f"* left when all was closed: {', '.join(f'{count} {name}' for name, count in left.items())}",
        f"* memory of the host over that after the first minute: {grown:+.1f} MiB (at most {GROWTH_MIB:.0f})",
        *([f"* the launcher: {problem}"] if problem else []),
    )
    table = "\n".join((SAMPLE_HEAD, *run.samples))
    return f"{'Passed' if right else 'FAILED'}.\n\n" + "\n".join(facts) + f"\n\n{table}\n", right


def main() -> None:
    parser = argparse.ArgumentParser(description="Everything that a host does, for many minutes.")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--save", action="store_true", help=f"keep the result in {RESULT.name}")
    asked = parser.parse_args()
    text, right = report(asked.minutes)
    print(text)
    if asked.save:
        machine = f"{os.cpu_count()} cores, {platform.machine()}, Linux {platform.release()}"
        when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        about = (__doc__ or "").partition("\n\n")[2]
        heading = f"{asked.minutes:g} minutes, {when}, {machine}, Python {platform.python_version()}."
        RESULT.write_text(f"# The soak test\n\n{about}\n## Result\n\n{heading} {text}", encoding="utf-8")
    sys.exit(not right)


if __name__ == "__main__":
    main()
