"""Owns the scanner of the text dialect: where the code is in a reply that is plain text.

A block is `<code>…</code>` with the opening tag at the start of a line (or after a colon), else a
``` fence. Three facts make the cut exact: neither `</code>` nor a back-tick can occur in Python
outside a string or a comment, so the *longest* candidate that parses is the block; code that does
not parse is cut at the first closing mark outside its strings; what is open at the end is cut off.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Literal, TypeAlias

MAX_CANDIDATES = 64
"""Closing marks that are tried for one block; a reply that has more of them is no honest reply."""
MAX_OPENINGS = 256
"""Opening marks of one reply that are looked at, likewise; one with more counts as cut off."""

_OPEN_TAG = re.compile(r"(?:^|:)[ \t]*<code>[ \t]*\n?", re.M)
_OPEN_FENCE = re.compile(r"^[ \t]*+```[ \t]*+(?P<language>[\w+#.-]*+)[^\n`]*+\n", re.M)
_OPEN_PYTHON = re.compile(r"^[ \t]*```[ \t]*(?:python3?|py|ipython)[ \t]*\n", re.M | re.I)
_PYTHON = frozenset({"python", "python3", "py", "ipython"})
_CLOSE_TAG = r"</code>"
_CLOSE_FENCE = r"^[ \t]*```[ \t]*$"
_HALF_TAG = re.compile(r"</(?:c(?:o(?:de?)?)?)?\s*\Z")
_HALF_FENCE = re.compile(r"^[ \t]*``?[ \t]*\Z", re.M)
_INNER_FENCE = re.compile(r"\s*+```\w*+[ \t]*+\n")
_TAIL = re.compile(  # a run of blanks is looked at once, from its beginning
    r"(?:^|(?<![ \t:])(?=[ \t:]))[ \t:]*+(?:`{1,3}+\w*+[ \t]*+|<c?o?d?e?>?[ \t]*+)\Z|</?c?o?d?e?\Z", re.M
)
_IPYTHON = re.compile(  # a magic, a shell line or a help line that holds no closing mark
    r"^(?P<indent>[ \t]*)(?:[%!?](?:(?!</code>|```)[^\n])*|[\w.]+\?\??[ \t]*)$"
    r"|(?P<assigned>=[ \t]*+)[%!](?:(?!</code>|```)[^\n])*+(?P<whole>$)?",  # what is not whole is read once
    re.M,
)
# What hides a closing mark: strings. A comment hides quotes, but not the mark that ends its line.
# `{end}` is what ends a string beside its quote: nothing, or the end of a text that goes on.
_HIDING = (
    r"(?P<triple>\"\"\"|\'\'\')(?:\\.|(?!(?P=triple))[^\\])*+(?:(?P=triple){end})"
    r"|\"(?:\\.|[^\"\\\n])*+(?:\"{end})|'(?:\\.|[^'\\\n])*+(?:'{end})"
    r"|\#(?:(?!{close})[^\n])*"
    r"|(?P<close>{close})"
)

Piece: TypeAlias = tuple[Literal["thought", "code"], str]


@dataclass(frozen=True)
class Kind:
    """A way to mark code: its opening, its closing, and the start of a closing at the very end.

    `lexer` and `live` find closing marks outside strings, in a whole text and in one still growing.
    """

    opening: re.Pattern[str]
    closing: re.Pattern[str]
    half: re.Pattern[str]
    lexer: re.Pattern[str]
    live: re.Pattern[str]


def _kind(opening: re.Pattern[str], close: str, half: re.Pattern[str]) -> Kind:
    lexer, live = (
        re.compile(_HIDING.replace("{close}", close).replace("{end}", end), re.S | re.M)
        for end in ("", r"|\Z")
    )
    return Kind(opening, re.compile(close, re.M), half, lexer, live)


TAG = _kind(_OPEN_TAG, _CLOSE_TAG, _HALF_TAG)
FENCE = _kind(_OPEN_FENCE, _CLOSE_FENCE, _HALF_FENCE)


@dataclass(frozen=True)
class Block:
    """Code found at `start:end` of the text, both marks included."""

    code: str
    start: int
    end: int


@dataclass(frozen=True)
class Scan:
    """What a text holds: the last complete block, and whether a later one was cut off."""

    block: Block | None
    cut_off: bool


def scan(text: str) -> Scan:
    """The code of a whole reply. Tags win; fences count only where there is no tagged block."""
    tagged = _scan(text, TAG)
    return tagged if tagged.block or tagged.cut_off else _scan(text, FENCE)


def _outside(lexer: re.Pattern[str], text: str, start: int) -> Iterator[re.Match[str]]:
    """The closing marks from `start` on that are in no string, as far as a lexer can tell."""
    return (match for match in lexer.finditer(text, start) if match["close"])


def _is_cell(code: str) -> bool:
    """Whether `code` is Python once IPython's own lines are taken out."""
    return _is_python(_IPYTHON.sub(_neutral, code))


def _neutral(line: re.Match[str]) -> str:
    if line["assigned"]:
        return line[0] if line["whole"] is None else f"{line['assigned']}None"
    return f"{line['indent']}pass"


def _is_python(code: str) -> bool:
    if not code.strip():
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "\d" in a model's string is no business of the host
            ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _scan(text: str, kind: Kind) -> Scan:
    block, position = None, 0
    for _ in range(MAX_OPENINGS):
        opening = kind.opening.search(text, position)
        if opening is None:
            return Scan(block, cut_off=False)
        language = str(opening.groupdict().get("language", "python")).lower()
        found = _close(text, opening, kind) if language in _PYTHON or not language else None
        # A fence that names no language may hold anything: it is code only if it is Python.
        meant = language in _PYTHON or (
            not language and _is_cell(found.code if found else text[opening.end() :])
        )
        if not meant:
            position = _end_of_fence(text, opening.end())
        elif found is None:
            return Scan(block, cut_off=True)
        else:
            block, position = found, found.end
    return Scan(block, cut_off=True)


def _end_of_fence(text: str, start: int) -> int:
    closing = FENCE.closing.search(text, start)
    return closing.end() if closing else len(text)


def _close(text: str, opening: re.Match[str], kind: Kind) -> Block | None:
    start = opening.end()

    def block(end: int, after: int) -> Block:
        return Block(_unwrapped(text[start:end]), opening.start(), after)

    marks = [mark.span() for mark in islice(kind.closing.finditer(text, start), MAX_CANDIDATES)]
    free = [mark.span() for mark in islice(_outside(kind.lexer, text, start), MAX_CANDIDATES)]
    best = None
    for mark in marks:
        found = block(*mark)
        # A line of a magic says nothing of where its strings end, so there the lexer must agree.
        if _is_python(found.code) or (mark in free and _is_cell(found.code)):
            best = found
            if "#" not in text[text.rfind("\n", 0, mark[0]) + 1 : mark[0]]:
                break  # no comment can hold this mark, so nothing longer can parse
    if best:
        return best
    if free:
        return block(*free[0])
    half = kind.half.search(text, start)
    if half and _is_cell((found := block(half.start(), len(text))).code):
        return found
    return None


def _unwrapped(body: str) -> str:
    """The body without a fence that a model put inside the tags, and without blank edges."""
    inner, text = _INNER_FENCE.match(body), body.rstrip()
    if inner and text.endswith("```") and len(text) - 3 >= inner.end():
        body = text[inner.end() : -3].rstrip(" \t")
    return body.strip("\n").rstrip()


@dataclass
class LiveSplitter:
    """Splits text that streams in into thought and code, for display only: nothing runs from it.

    `feed` takes a piece of any size; `rest` yields what was held back because it could have been
    the beginning of a mark.
    """

    _text: str = ""
    _shown: int = 0
    _body: int = 0
    _kind: Kind | None = None

    def feed(self, piece: str) -> Iterator[Piece]:
        self._text += piece
        while True:
            kind = self._kind
            mark = self._next_mark()
            yield from self._show(mark.start() if mark else _held_back(self._text), kind)
            if mark is None:
                return
            self._shown = self._body = mark.end()

    def rest(self) -> Iterator[Piece]:
        yield from self._show(len(self._text), self._kind)

    def _next_mark(self) -> re.Match[str] | None:
        """The next opening or closing, switching to what follows it."""
        if self._kind is not None:
            mark = next(_outside(self._kind.live, self._text, self._body), None)
            self._kind = None if mark else self._kind
            return mark
        openings = ((TAG, _OPEN_TAG), (FENCE, _OPEN_PYTHON))
        found = [(m, kind) for kind, opening in openings if (m := opening.search(self._text, self._shown))]
        if not found:
            return None
        mark, self._kind = min(found, key=lambda pair: pair[0].start())
        return mark

    def _show(self, end: int, kind: Kind | None) -> Iterator[Piece]:
        if end > self._shown:
            yield ("code" if kind else "thought"), self._text[self._shown : end]
            self._shown = end


def _held_back(text: str) -> int:
    """Where the tail begins that may still turn into a mark."""
    tail = _TAIL.search(text)
    return tail.start() if tail else len(text)
