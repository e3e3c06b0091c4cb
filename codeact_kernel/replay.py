"""Owns the verdict of a replay: each step's new observation against the recorded one, and the drift.

A step agrees when it ends the same way, makes the same tool calls and shows the same. What a re-run
cannot make equal is normalised, and only this: memory addresses, the session's temporary folder, and
the figures of `%time` and `%timeit`.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import AsyncGenerator, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from .interfaces import Executor
from .outputs import Display, Error, Result, Shown, Stream
from .rebuild import RECORDED_NAMES, Rebuilt, rebuild
from .trajectory import Observation, Trajectory
from .wire.tape import show_call

DriftKind: TypeAlias = Literal["code", "tool", "output"]
EXIT_CODES: Mapping[DriftKind, int] = {"code": 10, "tool": 11, "output": 12}
MAX_DIFF_LINES = 20

_NORMALISED = (
    (re.compile(r"\b0x[0-9a-fA-F]{6,}\b"), "0x…"),
    (re.compile(r"/[^\s'\"]*?/codeact-\d+-\d+-[^/\s'\"]+"), "<session>"),
    (re.compile(r"^(CPU times|Wall time): .*$", re.MULTILINE), r"\1: …"),
    (re.compile(r"^.+ ± .+ per loop \(mean ± std\. dev\. .*$", re.MULTILINE), "… per loop"),
)


@dataclass(frozen=True)
class Drift:
    """One difference, for a person to read."""

    kind: DriftKind
    detail: str


@dataclass(frozen=True)
class StepVerdict:
    """One step, run again."""

    index: int
    drifts: tuple[Drift, ...] = ()

    @property
    def agrees(self) -> bool:
        return not self.drifts


@dataclass(frozen=True)
class ReplayReport:
    """All steps that were run again, in order."""

    steps: tuple[StepVerdict, ...]

    @property
    def agrees(self) -> bool:
        return all(step.agrees for step in self.steps)

    @property
    def exit_code(self) -> int:
        """0, or the code of the gravest kind of drift (`EXIT_CODES`)."""
        return min((EXIT_CODES[drift.kind] for step in self.steps for drift in step.drifts), default=0)


async def replay(executor: Executor, trajectory: Trajectory) -> AsyncGenerator[StepVerdict, None]:
    """Runs `trajectory` again on a started executor, tools answered from its tape; a verdict a step.

    Raises: SandboxError.
    """
    done = 0
    async for rebuilt in rebuild(executor, trajectory):
        done = rebuilt.step.index
        yield verdict(rebuilt)
    for step in trajectory.steps:
        if step.index > done and step.action is not None:
            yield StepVerdict(step.index, (Drift("code", "not run: the kernel was killed before it"),))


def verdict(rebuilt: Rebuilt) -> StepVerdict:
    """What differs between a step and its re-run."""
    old, new = rebuilt.step.observation, rebuilt.observation
    missed = new.error is not None and new.error.evalue in rebuilt.misses
    drifts = [] if missed else [*_code_drift(old, new)]  # That it ends with the miss is no second drift.
    if old.status in RECORDED_NAMES:  # Its error is raised again and nothing of it is run.
        return StepVerdict(rebuilt.step.index, tuple(drifts))
    drifts += [
        *(Drift("tool", miss) for miss in rebuilt.misses),
        *(Drift("tool", f"recorded, but not called again: {show_call(call)}") for call in rebuilt.unused),
        *_output_drift(old.shown, new.shown),
    ]
    return StepVerdict(rebuilt.step.index, tuple(drifts))


def _code_drift(old: Observation, new: Observation) -> Iterable[Drift]:
    if old.status in RECORDED_NAMES:
        name = RECORDED_NAMES[old.status]
        if new.error is None or new.error.ename != name:
            yield Drift("code", f"recorded as {name}, now {_ending(new)}")
    elif _ending(old) != _ending(new):
        yield Drift("code", f"recorded: {_ending(old)}; now: {_ending(new)}")


def _ending(observation: Observation) -> str:
    error = observation.error
    if error is None:
        return observation.status if not observation.reason else f"{observation.status}, {observation.reason}"
    return normalise(f"{error.ename}: {error.evalue}")


def _output_drift(old: tuple[Shown, ...], new: tuple[Shown, ...]) -> Iterable[Drift]:
    before, after = list(shown_lines(old)), list(shown_lines(new))
    if before == after:
        return
    diff = list(difflib.unified_diff(before, after, "recorded", "now", lineterm="", n=1))
    if len(diff) > MAX_DIFF_LINES:
        diff = [*diff[:MAX_DIFF_LINES], f"… {len(diff) - MAX_DIFF_LINES} more lines"]
    yield Drift("output", "\n".join(diff))


def shown_lines(shown: tuple[Shown, ...]) -> Iterable[str]:
    """What is compared: text line by line, everything else by its digest. Errors are `_code_drift`'s."""
    for item in shown:
        match item:
            case Stream(name, text):
                yield from (f"{name}: {line}" for line in normalise(text).splitlines())
            case Display(data=data) | Result(data=data):
                yield from _bundle(data)
            case Error():
                pass


def _bundle(data: Mapping[str, object]) -> Iterable[str]:
    for kind, value in sorted(data.items()):
        if kind == "text/plain":
            yield from normalise(str(value)).splitlines()
        elif kind.startswith("image/") and kind != "image/svg+xml":
            yield f"{kind}: {hash_text(str(value))}"
        elif "text/plain" not in data:
            yield f"{kind}: {hash_text(normalise(str(value)))}"


def normalise(text: str) -> str:
    """`text` with what differs between any two runs made equal."""
    for pattern, instead in _NORMALISED:
        text = pattern.sub(instead, text)
    return text


def hash_text(text: str) -> str:
    """A short digest, for display."""
    return hashlib.sha256("".join(text.split()).encode("utf-8", "surrogatepass")).hexdigest()[:16]
