"""Owns what JupyterLab makes of a cell's outputs when it opens them, and so saves.

Texts of a stream that follow each other become one, and what a program overwrote with backspaces and carriage
returns, as progress bars do, is gone. As JupyterLab 4.3 and later do it: `Private.processText` in
packages/outputarea/src/model.ts.
"""

from __future__ import annotations

import re
from array import array
from itertools import groupby

from ..wire.messages import Json
from .outputs import joined

MAX_FOLLOWED = 4 * 1024 * 1024
"""Characters of one text that are followed through; a longer one is taken as it is."""
_PIECES = re.compile(r"[\b\r\n]|[^\b\r\n]+")


def resaved(outputs: Json) -> list[Json] | None:
    """The outputs as JupyterLab saves them; None where it changes nothing."""
    if not isinstance(outputs, list):
        return None
    made: list[Json] = []
    changed = False
    for name, group in groupby(outputs, _stream_name):
        together = list(group)
        if name is not None:
            texts = [joined(output["text"]) or "" for output in together]
            text = visible("".join(texts))
            if [text] != texts:
                together = [{"output_type": "stream", "name": name, "text": text}]
                changed = True
        made += together
    return made if changed else None


def _stream_name(output: Json) -> str | None:
    """None for what is no text of a stream."""
    match output:
        case {"output_type": "stream", "name": str() as name, "text": str() | list()}:
            return name
    return None


def visible(text: str) -> str:
    """The text after its backspaces and carriage returns."""
    if ("\b" not in text and "\r" not in text) or len(text) > MAX_FOLLOWED:
        return text
    lines: list[str] = []
    before: list[str] = []  # What stands before the cursor in the last line, and what after it, turned round:
    after: list[str] = []  # so that the work grows with the text, whatever it overwrites.
    for piece in _PIECES.findall(_units(text)):
        if piece == "\b":
            if before:
                del before[-1:], after[-1:]  # Both, if there is a second one: so does JupyterLab.
        elif piece == "\r":
            after += reversed(before)
            before = []
        elif piece == "\n":
            lines.append("".join(before + after[::-1]))
            before, after = [], []
        else:
            before += piece
            del after[-len(piece) :]
    lines.append("".join(before + after[::-1]))
    return _characters("\n".join(lines))


def _units(text: str) -> str:
    """What JavaScript counts as characters: those above U+FFFF are two."""
    if max(text) <= "\uffff":
        return text
    return "".join(map(chr, array("H", text.encode("utf-16", "surrogatepass"))[1:]))


def _characters(units: str) -> str:
    return units.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
