"""Owns what stays of a cell's outputs: updates and clears applied, streams joined, memory bounded."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import TypeAlias, TypeVar, assert_never

from .config import OutputLimits
from .outputs import (
    ClearOutput,
    Display,
    DisplayUpdate,
    Error,
    Finished,
    Output,
    Result,
    Shown,
    Stream,
)
from .wire.lines import dump_line
from .wire.messages import Json

TAIL_SHARE = 4
"""A quarter of the bytes is kept for the end of what was printed, and as much for errors."""
MAX_ITEMS = 10_000
NESTED_BYTES = 64
"""Counted for every list and object in JSON content: what an empty one takes, whose text is `[]`."""
MAX_ID = 500
"""Characters of a display's id; one with a longer id cannot be updated."""
LEAST = 100
"""Characters kept of an error's name and of its text, however little room there is."""
MAX_COUNT = 2**63

T = TypeVar("T", Display, Result)


@dataclass(eq=False)
class _Text:
    """Consecutive text of one stream: its head. The tails are the Collector's."""

    name: str
    head: list[str] = field(default_factory=list)
    dropped: int = 0

    def shown(self, tail: str) -> Stream:
        gap = f"\n[… {self.dropped:,} characters not kept …]\n" if self.dropped else ""
        return Stream("stderr" if self.name == "stderr" else "stdout", "".join(self.head) + gap + tail)


@dataclass(eq=False)
class _Updated:
    """The displays of one id. Those that were updated are this one object, so that the next update costs
    its own size, however many there are."""

    fresh: list[int] = field(default_factory=list)
    """Places of those that were not updated yet."""
    count: int = 0
    """Of those that were."""
    size: int = 0
    """Of all of them."""
    display: Display = field(default_factory=lambda: Display({}))
    """What the updated ones show."""


_Item: TypeAlias = _Text | _Updated | Display | Result | Error


class Collector:
    """Takes the outputs of one cell as they come and says what is visible at the end.

    Holds at most about `limits.kept_bytes`, however much comes in, and takes a time that grows with what
    comes in and with nothing else.
    """

    def __init__(self, limits: OutputLimits) -> None:
        self._limits = limits
        self._items: list[_Item] = []
        self._size = 0
        self._tail: deque[tuple[_Text, str]] = deque()
        self._tail_size = 0
        self._tail_limit = limits.kept_bytes // TAIL_SHARE
        self._error_room = self._tail_limit
        self._updated: dict[str, _Updated] = {}
        self._clear_next = False
        self.truncated = False

    def add(self, output: Output) -> None:
        """One output, in order of arrival."""
        if isinstance(output, ClearOutput):
            if output.inside:
                return  # What the cell has shown stays.
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
            case Display():
                self._add_display(output)
            case Result(execution_count=count):
                if self._has_room():
                    sane = output if abs(count) < MAX_COUNT else replace(output, execution_count=0)
                    self._items.append(self._fit(sane)[0])
            case DisplayUpdate():
                self._update(output)
            case Error():
                self._add_error(output)
            case _:
                assert_never(output)

    def shown(self) -> tuple[Shown, ...]:
        """What is visible now."""
        tails: dict[int, list[str]] = {}
        for text, part in self._tail:
            tails.setdefault(id(text), []).append(part)
        found: list[Shown] = []
        for item in self._items:
            if isinstance(item, _Text):
                found.append(item.shown("".join(tails.get(id(item), ()))))
            else:
                found.append(item.display if isinstance(item, _Updated) else item)
        return tuple(found)

    def _has_room(self) -> bool:
        room = len(self._items) < MAX_ITEMS
        self.truncated = self.truncated or not room  # A cell that shows things for ever.
        return room

    def _clear(self) -> None:
        self._items.clear()
        self._tail.clear()
        self._updated.clear()
        self._size, self._tail_size, self._clear_next = 0, 0, False
        self._error_room = self._tail_limit

    # --- text ---

    def _add_text(self, name: str, text: str) -> None:
        last = self._items[-1] if self._items else None
        if not (isinstance(last, _Text) and last.name == name):
            if not self._has_room():
                return
            last = _Text(name)
            self._items.append(last)
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

    # --- errors ---

    def _add_error(self, error: Error) -> None:
        """The last one is shown in any case: it is what ended the cell."""
        if len(self._items) > MAX_ITEMS:
            self._items.pop()
            self.truncated = True
        self._items.append(self._fit_error(error))

    def _fit_error(self, error: Error) -> Error:
        size = len(error.ename) + len(error.evalue) + sum(map(len, error.traceback))
        if self._size + size <= self._limits.kept_bytes:
            self._size += size
            return error
        self.truncated = True
        ename, evalue = self._cut(error.ename), self._cut(error.evalue)
        lines: deque[str] = deque()
        for line in reversed(error.traceback):
            if len(line) > self._error_room:
                lines.appendleft(f"[… {len(error.traceback) - len(lines)} parts not kept …]")
                break
            self._error_room -= len(line)
            lines.appendleft(line)
        return Error(ename, evalue, tuple(lines))

    def _cut(self, text: str) -> str:
        """As much of it as there is room for; half of it is left for the rest of the error."""
        kept = text[: max(self._error_room // 2, LEAST)]
        self._error_room = max(self._error_room - len(kept), 0)
        return kept

    # --- displays ---

    def _add_display(self, display: Display) -> None:
        if not self._has_room():
            return
        if len(display.display_id or "") > MAX_ID:
            display = replace(display, display_id=None)
        fitted, size = self._fit(display)
        if fitted.display_id is not None:
            group = self._updated.setdefault(fitted.display_id, _Updated())
            group.fresh.append(len(self._items))
            group.size += size
        self._items.append(fitted)

    def _update(self, update: DisplayUpdate) -> None:
        group = self._updated.get(update.display_id)
        if group is None:
            return
        for place in group.fresh:
            self._items[place] = group
        group.count += len(group.fresh)
        group.fresh.clear()
        self._size -= group.size
        new = Display(update.data, update.metadata, update.display_id)
        group.display, group.size = self._fit(new, times=group.count)

    def _fit(self, item: T, times: int = 1) -> tuple[T, int]:
        """It, or a note instead, and what it counts when it is shown so many times: kept it is once, but
        written and shown it is as often."""
        size = _size(item)
        if self._size + times * size <= self._limits.kept_bytes:
            self._size += times * size
            return item, times * size
        self.truncated = True
        kinds = ", ".join(kind[:100] for kind in list(item.data)[:10])
        data = {"text/plain": f"[… an output of {size:,} characters not kept: {kinds[:200]} …]"}
        return replace(item, data=data, metadata={}), 0


def _size(item: Display | Result) -> int:
    size = sum(len(kind) + _measure(value) for kind, value in item.data.items())
    if item.metadata:
        size += _measure(item.metadata)
    return size


def _measure(value: Json) -> int:
    if isinstance(value, str):
        return len(value)
    try:
        text = str(value)
    except RecursionError:  # The parser took it with more of the stack left.
        text = dump_line(value)
    return len(text) + NESTED_BYTES * (text.count("[") + text.count("{"))
