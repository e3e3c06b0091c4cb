"""A small saved run for tests of commands that read one: made by hand, written as a run writes it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from codeact_kernel.notebook.writer import write
from codeact_kernel.outputs import Error, Result, Shown, Stream
from codeact_kernel.sandbox.session import versions
from codeact_kernel.trajectory import Action, Observation, Reply, RunInfo, Step, Stop, Trajectory, Turn
from codeact_kernel.wire.messages import Returned, ToolCall, ToolParameter, ToolSpec
from codeact_kernel.wire.setup import SetupSpec, setup_source

SETUP = setup_source(
    SetupSpec(
        "run-1", (), (ToolSpec("fetch", (ToolParameter("n"),)), ToolSpec("pay", (ToolParameter("n"),))), ()
    )
)


def call(step: int, index: int, tool: str, argument: int, result: object) -> ToolCall:
    return ToolCall(step, index, tool, (argument,), {}, Returned(result))  # type: ignore[arg-type]  # JSON


def step(index: int, code: str, *shown: Shown, calls: Sequence[ToolCall] = ()) -> Step:
    status = "error" if any(isinstance(item, Error) for item in shown) else "ok"
    observation = Observation(status, shown, None, index + 1, (), tuple(calls))
    return Step(index, Reply("So.", code), Action(code), observation)


def a_run() -> Trajectory:
    """Replays as it is here."""
    steps = (
        step(
            1,
            "total = fetch(1) + fetch(2)\nprint(total)",
            Stream("stdout", "30\n"),
            calls=(call(1, 1, "fetch", 1, 10), call(1, 2, "fetch", 2, 20)),
        ),
        step(2, "{'total': total}", Result({"text/plain": "{'total': 30}"}, 3)),
        step(3, "1 / 0", Error("ZeroDivisionError", "division by zero")),
        step(4, "pay(total)", calls=(call(4, 1, "pay", 30, None),)),
        step(5, "final_answer(total)", calls=(ToolCall(5, 1, "final_answer", (30,), {}, Returned(None)),)),
    )
    info = RunInfo("run-1", "scripted", "2026-11-22T10:00:00Z", SETUP, versions())
    return Trajectory(info, (Turn("Pay the total.", steps, Stop("answer", answer=30)),))


def save(path: Path, run: Trajectory | None = None) -> Path:
    write(a_run() if run is None else run, path)
    return path


def with_versions(run: Trajectory, **changed: str) -> Trajectory:
    return replace(run, info=replace(run.info, versions={**run.info.versions, **changed}))


def edit(path: Path, pattern: str, new: str, kind: str = "step") -> Path:
    """Changes the one place in the cells of a kind, sources and outputs, that `pattern` matches."""
    notebook: Any = json.loads(path.read_text())
    found = 0
    for cell in notebook["cells"]:
        if cell["metadata"].get("codeact", {}).get("kind") != kind or cell["cell_type"] != "code":
            continue
        for holder in (cell, *cell["outputs"]):
            for key in ("source", "text"):
                if key in holder:
                    holder[key], times = re.subn(pattern, new, "".join(holder[key]))
                    found += times
    assert found == 1, f"{pattern!r} is in {found} places"
    path.write_text(json.dumps(notebook))
    return path
