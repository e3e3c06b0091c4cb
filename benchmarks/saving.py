"""Owns what saving costs: the journal's record of a step, and all that is written of a run of 1,000 steps.

A run is not waited for: its steps take their half second on the clock of the notebook's writer only, and
what is measured is the time that the real journal and the real writer take beside them.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

import nbformat
from measure import Ratio, Row, ratio_of, show

from codeact_kernel.notebook.journal import JournalRecorder
from codeact_kernel.notebook.redact import Redactor
from codeact_kernel.notebook.render import render
from codeact_kernel.notebook.writer import NotebookWriter, write
from codeact_kernel.outputs import Stream
from codeact_kernel.trajectory import Action, Observation, Reply, RunInfo, Step, Stop, Trajectory, Usage
from codeact_kernel.wire.messages import Returned, ToolCall, ToolSpec
from codeact_kernel.wire.setup import SetupSpec, setup_source

STEPS, STEP_SECONDS = 1000, 0.5
GROWTH, COST, WRITE = 2.0, 1.0, 3.0
"""Targets: step 1,000 against step 10; all saving against `SHARE` of the run; a notebook against nbformat."""
SHARE = 0.02
GROUP = "What saving a run costs"
EMAIL = r"email=[\w.+-]+@[\w-]+(\.[\w-]+)+"
SIZES = {"400 B": (400, ()), "20 kB": (20_000, ()), "20 kB and `--redact`": (20_000, (EMAIL,))}
"""Of text that a step prints, and the patterns that are masked in it."""
INFO = RunInfo(
    "bench", "scripted", "2026-11-22T10:00:00Z", setup_source(SetupSpec("", tools=(ToolSpec("fetch"),)))
)


def step(index: int, size: int) -> Step:
    """A step that calls a tool and prints so many characters, an address among them."""
    line = f"{index}: a line of what a cell prints, to user{index}@example.org\n"
    text = (line + "some more text, in which there is nothing to be found\n" * (size // 50))[:size]
    code = f"found = fetch({index})\nprint(found)"
    call = ToolCall(index, 1, "fetch", (index,), {}, Returned({"id": index, "name": "n" * 30}), 0.001)
    thought = "A thought about what is to be done next, of some length."
    block = {"type": "tool_use", "id": f"t{index}", "name": "python", "input": {"code": code}}
    raw = json.dumps([{"type": "text", "text": thought}, block])
    reply = Reply(thought, code, raw=raw, call_id=f"t{index}", usage=Usage(1000, 100), cost_usd=0.01)
    shown = (Stream("stdout", text),)
    observation = Observation("ok", shown, None, index + 1, ("found",), (call,), (), 0.4)
    return Step(index, reply, Action(code), observation, started="2026-11-22T10:00:00.500000+00:00")


class Clock:
    """The time that saving takes, and what the steps would have taken."""

    def __init__(self) -> None:
        self.steps = 0.0

    def __call__(self) -> float:
        return time.perf_counter() + self.steps


def record(recorder: JournalRecorder, step: Step) -> None:
    recorder.begin_step(step.index, step.reply)
    for call in step.observation.tool_calls:
        recorder.tool_intent(replace(call, outcome=None))
        recorder.tool_outcome(call)
    recorder.end_step(step)


def run(steps: Sequence[Step], patterns: tuple[str, ...], folder: Path) -> tuple[list[float], float]:
    """Seconds that the journal took for each step, and that all saving took."""
    path, clock, redactor = folder / "run.ipynb", Clock(), Redactor({"A_TOKEN": "sesame-sesame"}, patterns)
    recorder, writer = JournalRecorder(path, redactor), NotebookWriter(path, redactor, clock)
    trajectory = Trajectory(INFO).with_task("fetch everything")
    recorder.begin(INFO)
    recorder.begin_turn("fetch everything")
    journal, saving = [], 0.0
    for one in steps:
        trajectory = trajectory.with_step(one)
        clock.steps += STEP_SECONDS
        began = time.perf_counter()
        record(recorder, one)
        journal.append(time.perf_counter() - began)
        writer.maybe_write(trajectory)
        saving += time.perf_counter() - began
    began = time.perf_counter()
    recorder.end_turn(Stop("answer", answer=1))
    writer.write(trajectory.with_stop(Stop("answer", answer=1)))
    recorder.close(saved=True)
    path.unlink()
    return journal, saving + time.perf_counter() - began


def measure(quick: bool) -> list[Row]:
    rows, runs = list[Row](), 1 if quick else 2
    for name, (size, patterns) in SIZES.items():
        steps = [step(index, size) for index in range(1, STEPS + 1)]
        growth, cost = list[tuple[float, float]](), list[tuple[float, float]]()
        for _ in range(runs):
            with tempfile.TemporaryDirectory() as folder:
                journal, saving = run(steps, patterns, Path(folder))
            growth.append((median(journal[-20:]), median(journal[:20])))
            cost.append((saving, SHARE * STEPS * STEP_SECONDS))
        rows.append(ratio_of(f"journal, step 1,000 against step 10, {name}", growth, GROWTH, group=GROUP))
        rows.append(
            ratio_of(
                f"all saving of 1,000 steps of 0.5 s against 2 % of them, {name}", cost, COST, group=GROUP
            )
        )
    return [*rows, _written(runs)]


def _written(runs: int) -> Ratio:
    """The notebook of 1,000 steps, against what nbformat takes for the same cells."""
    trajectory = Trajectory(INFO).with_task("fetch everything")
    for index in range(1, STEPS + 1):
        trajectory = trajectory.with_step(step(index, 400))
    measured, notebook = list[tuple[float, float]](), render(trajectory)
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(runs):
            began = time.perf_counter()
            write(trajectory, Path(folder, "run.ipynb"))
            ours = time.perf_counter() - began
            began = time.perf_counter()
            nbformat.write(notebook, Path(folder, "plain.ipynb"))
            measured.append((ours, time.perf_counter() - began))
    return ratio_of(
        "notebook of 1,000 steps, 400 B a step, against nbformat.write", measured, WRITE, group=GROUP
    )


if __name__ == "__main__":
    show(measure)
