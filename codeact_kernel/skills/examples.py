"""Owns what a function did in a run that is run again: its calls, their results, the tool calls in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..wire.messages import Json, ToolCall

MAX_EXAMPLES = 10
"""Of one function: a person reads them."""


@dataclass(frozen=True)
class Example:
    """One call of a function: values as they are encoded (`wire.values`), tool calls in their order."""

    step: int
    args: tuple[Json, ...]
    kwargs: Mapping[str, Json]
    result: Json
    calls: tuple[ToolCall, ...] = ()


@dataclass
class Watched:
    """What is known of the calls of one function. `refused`: why some are no examples -> how many."""

    examples: list[Example] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)

    @property
    def calls(self) -> int:
        return len(self.examples) + sum(self.refused.values())

    def refuse(self, why: str, times: int = 1) -> None:
        if times:
            self.refused[why] = self.refused.get(why, 0) + times

    def drop(self, step: int, why: str) -> None:
        """The examples of a step are none."""
        kept = [example for example in self.examples if example.step != step]
        self.refuse(why, len(self.examples) - len(kept))
        self.examples = kept
