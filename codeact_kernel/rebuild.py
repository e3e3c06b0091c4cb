"""Owns the restoration of kernel state: a trajectory's actions run again, tools answered from its tape.

One function, `rebuild`, for everything that restores: the kill ladder, and replay with its verdicts.
"""

from __future__ import annotations

import ast
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TypeVar

from .collect import Collector
from .config import OutputLimits
from .interfaces import CallHandler, Executor
from .outputs import Finished, Output
from .trajectory import Action, Observation, Refusal, Step, Trajectory
from .wire.blob import textual
from .wire.messages import Raised, ToolCall, ToolOutcome, ToolRequest
from .wire.recorded import recorded_source
from .wire.tape import Tape, TapeMiss
from .wire.weight import weight

T = TypeVar("T")
RECORDED_NAMES = {"timeout": "StepTimeout", "killed": "KernelKilled"}


MAX_MISSES = 200
"""Of one step, that are kept; further ones are counted."""
MAX_ASKED = 64 * 1024
"""Bytes of the arguments of a call that missed, up to which they are kept."""


@dataclass(frozen=True)
class Miss:
    """A call that the tape did not answer. `asked`: None when it was too large to keep.

    `in_doubt`: it is on the tape, and what came of it is not known.
    """

    message: str
    asked: ToolCall | None = None
    in_doubt: bool = False


@dataclass(frozen=True)
class Rebuilt:
    """One step, run again: what it showed now, and where its tool calls left the tape.

    `changes`: calls whose tool, asked again, said something else, one sentence each. `more`: how many there
    were beside `misses` and `changes`.
    """

    step: Step
    observation: Observation
    misses: tuple[Miss, ...] = ()
    unused: tuple[ToolCall, ...] = ()
    more: int = 0
    changes: tuple[str, ...] = ()


class TapeCalls(CallHandler):
    """The CallHandler of a step that is run again. No tool is called.

    What it keeps is bounded by the tape: a notebook may ask for calls without end.
    """

    def __init__(self, tape: Tape, step: Step) -> None:
        self._tape = tape
        self._step = step.index
        tape.begin_step(step.index)
        self.misses: list[Miss] = []
        self.more = 0
        self.changes: list[str] = []
        self.calls: list[ToolCall] = []
        """Those that were answered."""
        self.refusals: list[Refusal] = []

    async def call(self, request: ToolRequest) -> ToolOutcome:
        try:
            return self.recorded(request)
        except TapeMiss as miss:
            return Raised("LookupError", str(miss))

    def recorded(self, request: ToolRequest) -> ToolOutcome:
        """What the tape has for this call. Raises TapeMiss, after keeping it."""
        index, args, kwargs = len(self.calls) + 1, textual(request.args), textual(request.kwargs)
        asked = ToolCall(self._step, index, request.tool, args, kwargs, None)
        try:
            outcome = self._tape.answer(request.tool, request.args, request.kwargs)
        except TapeMiss as miss:
            small = weight((request.args, request.kwargs)) <= MAX_ASKED
            self.keep(self.misses, Miss(str(miss), asked if small else None, miss.in_doubt))
            raise
        self.calls.append(replace(asked, outcome=outcome))
        return outcome

    def keep(self, kept: list[T], what: T) -> None:
        """Adds to `misses` or `changes`; counts what is too many."""
        if len(kept) < MAX_MISSES:
            kept.append(what)
        else:
            self.more += 1

    def refused(self, refusal: Refusal) -> None:
        self.refusals.append(refusal)


def source_of(step: Step) -> str:
    """The cell source of a step as its notebook has it; "" for a step without an action.

    A step that hung or was killed is shown and re-raised, not run.
    """
    if step.action is None:
        return ""
    status = step.observation.status
    if status == "ok" or status == "error":
        return step.action.code
    error = step.observation.error
    evalue = step.observation.reason or (error.evalue if error else "")
    return recorded_source(status, RECORDED_NAMES[status], evalue, step.action.code)


async def rebuild(
    executor: Executor,
    trajectory: Trajectory,
    *,
    limits: OutputLimits = OutputLimits(),
    handler: Callable[[Tape, Step], TapeCalls] = TapeCalls,
) -> AsyncGenerator[Rebuilt, None]:
    """Runs every action of `trajectory` on a freshly started `executor`, in order.

    Yields a Rebuilt per step that has an action. Stops early only when the kernel is killed.
    Raises: SandboxError.
    """
    tape = Tape(call for step in trajectory.steps for call in step.observation.tool_calls)
    for step in trajectory.steps:
        source = source_of(step)
        if not source:
            continue
        calls = handler(tape, step)
        observation = await ran(executor, Action(source), calls, limits)
        observation = replace(observation, tool_calls=tuple(calls.calls), refusals=tuple(calls.refusals))
        yield Rebuilt(
            step,
            observation,
            tuple(calls.misses),
            tape.unused(step.index),
            calls.more,
            tuple(calls.changes),
        )
        if observation.status == "killed":
            return


async def ran(
    executor: Executor,
    action: Action,
    calls: CallHandler,
    limits: OutputLimits,
    on_output: Callable[[Output], None] = lambda output: None,
) -> Observation:
    """Runs one cell to its end: what was observed, but for the calls, which `calls` knows. `on_output` gets
    all but Finished. Raises: SandboxError."""
    collector, finished = Collector(limits), Finished("killed")
    async with aclosing(executor.execute(action, calls)) as outputs:
        async for output in outputs:
            collector.add(output)
            if isinstance(output, Finished):
                finished = output
            else:
                on_output(output)
    return Observation(
        status=finished.status,
        shown=collector.shown(),
        reason=finished.reason,
        execution_count=finished.execution_count,
        names=finished.names,
        duration_s=round(finished.duration_s, 6),
        truncated=collector.truncated,
        files=finished.files,
        more_files=finished.more_files,
    )


def assigned_names(code: str) -> frozenset[str]:
    """Names that `code` binds at top level, as far as its text tells."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return frozenset()
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()):
                found.add(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                found.add(name)
            case ast.alias(name=name, asname=asname):
                found.add(asname or name.partition(".")[0])
    return frozenset(found)


async def restore(
    executor: Executor,
    trajectory: Trajectory,
    lost: Action | None = None,
    *,
    fresh: bool = False,
    on_step: Callable[[Rebuilt], None] | None = None,
) -> tuple[str, ...]:
    """Restarts `executor` and rebuilds; the names that could not be rebuilt, sorted.

    `lost`: the action that killed the kernel; what it had bound is lost by definition. `fresh`: the executor
    has just been started. `on_step` is told of each step that was run again, of some twice.
    """
    whole, found = trajectory, dict[int, set[str]]()
    killer: int | None = 0
    while killer is not None:  # A step that kills the kernel when it is run again is left out.
        trajectory = without_step(trajectory, killer)
        if killer or not fresh:
            await executor.restart()
        killer, found = None, {}
        async for rebuilt in rebuild(executor, trajectory):
            found[rebuilt.step.index] = set(rebuilt.observation.names)
            if rebuilt.observation.status == "killed":
                killer = rebuilt.step.index
            if on_step is not None:
                on_step(rebuilt)
    missing = _missing(whole, found)
    if lost is not None:
        missing |= assigned_names(lost.code) - set().union(*found.values())
    return tuple(sorted(name for name in missing if not name.startswith("_")))


def restored_note(missing: Sequence[str]) -> str:
    """What the model is told of a restoration."""
    if not missing:
        return "The variables of the earlier steps were rebuilt."
    return (
        "The earlier steps were run again (no tool was called again), but these names could not be rebuilt: "
        f"{', '.join(missing)}."
    )


def _missing(trajectory: Trajectory, found: Mapping[int, set[str]]) -> set[str]:
    """Names that are not what they were; `found`: what each step bound when it was run again."""
    missing: set[str] = set()
    known: set[str] = set()
    for step in trajectory.steps:
        now, then = found.get(step.index, set()), set(step.observation.names)
        known |= now
        missing -= now
        # What a step bound before it timed out is not bound again: even a known name is not as it was.
        missing |= then - known if step.observation.status in ("ok", "error") else then
    return missing


def without_step(trajectory: Trajectory, index: int) -> Trajectory:
    """The trajectory without the step of that number, if it has one."""
    turns = (
        replace(turn, steps=tuple(step for step in turn.steps if step.index != index))
        for turn in trajectory.turns
    )
    return replace(trajectory, turns=tuple(turns))
