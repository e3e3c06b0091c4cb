"""Owns the verdict of a replay: each step's new observation against the recorded one, and the drift.

A step agrees when it ends the same way, makes the same tool calls and shows the same. What a re-run cannot
make equal is normalised, and only this: memory addresses, the session's temporary folders, the figures of
`%time` and `%timeit`, the order of a set, ids and dates of matplotlib's SVG, ids of a pandas Styler
(`normal_forms`), and of images all but the pixels (`pixels`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace

from .call_differences import call_differences
from .comparison import output_diff
from .interfaces import Executor
from .normal_forms import normalise, unordered
from .rebuild import RECORDED_NAMES, Rebuilt, TapeCalls, rebuild
from .trajectory import DriftKind, Observation, Step, Trajectory, Verdict
from .wire.tape import Tape

EXIT_CODES: Mapping[DriftKind, int] = {"code": 10, "tool": 11, "output": 12, "profile": 13}
"""The gravest first."""
COUNTED: frozenset[DriftKind] = frozenset({"code", "tool", "output"})
"""What makes a replay differ unless it is asked for otherwise."""


@dataclass(frozen=True)
class Drift:
    """One difference, for a person to read."""

    kind: DriftKind
    detail: str


@dataclass(frozen=True)
class StepVerdict:
    """One step, run again. `ran` is false of one that had hung or was killed: its error was raised again."""

    index: int
    drifts: tuple[Drift, ...] = ()
    ran: bool = True

    @property
    def agrees(self) -> bool:
        return not self.drifts

    @property
    def kinds(self) -> frozenset[DriftKind]:
        return frozenset(drift.kind for drift in self.drifts)


@dataclass(frozen=True)
class ReplayReport:
    """All steps that were run again, in order.

    `profile`: what the whole replay ran on that was otherwise when it was recorded. `remarks`: what a
    replay cannot show, one sentence each. `counted`: which kinds of drift make it differ; the others
    are told all the same.
    """

    steps: tuple[StepVerdict, ...]
    profile: tuple[Drift, ...] = ()
    remarks: tuple[str, ...] = ()
    counted: frozenset[DriftKind] = COUNTED

    @property
    def kinds(self) -> tuple[DriftKind, ...]:
        """The kinds of drift that were found and count, the gravest first."""
        return tuple(kind for kind in EXIT_CODES if kind in self._found & self.counted)

    @property
    def uncounted(self) -> tuple[DriftKind, ...]:
        """Likewise, those that do not count."""
        return tuple(kind for kind in EXIT_CODES if kind in self._found - self.counted)

    @property
    def _found(self) -> frozenset[DriftKind]:
        return frozenset(drift.kind for drift in self.profile).union(*(step.kinds for step in self.steps))

    @property
    def agrees(self) -> bool:
        return not self.kinds

    @property
    def exit_code(self) -> int:
        """0, or the code of the gravest kind of drift (`EXIT_CODES`)."""
        return EXIT_CODES[self.kinds[0]] if self.kinds else 0

    def verdict(self) -> Verdict:
        """What is kept of this report in the notebook."""
        return Verdict("drift" if self.kinds else "identical", self.kinds, remarks=self.remarks)


def counted(*, strict: bool = False, excepted: Iterable[str] = ()) -> frozenset[DriftKind]:
    """The kinds of drift that count: `strict` adds the profile, `excepted` takes some out."""
    return frozenset(kind for kind in (EXIT_CODES if strict else COUNTED) if kind not in set(excepted))


async def replay(
    executor: Executor,
    trajectory: Trajectory,
    *,
    to: int | None = None,
    handler: Callable[[Tape, Step], TapeCalls] = TapeCalls,
) -> AsyncGenerator[StepVerdict, None]:
    """Runs `trajectory` again on a started executor, tools answered from its tape; a verdict a step.

    `to`: the last step that is run. `handler`: who answers the calls of a step. Raises: SandboxError.
    """
    trajectory = trajectory if to is None else up_to(trajectory, to)
    left = [step.index for step in trajectory.steps if step.action is not None]
    async with aclosing(rebuild(executor, trajectory, handler=handler)) as steps:
        async for rebuilt in steps:
            left.pop(0)
            # Images and long texts take their time, and the loop serves others.
            yield await asyncio.to_thread(verdict, rebuilt)
    for index in left:
        yield StepVerdict(index, (Drift("code", "not run: the kernel was killed before it"),), ran=False)


def up_to(trajectory: Trajectory, step: int) -> Trajectory:
    """The trajectory up to that step. Cells that a person has added stand before it with higher numbers."""
    last = max((place for place, each in enumerate(trajectory.steps) if each.index <= step), default=-1)
    turns, kept = [], last + 1
    for turn in trajectory.turns:
        turns.append(replace(turn, steps=turn.steps[:kept]))
        kept -= len(turns[-1].steps)
    return replace(trajectory, turns=tuple(turns))


def verdict(rebuilt: Rebuilt) -> StepVerdict:
    """What differs between a step and its re-run."""
    old, new = rebuilt.step.observation, rebuilt.observation
    missed = new.error is not None and any(new.error.evalue == miss.message for miss in rebuilt.misses)
    drifts = [] if missed else [*_code_drift(old, new)]  # That it ends with the miss is no second drift.
    if old.status in RECORDED_NAMES:  # Its error is raised again and nothing of it is run.
        return StepVerdict(rebuilt.step.index, tuple(drifts), ran=False)
    drifts += [Drift("tool", difference) for difference in call_differences(rebuilt)]
    if lines := output_diff(old.shown, new.shown):
        drifts.append(Drift("output", "\n".join(lines)))
    return StepVerdict(rebuilt.step.index, tuple(drifts))


def _code_drift(old: Observation, new: Observation) -> Iterable[Drift]:
    if old.status in RECORDED_NAMES:
        name = RECORDED_NAMES[old.status]
        if new.error is None or new.error.ename != name:
            yield Drift("code", f"recorded as {name}, now {ending(new)}")
    elif ending(old) != ending(new):
        yield Drift("code", f"recorded: {ending(old)}; now: {ending(new)}")


def ending(observation: Observation) -> str:
    """How a cell ended: its error, or its status."""
    error = observation.error
    if error is None:
        return observation.status if not observation.reason else f"{observation.status}, {observation.reason}"
    return unordered(normalise(f"{error.ename}: {error.evalue}"))
