"""Owns showing a saved run: a trajectory told again as the events of a run."""

from __future__ import annotations

from collections.abc import Iterator

from ..events import (
    ActionReady,
    Event,
    Notice,
    OutputShown,
    StepFinished,
    StepStarted,
    ThoughtDelta,
    ToolFinished,
    TurnFinished,
    TurnStarted,
)
from ..trajectory import Step, Trajectory


def events_of(trajectory: Trajectory) -> Iterator[Event]:
    """The events that a run with this trajectory would have shown; a thought is one delta."""
    for turn in trajectory.turns:
        yield TurnStarted(turn.task)
        yield from map(Notice, turn.notes)
        for step in turn.steps:
            yield from _step(step)
        if turn.stop is not None:
            yield TurnFinished(turn.stop)


def _step(step: Step) -> Iterator[Event]:
    yield StepStarted(step.index)
    yield ThoughtDelta(step.reply.thought)
    if step.action is not None:
        yield ActionReady(step.index, step.action)
    # When each call was made between the outputs is not recorded.
    yield from map(ToolFinished, step.observation.tool_calls)
    yield from map(OutputShown, step.observation.shown)
    yield StepFinished(step)
