"""Owns the cells of a run with watched functions in them: a decorator, and nothing else, is put in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from ..trajectory import Step, Trajectory
from ..wire.skill_watch import WATCH
from .cells import Binding, first_line

_NEWLINE = re.compile(r"\r\n|\r|\n")


def instrumented(trajectory: Trajectory, functions: Iterable[Binding]) -> Trajectory:
    """The run with these functions watched, from the step on that defines each."""
    by_step: dict[int, dict[int, str]] = {}
    for function in functions:
        by_step.setdefault(function.step, {})[first_line(function.node)] = function.name
    turns = (
        replace(turn, steps=tuple(_decorated(step, by_step.get(step.index, {})) for step in turn.steps))
        for turn in trajectory.turns
    )
    return replace(trajectory, turns=tuple(turns))


def _decorated(step: Step, names: Mapping[int, str]) -> Step:
    """`names`: by the first line of their functions."""
    if step.action is None or not names:
        return step
    code = _NEWLINE.split(step.action.code)
    for line in sorted(names, reverse=True):
        # By the name that it is bound to: what a decorator returns may have another.
        code.insert(line - 1, f"@{WATCH}({names[line]!r})")
    return replace(step, action=replace(step.action, code="\n".join(code)))
