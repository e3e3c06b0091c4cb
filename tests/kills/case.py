"""One case: a host is run and killed, its record is checked, it is resumed, until it has completed."""

from __future__ import annotations

import ctypes
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import nbformat

from codeact_kernel.notebook.journal import journal_path
from codeact_kernel.notebook.load import load
from codeact_kernel.notebook.recover import recover
from codeact_kernel.resuming import skipped
from codeact_kernel.trajectory import Trajectory
from codeact_kernel.wire.messages import Raised, ToolCall

from .moments import Case, Moment, of_recovery

REPOSITORY = Path(__file__).parents[2]
CHILD_SUBREAPER = 36
WAIT_S = 120.0
EXPECTED = Counter(
    [f"refund {n}" for n in range(6)]
    + [f"ship {n}" for n in range(5)]
    + [f"charge {n}" for n in (0, 1, 2, 99)]
    + ["tally 1"] * 3
)
"""The side effects of the whole run."""
AT_ONCE = 5


@dataclass
class Kill:
    """One kill and what was left. `problems`: of any kind, in words; none is what is wanted."""

    kind: str
    again: bool
    """In a run that was resumed."""
    missing: int = 0
    in_doubt: int = 0
    problems: list[str] = field(default_factory=list)


@dataclass
class Outcome:
    """A case that has ended. `problems`: of its end, as in Kill."""

    number: int
    in_doubt: str
    kills: list[Kill] = field(default_factory=list)
    duplicates: int = 0
    identical: bool = False
    problems: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not self.problems and not any(kill.problems for kill in self.kills)


def run_case(case: Case, seed: int) -> Outcome:
    """Never raises for what a host does: that is in the outcome."""
    ctypes.CDLL(None).prctl(CHILD_SUBREAPER, 1, 0, 0, 0)
    outcome = Outcome(case.number, case.in_doubt)
    with tempfile.TemporaryDirectory(prefix="kills-") as name:
        try:
            _Scene(case, Random(f"{seed}/{case.number}/scene"), Path(name), outcome).play()
        except Exception as problem:
            outcome.problems.append(f"the harness: {type(problem).__name__}: {problem}")
    return outcome


class _Scene:
    def __init__(self, case: Case, random: Random, folder: Path, outcome: Outcome) -> None:
        self._case = case
        self._random = random
        self._folder = folder
        self._path = folder / "run.ipynb"
        self._outcome = outcome
        self._doubted: Counter[str] = Counter()

    def play(self) -> None:
        for moment in self._case.moments:
            command = self._command()
            code, said = self._host(command, moment)
            if code != -9:  # It had ended before that moment.
                self._outcome.problems += [] if code == 0 else [f"{moment.kind}: ended with {code}: {said}"]
                continue
            kill = Kill(moment.kind, command == "resume")
            self._outcome.kills.append(kill)
            kill.problems += _processes_left()
            self._judge(kill)
            self._recover(kill)
        self._complete()

    def _recorded(self) -> bool:
        return self._path.exists() or _lines(journal_path(self._path)) > 0

    def _command(self) -> str:
        if self._recorded():
            return "resume"
        recover(self._path)  # A journal that has nothing, if there is one.
        return "run"

    # --- the host ---

    def _host(self, command: str, moment: Moment) -> tuple[int, str]:
        """Runs it until the moment, or to its end: its return code, and what it said."""
        process = self._started(command, {} if moment.trigger is None else moment.trigger)
        if moment.trigger is None:
            self._wait_for(process, moment)
            process.kill()
        said, error = process.communicate(timeout=WAIT_S)
        return process.returncode, f"{said}{error}"[-2000:]

    def _started(self, command: str, trigger: dict[str, str | int]) -> subprocess.Popen[str]:
        arguments = [command, str(self._folder), self._case.in_doubt, json.dumps(trigger)]
        return subprocess.Popen(
            [sys.executable, "-W", "error", "-m", f"{__package__}.host", *arguments],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _wait_for(self, process: subprocess.Popen[str], moment: Moment) -> None:
        word = {"turn": "turn\n", "answer": "answered\n"}.get(moment.after)
        assert process.stdout is not None
        if word is not None:
            while (line := process.stdout.readline()) and line != word:
                pass
        journal, deadline = journal_path(self._path), time.monotonic() + WAIT_S
        while moment.after == "records" and time.monotonic() < deadline:
            if process.poll() is not None:
                return  # It has ended before.
            if _lines(journal) >= moment.records:
                break
            time.sleep(0.0005)
        pidfd = os.pidfd_open(process.pid)
        try:
            select.select([pidfd], [], [], moment.delay_s)
        finally:
            os.close(pidfd)

    # --- what it left ---

    def _judge(self, kill: Kill) -> None:
        effects = self._effects()
        if not self._recorded():
            kill.problems += [f"nothing recorded of {effects}"] if effects else []
            return
        trajectory = load(self._path)
        # A call that is made again after it was in doubt is one in the record.
        twice = self._doubted if self._case.in_doubt == "retry" else Counter()
        missing = effects - Counter(map(_what, _calls(trajectory))) - twice
        kill.missing = missing.total()
        kill.problems += [f"not in the record: {dict(missing)}"] if missing else []
        doubted = [call for call in _calls(trajectory) if call.outcome is None]
        kill.in_doubt = len(doubted)
        self._doubted += Counter(map(_what, doubted))
        if len(doubted) > (AT_ONCE if any(call.tool == "ship" for call in doubted) else 1):
            kill.problems.append(f"in doubt: {[_what(call) for call in doubted]}")
        if any(call.step != trajectory.steps[-1].index for call in doubted):
            kill.problems.append("in doubt: calls of a step that had ended")

    def _recover(self, kill: Kill) -> None:
        """As the case says; by the resume otherwise."""
        if self._case.recovery == "resume":
            return
        before = load(self._path) if self._path.exists() else None
        if self._case.recovery == "killed":
            process = self._started("recover", of_recovery(self._random))
            process.communicate(timeout=WAIT_S)
        found = recover(self._path)
        kill.problems += self._left_behind()
        if self._path.exists():
            nbformat.validate(nbformat.read(self._path, as_version=4))
            if before is not None and before.turns != load(self._path).turns:
                kill.problems.append("the recovered notebook tells otherwise than notebook and journal did")
        elif found is not None:
            kill.problems.append("recovered, but there is no notebook")

    def _complete(self) -> None:
        code, said = self._host(self._command(), Moment("none", {}))
        problems = self._outcome.problems
        if code:
            problems.append(f"the last resume ended with {code}: {said}")
            return
        problems += [*self._left_behind(), *_processes_left()]
        nbformat.validate(nbformat.read(self._path, as_version=4))
        trajectory, effects = load(self._path), self._effects()
        verdict = trajectory.verdict
        self._outcome.identical = verdict is not None and verdict.status == "identical"
        if not self._outcome.identical:
            problems.append(f"replayed: {verdict}")
        if trajectory.stop is None or trajectory.stop.reason != "answer":
            problems.append(f"not completed: {trajectory.stop}")
        self._check_effects(trajectory, effects)

    def _check_effects(self, trajectory: Trajectory, effects: Counter[str]) -> None:
        """Who retries allows a second time of what was in doubt; else nothing is done twice, and who looks
        gets everything done once."""
        problems = self._outcome.problems
        allowed = EXPECTED + self._doubted if self._case.in_doubt == "retry" else EXPECTED
        twice = effects - allowed
        self._outcome.duplicates = twice.total()
        if twice:
            problems.append(f"done more often than it may be: {dict(twice)}")
        calls = [call for call in _calls(trajectory) if _what(call) in EXPECTED]
        if (told := Counter(map(_what, calls))) != EXPECTED:
            problems.append(
                f"the record has {dict(told - EXPECTED)} too much, {dict(EXPECTED - told)} too few"
            )
        done = Counter(_what(call) for call in calls if not _skipped(call))
        if not_done := done - effects:
            problems.append(f"recorded as done, and not done: {dict(not_done)}")
        if self._case.in_doubt != "skip" and (left := EXPECTED - effects):
            problems.append(f"never done: {dict(left)}")

    def _left_behind(self) -> list[str]:
        names = sorted(set(os.listdir(self._folder)) - {"run.ipynb", "effects"})
        return [f"left behind: {names}"] if names else []

    def _effects(self) -> Counter[str]:
        path = self._folder / "effects"
        return Counter(path.read_text().splitlines()) if path.exists() else Counter()


def _calls(trajectory: Trajectory) -> list[ToolCall]:
    return [
        call
        for step in trajectory.steps
        for call in step.observation.tool_calls
        if call.tool not in ("orders", "final_answer")
    ]


def _what(call: ToolCall) -> str:
    return f"{call.tool} {call.args[0]}"


def _skipped(call: ToolCall) -> bool:
    return isinstance(call.outcome, Raised) and call.outcome == skipped(call)


def _lines(path: Path) -> int:
    try:
        return path.read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def _processes_left(within_s: float = 20.0) -> list[str]:
    """Waits for what the host has left: it is ours now."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return []
        if not pid:
            time.sleep(0.005)
    return ["processes are left"]
