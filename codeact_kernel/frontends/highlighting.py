"""Owns which code is highlighted, and code highlighted as HTML.

Pygments' Python lexer takes a time that grows with the square of a run of blanks (measured: 41 s for
`match` and 50,000 spaces), lines of blanks included, so code that could keep it busy is shown as plain text.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Iterable
from typing import Any

from .terminal import clean

MAX_CODE = 50_000
_BUSY = re.compile(r"\s{200}")


def highlightable(code: str) -> bool:
    """Whether a lexer reads it in well under a second."""
    return len(code) <= MAX_CODE and not _BUSY.search(code)


def code_html(code: str) -> str:
    """Python code as HTML, in spans with Pygments' class names where it can be highlighted. Cleans it."""
    code = clean(code).strip("\n")
    if not highlightable(code):
        return html.escape(code)
    # Dear, and a page on a terminal asks only what may be highlighted.
    from pygments.lexers import PythonLexer
    from pygments.token import Token

    # What is no Python (a magic, `!`) is no mistake here.
    tokens = (
        (Token.Text if kind is Token.Error else kind, text) for kind, text in PythonLexer().get_tokens(code)
    )
    return str(_as_html(tokens)).rstrip("\n")


def _as_html(tokens: Iterable[tuple[Any, str]]) -> str:
    from pygments.formatters import HtmlFormatter  # As above.

    out = io.StringIO()
    HtmlFormatter(nowrap=True).format(tokens, out)
    return out.getvalue()
