"""Owns what may reach a terminal: text from the model or the sandbox, made harmless and bounded.

What `clean` removes is in `inert.text`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from ..inert.text import clean as clean


def clip(text: str, limit: int) -> str:
    """The first `limit` characters, saying how many more there were."""
    return text if len(text) <= limit else f"{text[:limit]}… (+{len(text) - limit:,} characters)"


class LineWindow:
    """The lines of a stream as they come: the first `head` at once, the last `tail` at the end.

    A carriage return overwrites its line, as on a terminal. Memory is bounded by `head`, `tail` and
    `width`, however much is fed.

    Args:
        head: lines shown as they come; None: all.
        tail: lines kept for the end.
        width: characters of one line.
    """

    def __init__(self, head: int | None, tail: int, width: int = 1000) -> None:
        self._head = head
        self._width = width
        self._shown = 0
        self._dropped = 0
        self._tail: deque[str] = deque(maxlen=tail)
        self._partial = ""
        self._partial_over = 0

    @property
    def partial(self) -> str:
        """The line that has not ended yet."""
        return self._finished(self._partial, self._partial_over)

    def feed(self, text: str) -> Iterator[str]:
        """The lines to show now."""
        *lines, rest = text.replace("\r\n", "\n").split("\n")
        room = len(lines) if self._head is None else self._head - self._shown
        for line in lines[:room]:
            self._shown += 1
            yield self._ended(line)
        hidden = lines[room:]
        for line in hidden[self._skipped(len(hidden)) :]:
            self._take(self._ended(line))
        self._extend(rest)

    def _ended(self, line: str) -> str:
        self._extend(line)
        complete, self._partial, self._partial_over = self.partial, "", 0
        return complete

    def _skipped(self, count: int) -> int:
        """How many of `count` hidden lines need no look: as many as the tail keeps come after them."""
        start = count - (self._tail.maxlen or 0)
        if start <= 0:
            return 0
        self._dropped += start
        self._partial, self._partial_over = "", 0
        return start

    def close(self) -> tuple[int, list[str]]:
        """How many lines stay hidden, and the lines after them. An unfinished line counts as one."""
        if self._partial or self._partial_over:
            partial, self._partial, self._partial_over = self.partial, "", 0
            if self._take(partial):
                return 0, [partial]
        return self._dropped, list(self._tail)

    def _take(self, line: str) -> bool:
        if self._head is None or self._shown < self._head:
            self._shown += 1
            return True
        if len(self._tail) == self._tail.maxlen:
            self._dropped += 1
        self._tail.append(line)
        return False

    def _extend(self, text: str) -> None:
        text = self._partial + text
        if "\r" in text:
            text, self._partial_over = _overwritten(text), 0
        # Room for escape sequences that `clean` will take out of the visible part.
        room = 4 * self._width
        self._partial_over += max(0, len(text) - room)
        self._partial = text[:room]

    def _finished(self, line: str, over: int) -> str:
        line = clean(_overwritten(line))
        hidden = max(0, len(line) - self._width) + over
        return f"{line[: self._width]}… (+{hidden:,} characters)" if hidden else line


def _overwritten(line: str) -> str:
    """What is left of a line after its carriage returns; one at the end overwrites nothing yet."""
    body = line.rstrip("\r")
    kept = body[body.rfind("\r") + 1 :]
    return kept + "\r" if line.endswith("\r") else kept
