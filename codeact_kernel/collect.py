"""Owns what stays of a cell's outputs: updates and clears applied, streams joined, memory bounded."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import assert_never

from .config import OutputLimits
from .outputs import (
    ClearOutput,
    Display,
    DisplayUpdate,
    Error,
    Finished,
    MimeBundle,
    Output,
    Result,
    Shown,
    Stream,
)

TAIL_SHARE = 4
"""A quarter of the bytes is kept for the end of what was printed, and as much for an error."""
MAX_ITEMS = 10_000


@dataclass(eq=False)
class _Text:
    """Consecutive text of one stream: its head. The tails are the Collector's."""

    name: str
    head: list[str] = field(default_factory=list)
    dropped: int = 0

    def shown(self, tail: str) -> Stream:
        gap = f"\n[… {self.dropped:,} characters not kept …]\n" if self.dropped else ""
        return Stream("stderr" if self.name == "stderr" else "stdout", "".join(self.head) + gap + tail)


class Collector:
    """Takes the outputs of one cell as they come and says what is visible at the end.

    Holds at most about `limits.kept_bytes`, however much comes in.
    """

    def __init__(self, limits: OutputLimits) -> None:
        self._limits = limits
        self._items: list[_Text | Display | Result | Error] = []
        self._size = 0
        self._tail: deque[tuple[_Text, str]] = deque()
        self._tail_size = 0
        self._tail_limit = limits.kept_bytes // TAIL_SHARE
        self._clear_next = False
        self.truncated = False

    def add(self, output: Output) -> None:
        """One output, in order of arrival."""
        if isinstance(output, ClearOutput):
            self._clear_next = output.wait
            if not output.wait:
                self._clear()
            return
        if isinstance(output, Finished):
            self.truncated = self.truncated or output.truncated
            return
        if self._clear_next and not isinstance(output, DisplayUpdate):
            self._clear()
        match output:
            case Stream(name, text):
                self._add_text(name, text)
            case Display(data=data) | Result(data=data):
                self._append(replace(output, data=self._fit(data)))
            case DisplayUpdate(display_id, data, metadata):
                self._update(display_id, data, metadata)
            case Error():
                self._append(self._fit_error(output))
            case _:
                assert_never(output)

    def shown(self) -> tuple[Shown, ...]:
        """What is visible now."""
        tails: dict[int, list[str]] = {}
        for text, part in self._tail:
            tails.setdefault(id(text), []).append(part)
        return tuple(
            item.shown("".join(tails.get(id(item), ()))) if isinstance(item, _Text) else item
            for item in self._items
        )

    def _append(self, item: _Text | Display | Result | Error) -> None:
        if len(self._items) < MAX_ITEMS or isinstance(item, Error):
            self._items.append(item)
        else:
            self.truncated = True  # A cell that shows things for ever.

    def _clear(self) -> None:
        self._items.clear()
        self._tail.clear()
        self._size, self._tail_size, self._clear_next = 0, 0, False

    def _add_text(self, name: str, text: str) -> None:
        last = self._items[-1] if self._items else None
        if not (isinstance(last, _Text) and last.name == name):
            last = _Text(name)
            self._append(last)
            if self._items[-1] is not last:
                return
        room = max(0, self._limits.kept_bytes - self._tail_limit - self._size)
        head, rest = text[:room], text[room:]
        if head:
            last.head.append(head)
            self._size += len(head)
        if rest:
            self._add_tail(last, rest)

    def _add_tail(self, text: _Text, rest: str) -> None:
        self._tail.append((text, rest))
        self._tail_size += len(rest)
        while self._tail_size > self._tail_limit:
            oldest, part = self._tail.popleft()
            gone = min(len(part), self._tail_size - self._tail_limit)
            if gone < len(part):
                self._tail.appendleft((oldest, part[gone:]))
            oldest.dropped += gone
            self._tail_size -= gone
            self.truncated = True

    def _fit_error(self, error: Error) -> Error:
        size = len(error.evalue) + sum(map(len, error.traceback))
        if self._size + size <= self._limits.kept_bytes:
            self._size += size
            return error
        self.truncated = True
        lines: deque[str] = deque()
        room = self._tail_limit
        for line in reversed(error.traceback):
            room -= len(line)
            if room < 0:
                lines.appendleft(f"[… {len(error.traceback) - len(lines)} parts not kept …]")
                break
            lines.appendleft(line)
        return Error(error.ename[: self._tail_limit], error.evalue[: self._tail_limit], tuple(lines))

    def _fit(self, data: MimeBundle) -> MimeBundle:
        size = sum(len(str(value)) for value in data.values())
        if self._size + size <= self._limits.kept_bytes:
            self._size += size
            return data
        self.truncated = True
        kinds = ", ".join(list(data)[:10])
        return {"text/plain": f"[… an output of {size:,} characters not kept: {kinds[:200]} …]"}

    def _update(self, display_id: str, data: MimeBundle, metadata: MimeBundle) -> None:
        for i, item in enumerate(self._items):
            if isinstance(item, Display) and item.display_id == display_id:
                self._size -= sum(len(str(value)) for value in item.data.values())
                self._items[i] = replace(item, data=self._fit(data), metadata=metadata)
