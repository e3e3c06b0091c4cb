"""Owns text of others in our markdown: a task, a thought, an answer can be read, and nothing else.

What a model or a program wrote is put into a block quote, so that it cannot pass for one of our
headings or tables. HTML and images in it are made plain text: Jupyter's sanitizer would take scripts
out, but not a picture whose address carries data to a stranger when the notebook is opened.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_TAG = re.compile(r"<(?=[A-Za-z/!?])")
_LINE_END = re.compile(r"\r\n|\r|\n")
_PUNCTUATION = re.compile(r"([\\`*_\[\]#|~$>])")
_LIST_MARK = re.compile(r"^(\d*)([-+=.)])")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def quoted(text: str) -> str:
    """The text as a block quote, its own markdown working but for HTML, images and mathematics."""
    plain = _TAG.sub("&lt;", _CONTROL.sub("", text)).replace("![", "!\\[").replace("$", "\\$")
    return "\n".join(f"> {line}".rstrip() for line in _LINE_END.split(plain))


def unquoted(source: str) -> str:
    """The text of a block quote that a person has edited; exact for plain text."""
    lines = [re.sub(r"^> ?", "", line) for line in source.split("\n")]
    return "\n".join(lines).replace("&lt;", "<").replace("!\\[", "![").replace("\\$", "$")


def inline(text: str, limit: int = 80) -> str:
    """The text on one line with no markdown of its own, at most `limit` characters of it."""
    line = _CONTROL.sub("", " ".join(text.split()))
    cut = line if len(line) <= limit else line[: limit - 1] + "…"
    marked = _LIST_MARK.sub(r"\1\\\2", _PUNCTUATION.sub(r"\\\1", cut))
    return marked.replace("&", "&amp;").replace("<", "&lt;")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A markdown table; the cells are made by `inline`."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
