"""Owns the words of a server within a text of ours."""

from __future__ import annotations

from ...inert.text import clean
from ..failures import MAX_MESSAGE, cut


def said(text: str) -> str:
    """`text` without what no terminal should get, and bounded."""
    return cut(clean(text[: 4 * MAX_MESSAGE])).strip()
