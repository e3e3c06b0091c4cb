"""Owns the words of a server within a text of ours."""

from __future__ import annotations

from collections.abc import Iterable

from ...inert.text import clean
from ..failures import MAX_MESSAGE, cut

LEAST_SECRET = 6
"""Characters."""


def said(text: str) -> str:
    """`text` without what no terminal should get, and bounded."""
    return cut(clean(text[: 4 * MAX_MESSAGE])).strip()


def without(text: str, secrets: Iterable[str]) -> str:
    """`text` without what only the host and the server are to know; a word of few letters is no secret."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= LEAST_SECRET:
            text = text.replace(secret, "…")
    return text
