"""Owns what a user waits for before anything happens: imports, help, a list, the first answer of a run.

Each is a process of its own, from its start to its end (a run: to the line with its answer), in rounds: one
of each in random order, a bare `python -c pass` among them, which is taken off. A figure is the median over
the rounds. All have run once before, so that sources are compiled and files are in memory, as pip and a
second call leave them; nobody else's work is on our side, and commands run as the installed script.

An import waits for nothing, so what counts of it is processor time: on an idle machine it is what the clock
says (which the note has), on a busy one the clock counts other people's work. Of the run it is the clock, up
to its answer; its model is scripted, so that nothing is waited for but our own code and the kernel's.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from measure import Figure, Missing, Row, show

GROUP = "Imports and the first answer, beyond bare Python"
IMPORT_MS, HELP_MS = 100, 300
ROUNDS, QUICK = 7, 1
SCRIPT = '{"code": "print(1 + 1)"}\n{"answer": "2"}\n'
ANSWER = b"Answer:"
KEY = {"ANTHROPIC_API_KEY": "sk-none"}


@dataclass(frozen=True)
class Spent:
    """Seconds of one process."""

    wall: float
    processor: float


@dataclass(frozen=True)
class Door:
    """What is run. `command` makes its words anew each time; `until`: its end, or this in its output."""

    name: str
    command: Callable[[], list[str]]
    target: float | None = None
    until: bytes = b""
    note: str = ""


def python(code: str) -> Callable[[], list[str]]:
    return lambda: [sys.executable, "-c", code]


def codeact(*words: str) -> Callable[[], list[str]]:
    return lambda: [str(script()), *words]


def script() -> Path:
    """The command as it was installed."""
    return Path(sys.executable).with_name("codeact")


def first_task(folder: Path) -> list[str]:
    model = folder / "script.jsonl"
    model.write_text(SCRIPT)
    out = folder / f"run-{time.monotonic_ns()}.ipynb"
    return [str(script()), "run", "1 + 1", "--model", f"scripted:{model}", "--no-verify", "--out", str(out)]


def doors(folder: Path) -> list[Door]:
    agent = "from codeact_kernel import Agent"
    return [
        Door("import codeact_kernel", python("import codeact_kernel"), IMPORT_MS),
        Door("codeact --help", codeact("--help"), HELP_MS),
        Door("codeact run --help", codeact("run", "--help"), HELP_MS),
        Door("codeact list", codeact("list", str(folder / "empty")), note="of an empty folder"),
        Door(agent, python(agent)),
        Door("import of the CodeAct kernel", python("import codeact_kernel.frontends.kernel")),
        Door("import of %load_ext codeact_kernel", python("import codeact_kernel.frontends.magic")),
        Door(
            "first answer of codeact run",
            lambda: first_task(folder),
            until=ANSWER,
            note="scripted model, one cell in a cold kernel",
        ),
        Door(
            "an Agent with the default model",
            python(f"{agent}\nAgent(verify=False)\nimport os\nos._exit(0)"),
            note="until the kernel could be started",
        ),
        Door("import anthropic", python("import anthropic"), note="overlaps with the start of the kernel"),
    ]


def spent(command: list[str], folder: Path, until: bytes = b"") -> Spent:
    """Raises: RuntimeError when it fails, or never says `until`."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANTHROPIC_")}
    started = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=folder, env=environment | KEY, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    with process.stdout as said:
        found = next((line for line in said if until and line.startswith(until)), b"")
        answered = time.perf_counter()
        said.read()
    _, status, used = os.wait4(process.pid, 0)
    ended = time.perf_counter()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode or (until and not found):
        raise RuntimeError(f"{command} ended with exit status {process.returncode}")
    return Spent((answered if until else ended) - started, used.ru_utime + used.ru_stime)


def measure(quick: bool) -> list[Row]:
    if not script().exists():
        return [
            Missing("imports", f"there is no {script().name!r} beside {Path(sys.executable).name!r}", GROUP)
        ]
    bare = Door("", python("pass"))
    chance = random.Random(5)
    with tempfile.TemporaryDirectory(prefix="imports-") as name:
        folder = Path(name)
        (folder / "empty").mkdir()
        there = doors(folder)
        found: dict[str, list[Spent]] = {door.name: [] for door in (bare, *there)}
        for door in there:
            spent(door.command(), folder, door.until)
        for _ in range(QUICK if quick else ROUNDS):
            for door in chance.sample([bare, *there], len(there) + 1):
                found[door.name].append(spent(door.command(), folder, door.until))
    return [figure(door, found[door.name], found[bare.name]) for door in there]


def figure(door: Door, times: list[Spent], bare: list[Spent]) -> Figure:
    pairs = list(zip(times, bare, strict=True))
    wall = median(ours.wall - python.wall for ours, python in pairs) * 1e3
    processor = median(ours.processor - python.processor for ours, python in pairs) * 1e3
    value, said = (
        (wall, f"processor {processor:.0f} ms") if door.until else (processor, f"clock {wall:.0f} ms")
    )
    note = ", ".join(filter(None, [door.note, said]))
    return Figure(door.name, value, "ms", door.target, "at most", note, GROUP)


if __name__ == "__main__":
    show(measure)
