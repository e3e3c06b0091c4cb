"""Owns how long source is laid out: in one line if there is room for it, else a part a line."""

from __future__ import annotations

from collections.abc import Sequence

WIDTH = 96


def joined(opening: str, parts: Sequence[str], closing: str, indent: int = 0) -> str:
    """`indent`: of the line that it begins in; parts of several lines are made for four more."""
    line = f"{opening}{', '.join(parts)}{closing}"
    if len(line) + indent <= WIDTH and "\n" not in line:
        return line
    space = " " * (indent + 4)
    return f"{opening}\n" + "".join(f"{space}{part},\n" for part in parts) + " " * indent + closing
