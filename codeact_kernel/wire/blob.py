"""Owns bytes inside encoded values: a frame carries long ones as they are, everything else their base64.

So an array of 10 MB costs a few copies on its way. What is recorded of it, compared, or shown is text.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from operator import is_
from typing import Any, TypeAlias

LEAST = 4096
"""Bytes of the shortest one; shorter ones are text from the beginning."""
MAX_LEVELS = 200
"""That are looked into: as many as are decoded."""
_PLAIN = frozenset({str, int, float, bool, type(None)})
Bytes: TypeAlias = "bytes | bytearray | memoryview"


@dataclass(frozen=True, slots=True)
class Blob:
    """Stands where the text would."""

    data: Bytes

    @property
    def characters(self) -> int:
        """Of its text."""
        return 4 * ((len(self.data) + 2) // 3)

    @property
    def text(self) -> str:
        return base64.b64encode(self.data).decode("ascii")


def text_of(value: object) -> str:
    """The `default` of a JSON encoder. Raises TypeError for what is no JSON."""
    if isinstance(value, Blob):
        return value.text
    raise TypeError(f"not JSON: {type(value).__name__}")


def textual(value: Any, levels: int = MAX_LEVELS) -> Any:
    """The same value with texts for blobs; the same object where there are none."""
    if isinstance(value, Blob):
        return value.text
    if levels and isinstance(value, Mapping):
        if _PLAIN.issuperset(map(type, value.values())):
            return value
        named = {key: textual(item, levels - 1) for key, item in value.items()}
        return value if all(map(is_, value.values(), named.values())) else named
    if levels and isinstance(value, list | tuple):
        if _PLAIN.issuperset(map(type, value)):
            return value
        items = type(value)([textual(item, levels - 1) for item in value])
        return value if all(map(is_, value, items)) else items
    return value
