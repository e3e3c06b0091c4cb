"""Owns what is known of Claude models by their name: context window and thinking.

A name that is not exactly of the known form gets the safe defaults: 200,000 tokens, no thinking.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

DEFAULT_CONTEXT_WINDOW = 200_000
"""Tokens."""

_NAME = re.compile(
    r"claude-(?P<family>opus|sonnet|haiku|fable|mythos)-(?P<major>\d)(?:-(?P<minor>\d{1,2}))?"
    r"(?:[-@]\d{8}|-latest)?"
)


@dataclass(frozen=True)
class Facts:
    """`context_window` in tokens; `adaptive`: takes thinking of type "adaptive"."""

    context_window: int = DEFAULT_CONTEXT_WINDOW
    adaptive: bool = False


# From this version on, by family. Source: the vendor's
# model overview, as of 2026-11.
_SINCE = {
    "opus": ((4, 6), Facts(1_000_000, adaptive=True)),
    "sonnet": ((4, 6), Facts(1_000_000, adaptive=True)),
    "haiku": ((5, 0), Facts(1_000_000, adaptive=True)),
    "fable": ((5, 0), Facts(1_000_000, adaptive=True)),
    "mythos": ((5, 0), Facts(1_000_000, adaptive=True)),
}


def facts(name: str) -> Facts:
    """What is known of the model called `name` at Anthropic."""
    match = _NAME.fullmatch(name)
    if not match:
        return Facts()
    since, known = _SINCE[match["family"]]
    return known if (int(match["major"]), int(match["minor"] or 0)) >= since else Facts()
