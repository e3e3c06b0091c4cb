"""Owns how much an encoded value weighs, before anything is done with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .blob import Blob
from .messages import Json

_OF_ANY = 8
_OF_NOTHING = frozenset({int, float, bool, type(None)})


def weight(value: Json) -> int:
    """About the bytes of encoded data, as text and in memory; texts count, the rest is a few a value."""
    item: Any
    total, todo = 0, [value]
    for item in todo:  # It grows meanwhile.
        if type(item) in _OF_NOTHING:
            continue
        if isinstance(item, str):
            total += len(item) if item.isascii() else 4 * len(item)
        elif isinstance(item, list | tuple):
            todo.extend(item)
        elif isinstance(item, Mapping):
            todo.extend(item)
            todo.extend(item.values())
        elif isinstance(item, Blob):
            total += item.characters
    return total + _OF_ANY * len(todo)
