"""Owns how answers of `tools` show themselves: one line for each, a text as it is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from codeact_kernel.wire.media import ResourceLink

SHOWN = 100
LINE = 300
"""Characters of an item."""
SAID = 200
"""Characters of a quotation in it."""
_PLAIN_WORD = re.compile(r"[!#-&(-~]+")
"""Signs of ASCII that can be seen, no quotes, no spaces."""


class Text(str):
    """A text that shows itself as it is."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


@dataclass(frozen=True, repr=False)
class Hit:
    """A function that was found. `doc`: all that is said of it; `strange`: in the words of a server."""

    name: str
    signature: str
    summary: str
    doc: str = field(default="", compare=False)
    strange: bool = field(default=False, compare=False)

    def __repr__(self) -> str:
        if not self.summary:
            return self.signature
        said = _said(self.summary) if self.strange else self.summary
        return f"{self.signature} — {said}"


class Listing(list[Any]):
    """A list that shows itself with one line for each item; `none`: what an empty one says."""

    def __init__(self, items: object = (), none: str = "Nothing.") -> None:
        super().__init__(items if isinstance(items, Iterable) and not isinstance(items, str) else [items])
        self._none = none

    def __repr__(self) -> str:
        if not self:
            return self._none
        more = [f"… and {len(self) - SHOWN:,} more"] if len(self) > SHOWN else []
        return "\n".join([*map(_line, self[:SHOWN]), *more])


def _line(item: object) -> str:
    match item:
        case ResourceLink():
            words = (item.uri, item.name, item.media_type)
            text = _joined(*(_word(word) for word in words if word), _said(item.description))
        case {"name": str(name), **rest}:
            text = _joined(f"{_word(name)}({_arguments(rest)})", _said(rest.get("description")))
        case str():
            text = item
        case _:
            text = repr(item)
    text = " ".join(text.split())
    return text if len(text) <= LINE else f"{text[: LINE - 1]}…"


def _joined(*parts: object) -> str:
    return " — ".join(str(part) for part in parts if part)


def _arguments(prompt: Mapping[object, object]) -> str:
    """Of a prompt; required ones have a star."""
    given = prompt.get("arguments")
    known = [each for each in given if isinstance(each, dict)] if isinstance(given, list) else []
    return ", ".join(f"{_word(each.get('name'))}{'*' if each.get('required') else ''}" for each in known)


def _word(text: object) -> str:
    """A name that a server gives: as it is where it can be nothing else, else as a quotation."""
    return str(text) if _PLAIN_WORD.fullmatch(str(text)) else _quotation(str(text))


def _said(text: object) -> str:
    """What a server says of a thing, led by who says it; "" for nothing."""
    return f"server: {_quotation(text)}" if isinstance(text, str) and text.strip() else ""


def _quotation(text: str) -> str:
    from codeact_kernel.wire.schemas.texts import inline  # 20 ms, which not all runs need.

    return inline(text, SAID)
