"""Owns plain JSON values as Python source, where they are short enough to be shown."""

from __future__ import annotations

from .texts import is_hidden

LENGTH = 60
"""Characters of a default that is shown."""


def literal(value: object) -> str:
    """The source of a value; "": it is none of JSON, too long, or nothing that has a literal. Also of one
    that has signs which nobody sees: `help` shows what a default is, not its source."""
    if not _is_small(value, LENGTH):
        return ""
    text = repr(value)
    return text if len(text) <= LENGTH and not is_hidden(text) else ""


def _is_small(value: object, most: int) -> bool:
    """Whether `repr` has little to do."""
    match value:
        case None | bool():
            return True
        case str():
            return len(value) <= most
        case int():
            return abs(value) < 2**63
        case float():
            return abs(value) < 1e300  # Neither nan nor inf.
        case list():
            return len(value) <= most and all(_is_small(each, most // 2) for each in value)
        case dict():
            inner = (each for pair in value.items() for each in pair)
            return len(value) <= most and all(_is_small(each, most // 2) for each in inner)
    return False
