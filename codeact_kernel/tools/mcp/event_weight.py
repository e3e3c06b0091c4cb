"""Owns how many values an event of a stream has: counted while it comes, before anybody makes them."""

from __future__ import annotations

import re

from .messages import MAX_VALUES, STRING, marks

_REST_OF_STRING = re.compile(rb'[^"\\]*(?:\\.[^"\\]*)*', re.DOTALL)
BACKSLASH = ord("\\")


class EventWeight:
    """Of the events of one stream, fed in chunks as they come. Text in strings counts as one value."""

    def __init__(self) -> None:
        self.values = 0
        self._empty = True
        self._inside = False
        self._escaped = False

    def feed(self, chunk: bytes) -> bool:
        """Whether the event that is coming is still one that can be taken."""
        first, *more = chunk.split(b"\n")
        self._part(first)
        for line in more:
            if self._empty:  # It was a blank line: the event has ended.
                self.values = 0
            self._empty, self._inside, self._escaped = True, False, False
            self._part(line)
            if self.values > MAX_VALUES:
                return False
        return self.values <= MAX_VALUES

    def _part(self, text: bytes) -> None:
        """Of one line."""
        self._empty = self._empty and not text.strip(b"\r")
        outside = STRING.sub(b"", self._after_string(text))
        quote = outside.find(b'"')
        if quote >= 0:
            self._inside = True
            self._escaped = _ends_in_backslash(outside, quote + 1)
            outside = outside[:quote]
        self.values += marks(outside)

    def _after_string(self, text: bytes) -> bytes:
        """What follows the string that the line goes on with, if it does."""
        if not self._inside or not text:
            return text
        at = 1 if self._escaped else 0
        self._escaped = _ends_in_backslash(text, at)
        end = _end_of_string(text, at)
        self._inside = end == len(text) or self._escaped
        return b"" if self._inside else text[end + 1 :]


def _end_of_string(text: bytes, at: int) -> int:
    """Where its quote is; or a backslash that is the last of the text; or the end."""
    found = _REST_OF_STRING.match(text, at)
    return at if found is None else found.end()


def _ends_in_backslash(text: bytes, at: int) -> bool:
    """Whether what it escapes is still to come."""
    end = _end_of_string(text, at)
    return end < len(text) and text[end] == BACKSLASH
