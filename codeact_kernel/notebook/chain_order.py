"""Owns the order of the steps of a saved run, as one short text: `1-7`, or `1,8,2-7` where a person added a
step, `1,3-7` where one removed a step and the run went on.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from ..wire.messages import Json

MAX_CHARACTERS = 16 * 1024 * 1024
_SPANS = re.compile(r"(?:[0-9]{1,9}(?:-[0-9]{1,9})?(?:,(?=[0-9])|\Z))*")


@dataclass(frozen=True)
class Order:
    """Numbers of steps in the order they were recorded in. Ranks count from 1.

    Kept as spans: a hostile file may claim a billion steps.
    """

    spans: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, numbers: Iterable[int]) -> Order:
        spans: list[tuple[int, int]] = []
        for number in numbers:
            if spans and number == spans[-1][1] + 1:
                spans[-1] = (spans[-1][0], number)
            else:
                spans.append((number, number))
        return cls(tuple(spans))

    @classmethod
    def read(cls, text: Json) -> Order | None:
        """None for what is no such text."""
        if not isinstance(text, str) or len(text) > MAX_CHARACTERS or not _SPANS.fullmatch(text):
            return None
        return cls(tuple(span for part in filter(None, text.split(",")) for span in _span(part)))

    @property
    def text(self) -> str:
        return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in self.spans)

    @cached_property
    def _starts(self) -> list[int]:
        """How many numbers stand before each span; and all of them."""
        return list(accumulate((last - first + 1 for first, last in self.spans), initial=0))

    def __len__(self) -> int:
        return self._starts[-1]

    def ranks(self, numbers: Iterable[int]) -> Iterator[int | None]:
        """The rank of each number; None for one that was not recorded."""
        starts = self._starts
        sorted_spans = sorted((first, last, starts[index]) for index, (first, last) in enumerate(self.spans))
        for number in numbers:
            index = bisect_right(sorted_spans, number, key=lambda span: span[0]) - 1
            first, last, passed = sorted_spans[index] if index >= 0 else (0, -1, 0)
            yield passed + number - first + 1 if number <= last else None

    def spans_between(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """The numbers at these ranks, both included, as spans."""
        for index in range(max(bisect_right(self._starts, first - 1) - 1, 0), len(self.spans)):
            (begin, end), passed = self.spans[index], self._starts[index]
            if passed >= last:
                return
            yield begin + max(first - passed, 1) - 1, begin + min(last - passed, end - begin + 1) - 1


def _span(part: str) -> Iterator[tuple[int, int]]:
    first, _, last = part.partition("-")
    begin, end = int(first), int(last or first)
    if begin <= end:
        yield begin, end
