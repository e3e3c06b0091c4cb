"""Owns Markdown as HTML that only shows.

Front ends run what HTML and links they find in trusted Markdown, and each parses it in a way of its own, so
that only what was rendered can be sanitised.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from .markup import inert_html

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.renderer import RendererHTML
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token

MAX_MARKDOWN = 50_000
"""Characters; what is longer is shown as text."""
_MAX_MATH = 2000


def rendered(text: str) -> str | None:
    """HTML of Markdown; None when it is too long."""
    return inert_html(_parser().render(text)) if len(text) <= MAX_MARKDOWN else None


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt  # Dear, and not needed before there is Markdown.

    parser = MarkdownIt("commonmark", {"html": True, "linkify": False}).enable(["table", "strikethrough"])
    parser.inline.ruler.before("escape", "math", _math)
    parser.add_render_rule("link_open", lambda *_: "")
    parser.add_render_rule("link_close", _address)
    return parser


def _address(_: RendererHTML, tokens: Sequence[Token], index: int, *__: object) -> str:
    """In place of a link the address is shown, behind its text: a person may follow it, and sees where to."""
    level = tokens[index].level
    opened = next(token for token in reversed(tokens[:index]) if token.level == level)
    href = str(opened.attrs.get("href", ""))
    shown = opened.info != "auto" and href.startswith(("https://", "http://", "mailto:"))
    return f" ({html.escape(href)})" if shown else ""


def _math(state: StateInline, silent: bool) -> bool:
    """`$…$` and `$$…$$` stay as they are, for MathJax."""
    source, start = state.src, state.pos
    if source[start] != "$":
        return False
    fence = "$$" if source.startswith("$$", start) else "$"
    begin = start + len(fence)
    end = source.find(fence, begin, min(state.posMax, begin + _MAX_MATH))
    if end <= begin or (fence == "$" and (source[begin].isspace() or source[end - 1].isspace())):
        return False
    if not silent:
        state.push("text", "", 0).content = source[start : end + len(fence)]
    state.pos = end + len(fence)
    return True
