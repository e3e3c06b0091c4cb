"""Owns HTML that only shows. nh3 sanitises; before it, tags are brought into a shape that it is quick with.

What a parser of HTML takes grows with the square of the depth, and a few unclosed `<b>` are multiplied by
every paragraph after them. So tags are balanced first, at most `MAX_DEPTH` deep; everything that is no tag
of a plain shape is text. Style sheets and inline SVG, which nh3 does not go into, are taken out and brought
back inert.
"""

from __future__ import annotations

import html
import re
from base64 import b64encode
from dataclasses import dataclass, field
from functools import cache

import nh3

from . import css, math
from .allowed import BLOCKS, FORMATTING, RAW, TAGS, VOID
from .svg import inert_svg
from .text import clean

MAX_HTML = 2_000_000
"""Characters. HTML that is longer is not shown as HTML: cut, it would be something else."""
MAX_SIGNS = 150_000
"""Those that are tags, or are written as references; the parser copies a text anew for each in it."""
MAX_DEPTH = 60
MAX_FORMATTING = 8
"""Elements such as `<b>` that are open at once; a parser opens them anew in each paragraph."""
ROUNDS = 4

_TAG = re.compile(
    r"<!--.*?(?:-->|\Z)"
    r"|<[!?][^>]*+>?"
    r"|<(?P<close>/?)(?P<name>[a-zA-Z][a-zA-Z0-9]*+)(?P<attributes>(?:\s*+[^\s\"'<>/=]++"
    r"(?:\s*+=\s*+(?:\"[^\"]*+\"|'[^']*+'|[^\s\"'<>`]++))?+)*+)\s*+/?(?P<end>>)?",
    re.DOTALL,
)
_CELLS = frozenset({"td", "th"})
_SIBLINGS: dict[str, frozenset[str]] = {
    **dict.fromkeys(BLOCKS, frozenset({"p"})),
    "li": frozenset({"li", "p"}),
    **dict.fromkeys(("dt", "dd"), frozenset({"dt", "dd", "p"})),
    **dict.fromkeys(_CELLS, _CELLS | {"p"}),
    "tr": _CELLS | {"tr", "p"},
    **dict.fromkeys(("tbody", "tfoot", "thead"), _CELLS | {"tr", "tbody", "thead", "tfoot", "p"}),
}
"""What an element ends of those that are open, as people write it without their end tags."""
_ENDS = {name: re.compile(rf"</{name}(?=[\s/>])[^>]*+>?", re.IGNORECASE) for name in RAW}
_BARE = re.compile(r"&(?!#?[a-zA-Z0-9]{1,32};)")
"""No reference to a character."""
_CLASS = re.compile(
    r"dataframe|data|blank|index_name|(?:col|row)_(?:heading|trim)|(?:level|col|row)\d{1,6}|animated",
    re.ASCII,
)
_PICTURE = re.compile(
    r"data:image/(?:png|jpeg|gif|webp|svg\+xml);base64,[A-Za-z0-9+/\s]*+={0,2}\s*", re.ASCII
)
_MEDIA = re.compile(r"data:(?:audio|video)/[a-z0-9.+-]{1,30};base64,[A-Za-z0-9+/\s]*+={0,2}\s*", re.ASCII)
_SIZE = re.compile(r"[0-9.]{1,8}(?:px|em|rem|%)?", re.ASCII)
_WORD = re.compile(r"[\w #%.,+-]{0,200}", re.ASCII)
_LEADING_LINES = re.compile(r"(<pre(?: [^<>]*+)?>)\n+")
_EVERYWHERE = {
    "style",
    "class",
    "id",
    "align",
    "valign",
    "width",
    "height",
    "dir",
    "lang",
    "title",
    "bgcolor",
}
_ATTRIBUTES = {
    "*": _EVERYWHERE,
    "img": {"src", "alt"},
    "source": {"src"},
    "audio": {"src", "controls"},
    "video": {"src", "controls"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan", "scope"},
    "col": {"span"},
    "colgroup": {"span"},
    "table": {"border", "cellpadding", "cellspacing"},
    "font": {"color", "size", "face"},
    "ol": {"start", "type"},
    "li": {"value"},
    "details": {"open"},
    "progress": {"value", "max"},
    "meter": {"value", "max", "min", "low", "high"},
}


def inert_html(text: str) -> str | None:
    """HTML that only shows, "" when nothing of it does; None when it is too much to be looked into."""
    for _ in range(ROUNDS):
        if len(text) > MAX_HTML or sum(map(text.count, "<>&\xa0")) > MAX_SIGNS:
            return None
        before, text = text, _once(text)
        if before == text:
            return text
    return None  # What a parser never makes the same of twice.


def as_text(text: str) -> str:
    """Text as HTML that shows just that, in a `<pre>`."""
    return _once(f"<pre>{html.escape(text)}</pre>")


def _once(text: str) -> str:
    balanced = _Balanced()
    balanced.feed(clean(text))
    sheet = css.sheet("\n".join(balanced.sheets))
    shown = _cleaner().clean("".join(balanced.parts))
    shown = math.defused(_LEADING_LINES.sub(r"\1", shown))
    return f"<style>{sheet}</style>{shown}" if sheet else shown


@cache
def _cleaner() -> nh3.Cleaner:
    return nh3.Cleaner(
        tags=set(TAGS),
        clean_content_tags=set(),
        attributes=_ATTRIBUTES,
        attribute_filter=_attribute,
        url_schemes={"data"},
        link_rel=None,
    )


@dataclass
class _Balanced:
    """Tags as they are opened, each closed in its turn; text between them."""

    parts: list[str] = field(default_factory=list)
    sheets: list[str] = field(default_factory=list)
    _open: list[str] = field(default_factory=list)
    _formatting: int = 0

    def feed(self, text: str) -> None:
        at = 0
        while found := _TAG.search(text, at):
            self._text(text[at : found.start()])
            at = found.end()
            if found["name"] is None:
                continue
            if not found["end"]:
                self._text(found[0])
                continue
            name = found["name"].lower()
            if name in RAW and not found["close"]:
                end = _ENDS[name].search(text, at)
                stop, after = (end.start(), end.end()) if end else (len(text), len(text))
                self._raw(name, text[found.start() : after], text[at:stop])
                at = after
            elif found["close"]:
                self._close(name)
            elif name in TAGS:
                self._start(name, found["attributes"])
        self._text(text[at:])
        self._pop(0)

    def _text(self, text: str) -> None:
        self.parts.append(_BARE.sub("&amp;", text).replace("<", "&lt;"))

    def _raw(self, name: str, whole: str, inner: str) -> None:
        if name == "style":
            self.sheets.append(inner)
        elif name == "svg" and (picture := inert_svg(whole)):
            encoded = b64encode(picture.encode()).decode("ascii")
            self.parts.append(f'<img src="data:image/svg+xml;base64,{encoded}">')

    def _start(self, name: str, attributes: str) -> None:
        ends = _SIBLINGS.get(name, ())
        while self._open and self._open[-1] in ends:
            self._pop(len(self._open) - 1)
        if name not in VOID:
            formatting = name in FORMATTING
            if len(self._open) >= MAX_DEPTH or (formatting and self._formatting >= MAX_FORMATTING):
                return
            self._open.append(name)
            self._formatting += formatting
        self.parts.append(f"<{name} {_BARE.sub('&amp;', attributes)}>" if attributes else f"<{name}>")

    def _close(self, name: str) -> None:
        if name in self._open:
            self._pop(len(self._open) - 1 - self._open[::-1].index(name))

    def _pop(self, left: int) -> None:
        while len(self._open) > left:
            name = self._open.pop()
            self._formatting -= name in FORMATTING
            self.parts.append(f"</{name}>")


def _attribute(tag: str, name: str, value: str) -> str | None:
    """The value that an attribute may have; None: none."""
    match name:
        case "style":
            return css.declarations(value) or None
        case "class":
            return " ".join(part for part in value.split() if _CLASS.fullmatch(part)) or None
        case "id":
            return value if css.TABLE_ID.fullmatch(value) else None
        case "src":
            pattern = _PICTURE if tag == "img" else _MEDIA
            return value if pattern.fullmatch(value) else None
        case "width" | "height":
            return value if _SIZE.fullmatch(value) else None
        case "title" | "alt":
            return value
    return value if _WORD.fullmatch(value) else None
