"""Owns how far a trajectory came, so that of two records of a run the longer one can be told."""

from __future__ import annotations

from typing import NamedTuple

from ..trajectory import Trajectory


class Progress(NamedTuple):
    """Counts that only grow during a run; compared in this order."""

    turns: int
    steps: int
    stops: int
    settled_calls: int
    calls: int


def progress_of(trajectory: Trajectory) -> Progress:
    calls = [call for step in trajectory.steps for call in step.observation.tool_calls]
    return Progress(
        len(trajectory.turns),
        len(trajectory.steps),
        sum(turn.stop is not None for turn in trajectory.turns),
        sum(call.outcome is not None for call in calls),
        len(calls),
    )
