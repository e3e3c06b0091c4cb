"""Owns SVG that only draws: shapes, text and pictures inside of it; no script, link, animation or address."""

from __future__ import annotations

import html
import re
from xml.parsers import expat

from .allowed import DRAWING, DRAWN
from .text import clean

MAX_SVG = 10_000_000
"""Characters."""
MAX_DEPTH = 100
NAMESPACE = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"
_LOCAL = re.compile(r"#[\w.:-]{1,200}", re.ASCII)
_PICTURE = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/=\s]*+", re.ASCII)
_ADDRESS = re.compile(
    r"url\(\s*+(?!['\"]?#[\w.:-]{1,200}['\"]?\s*+\))|[\\@]|image-set|expression|/\*", re.IGNORECASE
)
MATPLOTLIB = "*{stroke-linejoin: round; stroke-linecap: butt}"
"""The one style sheet that is known to only draw."""


class _TooMuch(Exception):
    """What stands in it is no picture of ours."""


def inert_svg(text: str) -> str | None:
    """The drawing; None for what is no well-formed SVG or too large."""
    if len(text) > MAX_SVG:
        return None
    text = clean(text)
    filtered = _Filter()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = filtered.start
    parser.EndElementHandler = filtered.end
    parser.CharacterDataHandler = filtered.text
    parser.EntityDeclHandler = filtered.entity
    try:
        parser.Parse(_with_namespaces(text).encode("utf-8"), True)
    except (expat.ExpatError, _TooMuch):
        return None
    return "".join(filtered.parts)


def _with_namespaces(text: str) -> str:
    """As it is written inside of HTML, where names need no namespace. A declaration of an encoding goes."""
    start = text.find("<svg")
    if start < 0:
        return text
    head, end, rest = text[start:].partition(">")
    if "xmlns=" not in head:
        head = head.replace("<svg", f'<svg xmlns="{NAMESPACE}"', 1)
    if "xmlns:xlink" not in head:
        head = head.replace("<svg", f'<svg xmlns:xlink="{_XLINK}"', 1)
    return head + end + rest


class _Filter:
    """Writes what draws, as the parser meets it."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self._depth = 0
        self._skipped = 0
        """Levels below the outermost element that is left out; 0: nothing is."""
        self._in_text = 0
        self._sheet: list[str] | None = None

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _TooMuch
        namespace, _, local = name.rpartition(" ")
        if self._depth == 1 and (namespace, local) != (NAMESPACE, "svg"):
            raise _TooMuch
        if self._skipped or namespace != NAMESPACE or local not in DRAWING:
            self._skipped += 1
            self._sheet = [] if local == "style" and self._skipped == 1 else self._sheet
            return
        root = f' xmlns="{NAMESPACE}" xmlns:xlink="{_XLINK}"' if self._depth == 1 else ""
        kept = "".join(_attribute(key, value) for key, value in attributes.items())
        self.parts.append(f"<{local}{root}{kept}>")
        self._in_text += local in ("text", "title", "desc")

    def end(self, name: str) -> None:
        self._depth -= 1
        if self._skipped:
            self._skipped -= 1
            if not self._skipped and self._sheet is not None:
                if _words("".join(self._sheet)) == _words(MATPLOTLIB):
                    self.parts.append(f"<style>{MATPLOTLIB}</style>")
                self._sheet = None
            return
        local = name.rpartition(" ")[2]
        self._in_text -= local in ("text", "title", "desc")
        self.parts.append(f"</{local}>")

    def text(self, text: str) -> None:
        if self._skipped:
            if self._sheet is not None:
                self._sheet.append(text)
        elif self._in_text or text.isspace():
            self.parts.append(html.escape(text, quote=False))

    def entity(self, *_: object) -> None:
        raise _TooMuch  # One that is used a thousand times in another.


def _words(text: str) -> str:
    return "".join(text.split())


def _is_drawing(declaration: str) -> bool:
    """Whether a declaration of CSS says what the attribute of the same name would."""
    name = declaration.partition(":")[0].strip()
    return name in DRAWN and name not in ("class", "id", "style", "x", "y", "width", "height")


def _attribute(key: str, value: str) -> str:
    namespace, _, local = key.rpartition(" ")
    if local == "href" and namespace in ("", _XLINK):
        inert = _LOCAL.fullmatch(value) or _PICTURE.fullmatch(value)
        return f" xlink:href={_quoted(value)}" if inert else ""
    if namespace or local not in DRAWN or _ADDRESS.search(value):
        return ""
    if local == "style":
        value = "; ".join(part for part in map(str.strip, value.split(";")) if _is_drawing(part))
    return f" {local}={_quoted(value)}"


def _quoted(value: str) -> str:
    """As `xml.sax.saxutils.quoteattr`, whose module imports that of the network."""
    text = html.escape(value).replace("\n", "&#10;").replace("\r", "&#13;").replace("\t", "&#9;")
    return f'"{text}"'
