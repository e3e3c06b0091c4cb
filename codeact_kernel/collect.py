"""Owns what stays of a cell's outputs: updates and clears applied, streams joined, memory bounded."""

from __future__ import annotations

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
"""A quarter of the bytes is kept for the end of what was printed."""


@dataclass
class _Text:
    """Consecutive text of one stream: its head and its tail."""

    name: str
    head: list[str] = field(default_factory=list)
    tail: str = ""
    dropped: int = 0

    def shown(self) -> Stream:
        gap = f"\n[… {self.dropped:,} characters not kept …]\n" if self.dropped else ""
        return Stream("stderr" if self.name == "stderr" else "stdout", "".join(self.head) + gap + self.tail)


class Collector:
    """Takes the outputs of one cell as they come and says what is visible at the end.

    Holds at most about `limits.kept_bytes`, however much comes in.
    """

    def __init__(self, limits: OutputLimits) -> None:
        self._limits = limits
        self._items: list[_Text | Display | Result | Error] = []
        self._size = 0
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
                self._items.append(replace(output, data=self._fit(data)))
            case DisplayUpdate(display_id, data, metadata):
                self._update(display_id, data, metadata)
            case Error(traceback=lines):
                text = "\n".join(lines)
                self._size += len(text)
                self._items.append(output)
            case _:
                assert_never(output)

    def shown(self) -> tuple[Shown, ...]:
        """What is visible now."""
        return tuple(item.shown() if isinstance(item, _Text) else item for item in self._items)

    def _clear(self) -> None:
        self._items.clear()
        self._size, self._clear_next = 0, False

    def _add_text(self, name: str, text: str) -> None:
        last = self._items[-1] if self._items else None
        if not (isinstance(last, _Text) and last.name == name):
            if len(self._items) > 10_000:
                self.truncated = True  # A cell that alternates streams for ever.
                return
            last = _Text(name)
            self._items.append(last)
        tail_limit = self._limits.kept_bytes // TAIL_SHARE
        room = max(0, self._limits.kept_bytes - tail_limit - self._size)
        head, rest = text[:room], text[room:]
        if head:
            last.head.append(head)
            self._size += len(head)
        if rest:
            tail = last.tail + rest
            kept = tail[-tail_limit:] if tail_limit else ""
            last.dropped += len(tail) - len(kept)
            last.tail = kept
            self.truncated = self.truncated or last.dropped > 0

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
