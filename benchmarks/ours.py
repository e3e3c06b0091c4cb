"""Owns what is ours of a run whose model takes a second a turn: the promise is less than 2 % of its steps.

Twelve steps as they come up (tools one by one and at the same time, text, an error, a frame of pandas, a
figure, a loop, a file), each asked of a scripted model that sleeps a second first. All is on: the cage, the
allow-lists, the checks, the journal, the notebook, a listener of events that renders them.

Three figures of the same runs, each the median over them. *By the product's own profile*
(`Agent(timings=True)`). *From outside*: the clock around the call, less what the model slept, less what the
cells took by a clock of their own, from their first line to their last. In cells that do little but call
tools, only the tools' own time is taken off. So the second charges us with everything else: the work of
IPython and ipykernel on a cell, the text of its last expression and of a traceback, the way of a tool's call,
the meter, the thread that the caller waits on. It should be the higher one; both are held against the target.

*In processor time*: what this process and the kernel have computed, less what the cells have, of what the
steps take where nothing is waited for but the model and the tools. Waiting for a disk, or for a turn at a
busy processor, is not in it: on a machine that others use too, it tells our doing from theirs.

Each run does the task twice in one kernel: what happens once (the first traceback costs a kernel more than
any other step, the first image loads Pillow) is in the first figures, which the promise is about, and not in
those of the second time, which say what a longer run tends to.

The start of the kernel is no part of it (`launch.py` measures that): a first task is answered before. Nor is
the replay that verifies.
"""

from __future__ import annotations

import asyncio
import io
import tempfile
import textwrap
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from measure import Figure, Row, show
from rich.console import Console

from codeact_kernel import Agent, ScriptedModel, tool
from codeact_kernel.events import ModelRequest
from codeact_kernel.frontends.profiling import OURS, Timings
from codeact_kernel.frontends.render import Renderer
from codeact_kernel.frontends.timings_view import NAMES
from codeact_kernel.interfaces import Emit
from codeact_kernel.trajectory import Reply

GROUP = "What is ours of a run whose model takes 1 s a turn"
TURN_S = 1.0
TARGET = 2.0
RUNS, QUICK = 2, 1
BOX_S = 35
"""After which no further run is begun."""
WIDTH = 120


@dataclass(frozen=True)
class Cell:
    """`last`: its last expression, which is shown. `calls`: it does little but call tools."""

    code: str
    last: str = ""
    calls: bool = False

    def timed(self) -> str:
        """With a clock of its own."""
        body = textwrap.indent(self.code, "    ")
        return f"{BEGIN}\ntry:\n{body}\nfinally:\n    {END}\n{self.last}".rstrip()


BEGIN = "began, used = time.perf_counter(), time.process_time()"
END = "inside.append((time.perf_counter() - began, time.process_time() - used))"
FIRST = "import time\ninside = []\nbefore = time.process_time()"
CELLS = [
    Cell("orders = [fetch_order(i) for i in range(20)]", "len(orders), orders[0]", calls=True),
    Cell("import asyncio\nrates = await asyncio.gather(*(rate(c) for c in ('EUR', 'JPY')))", calls=True),
    Cell("for o in orders[::5]:\n    print(refund(o['id']))", calls=True),
    Cell("import pandas as pd\ndf = pd.DataFrame({'n': range(20_000)})\ndf['m'] = df.n % 7", "df.head()"),
    Cell("grouped = df.groupby('m').n.agg(['sum', 'mean'])", "grouped"),
    Cell("for i in range(400):\n    print('line', i, 'of what a cell prints')"),
    Cell("1 / 0"),
    Cell("total = 0\nfor i in range(2_000_000):\n    total += i", "total"),
    Cell("import matplotlib.pyplot as plt\nplt.plot(df.n[:500], df.m[:500])\nplt.show()"),
    Cell("df.head(500).to_csv('head.csv')\nprint(open('head.csv').read()[:200])"),
    Cell("names = {name: len(name) for name in dir(pd)}", "names"),
]
LAST = "report(inside, time.process_time() - before)\nfinal_answer(total)"


@dataclass(frozen=True)
class Measured:
    """One run. `wall`: of the call; `asleep`: in the model; `inside`: in the cells, by their own clocks;
    `tools`: when one was at work. Processor time: `computed` by the cells, `used` by both processes."""

    wall: float
    asleep: float
    inside: float
    tools: float
    computed: float
    used: float
    timings: Timings

    @property
    def outside(self) -> float:
        """Percent of the steps that are neither the model's, nor the cells', nor the tools'."""
        return 100 * (self.wall - self.asleep - self.inside - self.tools) / self.wall

    @property
    def processor(self) -> float:
        """Percent of what the steps take where nobody else is at work."""
        return 100 * (self.used - self.computed) / (self.timings.replies * TURN_S + self.tools + self.used)


class Thinking(ScriptedModel):
    """A turn takes a second; what it really took is kept."""

    asleep = 0.0

    async def respond(self, request: ModelRequest, emit: Emit) -> Reply:
        began = time.perf_counter()
        await asyncio.sleep(TURN_S)
        self.asleep += time.perf_counter() - began
        return await super().respond(request, emit)


class Tools:
    """Tools that only take time, and keep how much."""

    def __init__(self) -> None:
        self.intervals: list[tuple[float, float]] = []
        self.inside: list[tuple[float, float]] = []
        self.kernel = 0.0

    @contextmanager
    def _kept(self) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.intervals.append((began, time.perf_counter()))

    def fetch_order(self, number: int) -> dict[str, int]:
        with self._kept():
            time.sleep(0.01)
            return {"id": number, "amount": 10 * number}

    async def rate(self, currency: str) -> float:
        with self._kept():
            await asyncio.sleep(0.1)
            return 1.0 + len(currency) / 10

    def refund(self, number: int) -> str:
        with self._kept():
            time.sleep(0.02)
            return f"refunded {number}"

    def report(self, inside: list[tuple[float, float]], kernel: float) -> None:
        """By cell, its seconds and those of the processor; what the kernel has used in all."""
        self.inside, self.kernel = inside, kernel

    def seconds(self) -> float:
        """When at least one was at work."""
        total, until = 0.0, 0.0
        for began, ended in sorted(self.intervals):
            total += max(0.0, ended - max(began, until))
            until = max(until, ended)
        return total


def run(folder: Path) -> tuple[Measured, Measured]:
    """The task twice, each time after one that has the kernel, and its clocks, ready."""
    tools = Tools()
    task = [
        {"code": FIRST},
        {"answer": "ready"},
        *({"code": code} for code in [*map(Cell.timed, CELLS), LAST]),
    ]
    model = Thinking([*task, *task])
    offered = [
        tool(tools.fetch_order, effect="read"),
        tool(tools.rate, effect="read"),
        tools.refund,
        tools.report,
    ]
    with Agent(offered, model=model, out=folder / "run.ipynb", verify=False, timings=True) as agent:
        return measured(agent, model, tools), measured(agent, model, tools)


def measured(agent: Agent, model: Thinking, tools: Tools) -> Measured:
    agent.run_sync("get ready")
    tools.intervals.clear()
    model.asleep = 0.0
    console = Console(file=io.StringIO(), width=WIDTH, markup=False, emoji=False, highlight=False)
    with Renderer(console) as listener:
        began, before = time.perf_counter(), time.process_time()
        done = agent.run_sync("the task", on_event=listener)
        wall, used = time.perf_counter() - began, time.process_time() - before
    assert done.stop_reason == "answer", done.stop
    assert done.timings is not None
    steps = done.trajectory.turns[-1].steps
    assert [step.observation.status for step in steps].count("error") == 1, "only 1 / 0 is to fail"
    counted = [taken for cell, taken in zip(CELLS, tools.inside, strict=True) if not cell.calls]
    inside, computed = sum(taken for taken, _ in counted), sum(taken for _, taken in counted)
    used += tools.kernel
    return Measured(wall, model.asleep, inside, tools.seconds(), computed, used, done.timings)


def measure(quick: bool) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="ours-") as folder:
        runs: list[tuple[Measured, Measured]] = []
        began = time.monotonic()
        while len(runs) < (QUICK if quick else RUNS) and time.monotonic() - began < BOX_S:
            place = Path(folder, str(len(runs)))
            place.mkdir()
            runs.append(run(place))
    first, second = zip(*runs, strict=True)
    return [*shares("", first), *parts(first), *shares(", the second time", second)]


def shares(when: str, runs: Sequence[Measured]) -> list[Row]:
    said = f"{len(CELLS) + 1} steps; runs: {len(runs)}, in all {sum(one.wall for one in runs):.0f} s"
    share = median(100 * one.timings.share for one in runs)
    outside = median(one.outside for one in runs)
    processor = median(one.processor for one in runs)
    target = None if when else TARGET
    return [
        Figure(f"ours of the steps{when}, by `--profile`", share, "%", target, note=said, group=GROUP),
        Figure(f"ours of the steps{when}, from outside", outside, "%", target, group=GROUP),
        Figure(f"ours of the steps{when}, in processor time", processor, "%", group=GROUP),
    ]


def parts(runs: Sequence[Measured]) -> list[Row]:
    """Of what is ours, by the product's profile."""
    found: list[Row] = []
    for part in OURS:
        each = median(1e3 * one.timings.seconds[part] / (len(CELLS) + 1) for one in runs)
        found.append(Figure(f"of it: {NAMES[part]}", each, "ms a step", group=GROUP))
    return found


if __name__ == "__main__":
    show(measure)
