"""Owns the allow-list of MIME types: what of a bundle a browser may be given, and in what form.

Kept: text, HTML and Markdown that only show (`markup`, `markdown`), LaTeX that only typesets, pictures that
are what they say, SVG that only draws, JSON. Figures of Vega and Plotly are programs for a library in the
page: what they say is kept as JSON beside the picture that a bundle has of them. Nothing else is kept.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from collections.abc import Mapping

from ..outputs import MimeBundle
from ..wire.lines import dump_line, writable
from ..wire.messages import Json
from . import math
from .markdown import rendered
from .markup import inert_html
from .svg import inert_svg

MAX_KINDS = 50
MAX_PICTURE = 12_000_000
"""Base64 characters, 9 MB, of one picture."""
MAX_DEPTH = 100
"""Levels of JSON."""
MAX_SIDE = 10_000
"""Pixels that a bundle may ask a picture to be shown with."""
JSON = "application/json"
_FIGURE = re.compile(
    r"application/(?:vnd\.(?:vega|vegalite|plotly)\.v\d{1,2}(?:\.\d{1,2})*|geo)\+json", re.ASCII
)
_SIGNATURES = {
    "image/png": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "image/jpeg": re.compile(rb"\xff\xd8\xff"),
    "image/gif": re.compile(rb"GIF8[79]a"),
    "image/webp": re.compile(rb"RIFF....WEBP", re.DOTALL),
}
_BASE64 = re.compile(r"[A-Za-z0-9+/\s]*+={0,2}\s*", re.ASCII)


def inert_bundle(data: MimeBundle) -> MimeBundle:
    """What of a bundle is inert. Plain text as it is. A bundle with nothing else left says what it was."""
    kept: dict[str, Json] = {}
    lost: dict[str, Json] = {}
    for kind, content in list(data.items())[:MAX_KINDS]:
        found = {kind: content} if kind == "text/plain" else _inert(kind, content)
        for name, value in found.items():
            if name == kind or (name not in data and name not in kept):
                kept[name] = value
        if not found:
            lost[kind] = content
    return kept or ({"text/plain": "\n".join(map(_note, lost, lost.values()))} if lost else {})


def inert_metadata(data: MimeBundle, metadata: Mapping[str, Json]) -> dict[str, Json]:
    """The size that a picture of the bundle is to be shown with, and nothing else."""
    found: dict[str, Json] = {}
    for kind in data:
        given = metadata.get(kind)
        if kind.startswith("image/") and isinstance(given, Mapping):
            sides = {side: given[side] for side in ("width", "height") if _is_side(given.get(side))}
            if sides:
                found[kind] = sides
    return found


def _is_side(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= MAX_SIDE


def _inert(kind: str, content: Json) -> dict[str, Json]:
    """One form of a bundle, perhaps as another; {}: it has no inert form."""
    if kind == JSON:
        return {JSON: writable(content, MAX_DEPTH)}
    if _FIGURE.fullmatch(kind):
        return {JSON: writable(content, MAX_DEPTH)}
    text = as_text(content)
    if kind in _SIGNATURES:
        return {kind: "".join(text.split())} if is_picture(kind, text) else {}
    shown: str | None = None
    match kind:
        case "text/html":
            shown = inert_html(text)
        case "text/markdown":
            kind, shown = "text/html", rendered(text)
        case "text/latex":
            shown = None if math.is_active(text) else text
        case "image/svg+xml":
            shown = inert_svg(text)
    return {kind: shown} if shown else {}


def is_picture(kind: str, encoded: str) -> bool:
    """Whether base64 text is a picture of that kind, by its first bytes, and not too large."""
    if len(encoded) > MAX_PICTURE or not _BASE64.fullmatch(encoded):
        return False
    try:
        head = binascii.a2b_base64("".join(encoded[:100].split())[:24])
    except binascii.Error:
        return False
    return _SIGNATURES[kind].match(head) is not None


def as_text(content: Json) -> str:
    """The text of a content, which nbformat may hold in lines."""
    if isinstance(content, list) and all(isinstance(line, str) for line in content):
        return "".join(map(str, content))
    return content if isinstance(content, str) else dump_line(content)


def _note(kind: str, content: Json) -> str:
    """Says what is not there; the digest tells one from another when runs are compared."""
    text = as_text(content)
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"[{kind[:100]}, {len(text):,} characters, is not shown: sha256 {digest}…]"
