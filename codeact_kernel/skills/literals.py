"""Owns values as Python source, for the tests of a skill: only what its text says whole."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable
from decimal import Decimal
from uuid import UUID

from ..wire.records import Record
from .frames import frame_source, is_frame, plain_number
from .layout import joined

MAX_CHARS = 6_000
"""Of one value: a test that a person reads."""
MAX_DEPTH = 20
_AS_WRITTEN = (type(None), bool, int, str, bytes)
_NAMED = {
    Decimal: "from decimal import Decimal",
    UUID: "from uuid import UUID",
    datetime.date: "import datetime",
    datetime.datetime: "import datetime",
    datetime.time: "import datetime",
    datetime.timedelta: "import datetime",
}
_BRACKETS: dict[type, tuple[str, str]] = {
    list: ("[", "]"),
    tuple: ("(", ")"),
    set: ("{", "}"),
    frozenset: ("frozenset({", "})"),
}
RECORD = "Record"
"""The class of a test file that stands for a value with fields."""


class Literals:
    """Writes values down. `imports`: what that source needs; `records`: whether it needs `Record`."""

    def __init__(self) -> None:
        self.imports: set[str] = set()
        self.records = False

    def source(self, value: object, indent: int = 0) -> str:
        """Python whose value is equal to this one, over several lines where it is long. `indent`: of the line
        that it begins in. Raises ValueError, with the reason, for what cannot be written or is too long."""
        text = self._of(value, indent, 0)
        if len(text) > MAX_CHARS:
            raise ValueError(f"has a value of {len(text):,} characters")
        return text

    def _of(self, value: object, indent: int, depth: int) -> str:
        value = plain_number(value)
        kind = type(value)
        if depth > MAX_DEPTH:
            raise ValueError("has a value that is nested too deeply")
        if kind in _AS_WRITTEN:
            return repr(value)
        if isinstance(value, float) and kind is float:
            if not math.isfinite(value):
                raise ValueError("has a float that is not finite")
            return repr(value)
        if kind in _NAMED:
            return self._named(value)
        if is_frame(value):
            self.imports.add("import pandas")
            return frame_source(value, lambda cell: self._of(cell, 0, depth + 1), indent)
        if isinstance(value, Record):
            self.records = True
            fields = Record._asdict(value)
            return f"{RECORD}({self._of(fields, indent, depth + 1)})"
        if isinstance(value, dict) and kind is dict:
            parts = [
                f"{self._of(key, indent + 4, depth + 1)}: {self._of(item, indent + 4, depth + 1)}"
                for key, item in value.items()
            ]
            return joined("{", parts, "}", indent)
        if isinstance(value, list | tuple | set | frozenset) and kind in _BRACKETS:
            return self._items(value, indent, depth)
        raise ValueError(f"has a value of type {kind.__name__}")

    def _named(self, value: object) -> str:
        if isinstance(value, datetime.datetime | datetime.time) and value.tzinfo not in (None, datetime.UTC):
            raise ValueError("has a time in a zone of its own")
        self.imports.add(_NAMED[type(value)])
        return repr(value)

    def _items(self, value: Iterable[object], indent: int, depth: int) -> str:
        opening, closing = _BRACKETS[type(value)]
        parts = [self._of(item, indent + 4, depth + 1) for item in value]
        if isinstance(value, set | frozenset):
            parts.sort()  # The order of a set is another one each time.
        if not parts and opening != "[":
            return f"{type(value).__name__}()"
        if isinstance(value, tuple) and len(parts) == 1:
            return f"({parts[0]},)"
        return joined(opening, parts, closing, indent)
