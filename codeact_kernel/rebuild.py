"""Owns the restoration of kernel state: a trajectory's actions run again, tools answered from its tape.

One function, `rebuild`, for everything that restores: the kill ladder, and replay with its verdicts.
"""

from __future__ import annotations

import ast
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from .collect import Collector
from .config import OutputLimits
from .interfaces import Executor
from .outputs import Finished, Output
from .trajectory import Action, Observation, Refusal, Step, Trajectory
from .wire.messages import Raised, ToolCall, ToolOutcome, ToolRequest
from .wire.recorded import recorded_source
from .wire.tape import Tape, TapeMiss

RECORDED_NAMES = {"timeout": "StepTimeout", "killed": "KernelKilled"}


@dataclass(frozen=True)
class Rebuilt:
    """One step, run again: what it showed now, and where its tool calls left the tape."""

    step: Step
    observation: Observation
    misses: tuple[str, ...] = ()
    unused: tuple[ToolCall, ...] = ()


class TapeCalls:
    """The CallHandler of a step that is run again. No tool is called."""

    def __init__(self, tape: Tape, step: Step) -> None:
        self._tape = tape
        self._step = step.index
        tape.begin_step(step.index)
        self.misses: list[str] = []
        self.calls: list[ToolCall] = []
        self.refusals: list[Refusal] = []

    async def call(self, request: ToolRequest) -> ToolOutcome:
        try:
            outcome = self._tape.answer(request.tool, request.args, request.kwargs)
        except TapeMiss as miss:
            self.misses.append(str(miss))
            outcome = Raised("LookupError", str(miss))
        index = len(self.calls) + 1
        self.calls.append(ToolCall(self._step, index, request.tool, request.args, request.kwargs, outcome))
        return outcome

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
    on_output: Callable[[Step, Output], None] | None = None,
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
        calls = TapeCalls(tape, step)
        collector = Collector(limits)
        finished = Finished("killed")
        async with aclosing(executor.execute(Action(source), calls)) as stream:
            async for output in stream:
                collector.add(output)
                if on_output is not None:
                    on_output(step, output)
                if isinstance(output, Finished):
                    finished = output
        observation = observe(collector, finished, tuple(calls.calls), tuple(calls.refusals))
        yield Rebuilt(step, observation, tuple(calls.misses), tape.unused(step.index))
        if finished.status == "killed":
            return


def observe(
    collector: Collector,
    finished: Finished,
    calls: tuple[ToolCall, ...] = (),
    refusals: tuple[Refusal, ...] = (),
) -> Observation:
    """The observation of a cell that has ended."""
    return Observation(
        status=finished.status,
        shown=collector.shown(),
        reason=finished.reason,
        execution_count=finished.execution_count,
        names=finished.names,
        tool_calls=calls,
        refusals=refusals,
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
