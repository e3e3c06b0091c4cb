"""Owns making decoded values plainer, for checkers that know nothing of ours or of numpy."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from datetime import date, time
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

from ..wire.values import Record


def plain(value: object) -> object:
    """`value` with every Record as a dict, enum member as its value, numpy value as Python's.

    The same object when there is nothing to change.
    """
    if isinstance(value, Record):
        return {name: plain(item) for name, item in value._asdict().items()}
    if isinstance(value, Enum):
        return plain(value.value)
    if type(value) is dict:
        return _same(value, {key: plain(item) for key, item in value.items()})
    if type(value) in (list, tuple, set, frozenset):
        kind: Any = type(value)
        items: Any = value
        return _same(value, kind(map(plain, items)))
    return _without_numpy(value)


def jsonable(value: object) -> object:
    """`value` in the terms of JSON Schema: objects, arrays, strings, numbers, booleans, null."""
    value = plain(value)
    if isinstance(value, Mapping):
        return {key if isinstance(key, str) else str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [jsonable(item) for item in value]
    if isinstance(value, Decimal):
        return int(value) if value.is_finite() and value == value.to_integral_value() else float(value)
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value) if isinstance(value, UUID | PurePath) else value


def _same(old: object, new: object) -> object:
    """`old` when no item was replaced: equality would take 1 for True."""
    pairs = zip(_items(old), _items(new), strict=False)
    return old if all(before is after for before, after in pairs) else new


def _items(value: Any) -> Any:
    return value.values() if isinstance(value, dict) else value


def _without_numpy(value: object) -> object:
    package = type(value).__module__.partition(".")[0]
    if package not in ("numpy", "pandas") or package not in sys.modules:
        return value
    # ndarray, numpy scalars, Series and Index have tolist; a DataFrame has nothing like it.
    to_list: Callable[[], object] | None = getattr(value, "tolist", None)
    return value if to_list is None else to_list()
