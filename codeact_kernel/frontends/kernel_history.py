"""Owns the history of a front-end kernel's cells, as `history_request` asks for it. In memory only."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from fnmatch import translate

MAX_CELLS = 1_000
MAX_CELL = 20_000


@dataclass(frozen=True)
class Entry:
    line: int
    source: str
    result: str | None = None


class History:
    """The cells so far."""

    def __init__(self) -> None:
        self._cells: deque[Entry] = deque(maxlen=MAX_CELLS)

    def add(self, line: int, source: str, result: str | None = None) -> None:
        """`result`: what the cell gave, as text."""
        shown = None if result is None else result[:MAX_CELL]
        self._cells.append(Entry(line, source[:MAX_CELL], shown))

    def tail(self, number: int) -> list[Entry]:
        """The last ones, the oldest first."""
        return list(self._cells)[-number:] if number > 0 else []

    def range(self, start: int, stop: int | None) -> list[Entry]:
        """Those with these numbers, `stop` excluded; a negative one counts from the end."""
        if start < 0 and self._cells:
            start += self._cells[-1].line + 1
        return [cell for cell in self._cells if cell.line >= start and (not stop or cell.line < stop)]

    def search(self, pattern: str, number: int | None, unique: bool) -> list[Entry]:
        """The last ones that fit a pattern with `*` and `?`; `unique`: each source once."""
        fits = re.compile(translate(pattern)).match
        found = [cell for cell in self._cells if fits(cell.source)]
        if unique:
            found = list({cell.source: cell for cell in found}.values())
        return found[-number:] if number else found
