"""Owns what a cell showed as inert HTML: nothing in it runs, is clicked into, or loads from outside.

Text is text, pictures are `data:` addresses, an SVG is a picture too. HTML goes into a frame with three
bars, each of which would do: the allow-list of `inert.markup`; a sandbox without any right; a
Content-Security-Policy of its own before it, beside the page's.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Iterator, Sequence
from functools import partial
from typing import assert_never

from ..inert.markup import inert_html
from ..inert.svg import inert_svg
from ..notebook.outputs import DIGEST_MIME
from ..outputs import Display, Error, MimeBundle, Result, Shown, Stream
from ..wire.messages import Json
from . import brief
from .html_text import MAX_TEXT, Room, esc, json_text, note, passage

CSP = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp")
MAX_PICTURE = 12_000_000
"""Base64 characters, 9 MB, of one picture."""
MAX_HTML = 1_000_000
"""Characters. HTML that is longer is not shown as HTML: cut, it would be something else."""
MAX_KINDS = 50
_BASE64 = re.compile(r"[A-Za-z0-9+/\s]*={0,2}\s*")
_FRAME_STYLE = "body{margin:8px;font:14px system-ui,sans-serif;color:#1a1a1a;background:#fff}" + (
    "table{border-collapse:collapse}td,th{padding:2px 8px;text-align:right}"
)


def outputs(shown: Sequence[Shown], room: Room) -> Iterator[str]:
    """The outputs of a cell, in order."""
    count = min(len(shown), room.outputs)
    room.outputs -= count
    yield from map(partial(_output, room=room), shown[:count])
    if count < len(shown):
        yield note(f"{len(shown) - count:,} more outputs are left out; the notebook has them")


def _output(one: Shown, room: Room) -> str:
    match one:
        case Stream(name, text):
            return passage(text, room, f"out {name}")
        case Error():
            return _error(one, room)
        case Display(data=data):
            return _bundle(data, room, "")
        case Result(data=data, execution_count=number):
            return _bundle(data, room, f"Out[{number}]")
        case _:
            assert_never(one)


def frame(text: str) -> str:
    """HTML of a run, made inert, in a frame that can do nothing."""
    inner = (
        f'<!doctype html><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{CSP}">'
    )
    inner += f"<style>{_FRAME_STYLE}</style>{text}"
    rows = len(re.findall(r"<(?:tr|br|p|li|h[1-6]|div)\b", text, re.IGNORECASE))
    height = max(72, min(40 + 24 * rows, 420))
    return f'<iframe sandbox title="HTML output" height="{height}" srcdoc="{html.escape(inner)}"></iframe>'


def _error(error: Error, room: Room) -> str:
    text = "\n".join(error.traceback) or f"{error.ename}: {error.evalue}"
    return passage(text, room, "out error")


def _bundle(data: MimeBundle, room: Room, label: str) -> str:
    """The richest forms that are shown, the plain one to unfold, and what else there is by name."""
    seen = dict(list(data.items())[:MAX_KINDS])
    rich = [part for kind, value in seen.items() if (part := _rich(kind, value, room))]
    parts = [f'<div class="label">{esc(label)}</div>'] if label else []
    parts += rich
    plain = seen.get("text/plain")
    if plain is not None:
        body = passage(_text(plain), room, "out result")
        parts.append(_folded("as text", body) if rich else body)
    digest = seen.get(DIGEST_MIME)
    if digest is not None:
        parts.append(_folded("what the model saw", passage(_text(digest), room, "out")))
    return f'<div class="bundle">{"".join(parts)}</div>'


def _rich(kind: str, value: Json, room: Room) -> str:
    """One form of a bundle; "" for those that `_bundle` shows itself."""
    if kind in ("text/plain", DIGEST_MIME):
        return ""
    if kind in PICTURES:
        return _picture(kind, _text(value), room)
    if kind == "image/svg+xml":
        drawn = inert_svg(_text(value))
        if drawn is None:
            return note(f"{kind} that is no well-formed picture, or too large")
        return _picture(kind, base64.b64encode(drawn.encode("utf-8", "replace")).decode("ascii"), room)
    if kind == "text/html":
        return _html(_text(value), room)
    if kind in ("text/markdown", "text/latex"):
        return passage(_text(value), room, "out")
    if re.fullmatch(r"application/(.{0,100}\+)?json", kind):
        return _folded(brief.name(kind), passage(json_text(value, MAX_TEXT), room, "out"))
    return note(
        f"{brief.name(kind)}, {brief.size(len(_text(value)))}, is not shown here; the notebook has it"
    )


def _picture(kind: str, encoded: str, room: Room) -> str:
    size = brief.size(len(encoded) * 3 // 4)
    if len(encoded) > min(MAX_PICTURE, room.pictures):
        return note(f"{kind}, {size}, is too large to be shown here; the notebook has it")
    if not _BASE64.fullmatch(encoded):
        return note(f"{kind}, which is no base64")
    room.pictures -= len(encoded)
    source = "".join(encoded.split())
    return f'<img class="picture" alt="{kind}, {size}" src="data:{kind};base64,{source}">'


def _html(text: str, room: Room) -> str:
    shown = inert_html(text) if len(text) <= min(MAX_HTML, room.text) and room.frames else None
    if shown is None:
        return note(f"text/html, {brief.size(len(text))}, is too much to be shown here; the notebook has it")
    room.text -= len(text)
    room.frames -= 1
    scripted = re.search(r"<script\b", text, re.IGNORECASE)
    return frame(shown) + (
        note("Its scripts are left out; in a notebook it may show more.") if scripted else ""
    )


def _folded(summary: str, body: str) -> str:
    return f"<details><summary>{esc(summary)}</summary>{body}</details>"


def _text(value: Json) -> str:
    return value if isinstance(value, str) else json_text(value)
