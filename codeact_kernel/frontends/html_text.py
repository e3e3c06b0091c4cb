"""Owns text of a run as HTML: escaped, cleaned, bounded; and how much of a page is left."""

from __future__ import annotations

import html
import json
from dataclasses import dataclass

from ..wire.messages import Json
from .terminal import LineWindow, clean

MAX_TEXT = 200_000
"""Characters of one text in a page."""
MAX_LINE = 20_000
_TAIL = 40_000
"""Of them from the end."""


@dataclass
class Room:
    """What a page may still take: characters of text, base64 characters of pictures, characters of code to
    colour, frames, outputs, steps.

    One page is used for one run; a notebook of half a gigabyte must not become a page of several.
    """

    text: int = 20_000_000
    pictures: int = 100_000_000
    code: int = 400_000
    frames: int = 200
    outputs: int = 20_000
    steps: int = 5_000

    def text_for(self, wanted: int, limit: int = MAX_TEXT) -> int:
        """How many of `wanted` characters are shown; they are taken."""
        given = min(wanted, limit, self.text)
        self.text -= given
        return given


def esc(text: str) -> str:
    """Text that is nothing but text, also inside a quoted attribute."""
    return html.escape(clean(text))


def line(text: str, limit: int = 200) -> str:
    """The text on one line, cut; escaped."""
    shown = " ".join(clean(text[: 4 * limit]).split())
    return html.escape(shown if len(shown) <= limit and len(text) <= 4 * limit else shown[: limit - 1] + "…")


def passage(text: str, room: Room, style: str, limit: int = MAX_TEXT) -> str:
    """A block of preformatted text. Of a long one the beginning and the end, and how much is left out."""
    shown = room.text_for(len(text), limit)
    if shown == len(text):
        return f'<pre class="{style}">{html.escape(_lines(text))}</pre>'
    tail = min(_TAIL, shown // 5)
    head = text[: shown - tail]
    left = note(f"… {len(text) - shown:,} characters left out; the notebook has them …")
    if not tail:
        return left
    parts = (_lines(head), _lines(text[len(text) - tail :]))
    before, after = (f'<pre class="{style}">{html.escape(part)}</pre>' for part in parts)
    return before + left + after


def note(text: str) -> str:
    """A remark of ours. Escapes it."""
    return f'<p class="note">{esc(text)}</p>'


def json_text(value: Json, limit: int = MAX_TEXT) -> str:
    """Indented JSON, at most about `limit` characters of it. The work is bounded too."""
    found: list[str] = []
    size = 0
    try:
        for part in json.JSONEncoder(indent=2, ensure_ascii=False).iterencode(value):
            found.append(part)
            size += len(part)
            if size > limit:
                return "".join(found)[:limit] + "\n… cut here; the notebook has the rest"
    except RecursionError:
        found.append("\n… nested too deep to be shown")
    return "".join(found)


def _lines(text: str) -> str:
    """What a terminal would show: a carriage return overwrites its line."""
    window = LineWindow(None, 1, MAX_LINE)
    return "\n".join([*window.feed(text), *window.close()[1]])
