"""Owns what can go wrong with a server, and how its own words are shown in a message."""

from __future__ import annotations

from ...exceptions import CodeActError
from ...wire.messages import Made

MAX_WORDS = 2000


class Unavailable(CodeActError):
    """A server that cannot be started or reached: what it was to be asked it never was."""

    made: Made = "no"


class Lost(Unavailable):
    """The server ended before it had answered: what became of the call is unknown."""

    made = "unknown"


class Violation(RuntimeError):
    """A server answered with what its own schema, or the protocol, does not allow."""


def plain(text: str, most: int = MAX_WORDS) -> str:
    """`text` of a server, for a terminal: without control characters, and cut when it is long."""
    shown = _shown(text[:most])
    return f"{shown} …" if len(text) > most else shown


def last(text: str, most: int = MAX_WORDS) -> str:
    """As `plain`, but that its end is kept."""
    shown = _shown(text[-most:])
    return f"… {shown}" if len(text) > most else shown


def _shown(text: str) -> str:
    return "".join(
        sign if sign.isprintable() or sign in "\n\t" else "\N{REPLACEMENT CHARACTER}" for sign in text
    )
