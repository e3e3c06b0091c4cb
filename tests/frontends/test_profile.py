"""Where the time of a run went: the parts add up, nothing counts twice, failed runs have a profile too."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from codeact_kernel import Agent, ScriptedModel, tool
from codeact_kernel.events import ModelRequest
from codeact_kernel.frontends.approval_text import Question
from codeact_kernel.frontends.portal import Door
from codeact_kernel.frontends.profiling import AROUND, OURS, Meter, Part, Timings, tenths, whole
from codeact_kernel.interfaces import Emit
from codeact_kernel.trajectory import Reply

Command = Callable[..., "subprocess.CompletedProcess[str]"]


class Clock:
    """Time passes when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def meter(clock: Clock) -> Meter:
    made = Meter(clock)
    made.begin()
    return made


def measured(meter: Meter) -> Timings:
    timings = meter.timings()
    assert timings is not None
    return timings


def spent(meter: Meter) -> dict[str, float]:
    return {part: round(seconds, 6) for part, seconds in measured(meter).seconds.items() if seconds}


# --- the meter -----------------------------------------------------------------------------------


def test_what_is_nested_is_taken_off(meter: Meter, clock: Clock) -> None:
    with meter.cell() as cell:
        clock.now += 1
        with meter.of("calls"):
            clock.now += 2
            with meter.call("fetch"):
                clock.now += 4
            with meter.of("record"):
                clock.now += 8
        cell.inside = 15.0
    clock.now += 16
    assert spent(meter) == {"cells": 1, "calls": 2, "tools": 4, "record": 8, "rest": 16}
    assert measured(meter).total == 31
    assert measured(meter).ours == 26


def test_tools_at_the_same_time_count_once(meter: Meter, clock: Clock) -> None:
    with meter.cell(), meter.call("a"):
        clock.now += 1
        with meter.call("b"), meter.call("b"):
            clock.now += 2
    assert spent(meter) == {"tools": 3}
    tools = measured(meter).tools
    assert (tools["a"].calls, tools["a"].seconds) == (1, 3)
    assert (tools["b"].calls, tools["b"].seconds, tools["b"].slowest) == (2, 4, 2)


def test_what_of_ours_is_busy_beside_a_tool_counts_as_ours(meter: Meter, clock: Clock) -> None:
    with meter.call("a"):
        clock.now += 1
        with meter.of("record"):
            clock.now += 2
    assert spent(meter) == {"tools": 1, "record": 2}


@pytest.mark.parametrize(
    ("inside", "cells", "wire"), [(3.0, 3.0, 1.0), (9.0, 4.0, 0.0), (0.0, 0.0, 4.0), (None, 4.0, 0.0)]
)
def test_the_wire_has_of_a_cell_what_its_kernel_was_not_at_work(
    meter: Meter, clock: Clock, inside: float | None, cells: float, wire: float
) -> None:
    """And never more than there is, whatever is said."""
    with meter.cell() as cell:
        clock.now += 4
        cell.inside = inside
    assert measured(meter).seconds["cells"] == cells
    assert measured(meter).seconds["wire"] == wire


def test_a_call_that_outlives_its_task_counts_in_no_later_one(meter: Meter, clock: Clock) -> None:
    late = meter.call("slow")
    with late:
        clock.now += 1
        meter.end()
        clock.now += 2
        meter.begin()
        clock.now += 4
    assert spent(meter) == {"rest": 4}
    assert not measured(meter).tools


def test_time_stands_still_after_the_end(meter: Meter, clock: Clock) -> None:
    clock.now += 1
    meter.end()
    clock.now += 2
    with meter.of("notebook"):
        clock.now += 4
    assert spent(meter) == {"rest": 1}


def test_without_a_task_nothing_is_measured(clock: Clock) -> None:
    meter = Meter(clock)
    with meter.of("record"), meter.call("a"), meter.reply(), meter.cell():
        clock.now += 1
    assert meter.timings() is None


def test_the_whole_adds_up(meter: Meter, clock: Clock) -> None:
    with meter.of("start"):
        clock.now += 1
    with meter.reply():
        clock.now += 10
    clock.now += 2
    made = whole(measured(meter), program=3, verification=4, total=25)
    assert (made.total, made.steps, made.ours) == (25, 12, 2)
    assert made.seconds["end"] == 5


@pytest.mark.parametrize("parts", [(1, 1, 1), (2, 0, 4.7, 0.01, 1e-9), (0,), (1e6, 1), (1,) * 7])
def test_percentages_add_up_to_a_hundred(parts: tuple[float, ...]) -> None:
    found = tenths(dict(enumerate(parts)))
    assert round(sum(found.values()), 6) == (100 if sum(parts) else 0)
    assert all(abs(found[i] - 100 * part / (sum(parts) or 1)) < 0.1 for i, part in enumerate(parts))


# --- an agent ------------------------------------------------------------------------------------


class Thinking(ScriptedModel):
    """Each reply takes a while."""

    seconds = 0.2

    async def respond(self, request: ModelRequest, emit: Emit) -> Reply:
        await asyncio.sleep(self.seconds)
        return await super().respond(request, emit)


class Slow:
    """A person who takes a while, and agrees."""

    who = "a slow person"

    def ready(self) -> bool:
        return True

    async def line(self, question: Question, door: Door) -> str | None:
        await asyncio.sleep(0.3)
        return "y"


@pytest.mark.kernel
def test_the_parts_of_a_task_add_up_to_it(tmp_path: Path) -> None:
    together = 5
    all_there = asyncio.Barrier(together)

    @tool(effect="read")
    async def meet(number: int) -> int:
        await all_there.wait()
        await asyncio.sleep(0.3)
        return number

    @tool(thread="worker", approval="ask")
    def pay(amount: int) -> int:
        time.sleep(0.1)
        return amount

    cells = [
        f"import asyncio\nprint(await asyncio.gather(*(meet(i) for i in range({together}))))",
        "import time\ntime.sleep(0.2)\nfor i in range(3): print(i)",
        "pay(7)",
    ]
    model = Thinking([*({"code": code} for code in cells), {"answer": "done"}])
    out = tmp_path / "run.ipynb"
    with Agent([meet, pay], model=model, out=out, asker=Slow(), verify=False, timings=True) as agent:
        assert agent.timings is None
        before = time.perf_counter()
        run = agent.run_sync("go")
        outside = time.perf_counter() - before
        timings = run.timings
        assert timings is not None
        assert agent.timings == timings  # It stands still now.
        second = agent.run_cell_sync("1").timings
    assert [step.observation.status for step in run.trajectory.steps] == ["ok"] * 3
    seconds = timings.seconds
    assert set(seconds) == {"start", "model", "cells", "tools", "person", *OURS}
    assert all(taken >= 0 for taken in seconds.values())
    assert timings.total <= outside
    assert timings.total > 0.5 * outside
    assert (timings.replies, timings.cells) == (4, 3)
    assert seconds["model"] > 4 * 0.2 - 0.05
    assert seconds["cells"] + seconds["wire"] > 0.2 - 0.05
    assert seconds["person"] > 0.3 - 0.05
    tools = timings.tools
    assert {name: of.calls for name, of in tools.items()} == {"meet": together, "pay": 1}
    in_all = tools["meet"].seconds + tools["pay"].seconds
    assert in_all - seconds["tools"] > (together - 1) * 0.3 - 0.05  # At the same time, so they count once.
    assert seconds["tools"] > 0.3 + 0.1 - 0.05
    parts: tuple[Part, ...] = ("start", "cells", "wire", "notebook", "record", "calls", "context", "outputs")
    assert all(seconds[part] > 0 for part in parts)
    assert timings.steps == pytest.approx(timings.total - seconds["start"])
    assert timings.ours == pytest.approx(
        timings.steps - sum(seconds[part] for part in ("model", "cells", "tools", "person"))
    )
    assert second is not None
    assert (second.replies, second.cells, second.seconds["start"]) == (0, 1, 0)
    assert second.total < timings.total


# --- the command ---------------------------------------------------------------------------------

TOOLS = """
from codeact_kernel import tool

@tool
def double(x: int) -> int:
    return 2 * x

@tool
def stop() -> None:
    raise KeyboardInterrupt
"""
ROW = re.compile(r"^  (\S.*?) +(?:[\d.]+ m?s|\d+ min \d+ s) +([\d.]+) %$", re.MULTILINE)


def run(command: Command, folder: Path, *replies: dict[str, str], document: bool = False) -> str:
    (folder / "tools.py").write_text(TOOLS)
    (folder / "script.jsonl").write_text("".join(f"{json.dumps(reply)}\n" for reply in replies))
    options = ["--tools", "tools.py", "--model", "scripted:script.jsonl", "--no-verify", "--profile"]
    return command("run", "go", *options, *["--json"] * document).stdout


def rows(shown: str) -> dict[str, float]:
    return {label.partition(":")[0]: float(share) for label, share in ROW.findall(shown)}


@pytest.mark.kernel
def test_the_table_of_a_run(command: Command, folder: Path) -> None:
    shown = run(command, folder, {"code": "print(double(4))"}, {"answer": "done"})
    found = rows(shown)
    assert set(found) == {"program", "start", "model", "cells", "tools", "ours", "end"}
    assert round(sum(found.values()), 1) == 100
    assert "    double: 1 call, slowest " in shown
    assert "model: 2 replies" in shown
    assert re.search(r"Of the steps alone \(.*\), ours is [\d.]+ %\.", shown)


@pytest.mark.kernel
@pytest.mark.parametrize("last", [[], [{"code": "stop()"}]], ids=["the model fails", "Ctrl-C"])
def test_a_run_that_fails_has_a_profile_of_what_there_was(
    command: Command, folder: Path, last: list[dict[str, str]]
) -> None:
    shown = run(command, folder, {"code": "print(double(4))"}, *last)
    found = rows(shown)
    assert "Answer" not in shown
    assert round(sum(found.values()), 1) == 100
    assert "model: 2 replies" in shown
    assert f"cells: {1 + len(last)}" in shown


@pytest.mark.kernel
def test_the_profile_in_the_document(codeact: Command, folder: Path) -> None:
    took = json.loads(run(codeact, folder, {"code": "double(4)"}, {"answer": "done"}, document=True))[
        "timings"
    ]
    assert sum(took["seconds"].values()) == pytest.approx(took["total_s"], abs=1e-4)
    assert set(AROUND) < set(took["seconds"])
    assert took["ours_s"] == pytest.approx(sum(took["seconds"][part] for part in took["ours"]), abs=1e-4)
    assert (took["replies"], took["cells"]) == (2, 1)
    assert took["tools"]["double"]["calls"] == 1
