"""Owns what a task is to all three channels: the same words and tools, a plan for JSON, a cell for code."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from codeact_kernel import tool
from codeact_kernel.tools.registry import Tool
from codeact_kernel.wire.messages import Effect, Json


@dataclass(frozen=True)
class Call:
    """One JSON tool call."""

    tool: str
    arguments: Mapping[str, Json]


Plan: TypeAlias = Generator[list[Call], list[Any], str]
"""A perfect policy. It yields calls that do not hang on each other, is sent their results, decides on what it
saw, and returns the answer. Nothing else tells it of the data."""


@dataclass(frozen=True)
class Round:
    """One request of the user's. `plan(parallel)`: how JSON solves it; `thought`, `cell`: how code does; it
    answers with what the cell printed. `answer`: the right one. `look`: a cell before it, which looks up how
    the tools are called."""

    words: str
    plan: Callable[[bool], Plan]
    thought: str
    cell: str
    answer: str
    look: str = ""

    @property
    def cells(self) -> Sequence[str]:
        return [self.look, self.cell] if self.look else [self.cell]


@dataclass(frozen=True)
class Task:
    """A conversation and its world. `changed`: what the tools were told to change, in order; `right`: what
    that must be in the end, in any order. `definitions`: of the tools, as JSON has them, when they are not
    made of functions."""

    tools: tuple[Tool, ...]
    rounds: tuple[Round, ...]
    changed: list[Json]
    right: list[Json]
    definitions: Sequence[Mapping[str, Any]] = ()


def made(function: Callable[..., Any], effect: Effect = "read") -> Tool:
    """All tools run where the loop does, and take no time of their own."""
    return tool(function, thread="loop", effect=effect)


def chance_of(*key: object) -> random.Random:
    """The world is made up, but the same for every channel and in every run."""
    return random.Random(repr(key))
