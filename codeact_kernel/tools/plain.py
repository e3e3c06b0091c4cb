"""Owns making decoded values plainer, for checkers that know nothing of ours or of numpy."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from datetime import date, time
from decimal import Decimal
from enum import Enum
from math import prod
from pathlib import PurePath
from typing import Any, cast
from uuid import UUID

from ..wire.arrays import leaves
from ..wire.media import Contents, Structured
from ..wire.values import Record

MAX_ITEMS = 2_000_000
"""Of all arrays, series and indexes of one value. A number of one byte is a list's item of 8 to 40."""

_TOO_LONG = f"arrays of more than {MAX_ITEMS:,} values in place of a list; pass less, or in parts"
_SCALARS = frozenset({type(None), bool, int, float, str, bytes})
_SEQUENCES = frozenset({list, tuple, set, frozenset, Contents})
_MAPPINGS = frozenset({dict, Structured})


class TooLong(ValueError):
    """The value would become far larger than it came. The message says what to do."""


def plain(value: object) -> object:
    """`value` with every Record as a dict, enum member as its value, numpy value as Python's.

    The same object when there is nothing to change; a set is a list then: what its items became may
    have no hash, or all one.

    Raises:
        TooLong: arrays of more than `MAX_ITEMS` values.
    """
    return _Plainer()(value)


def check_arrays(value: object) -> None:
    """For a checker that takes no array as one: it would make lists of them, item by item.

    Raises:
        TooLong: arrays of more than `MAX_ITEMS` values.
    """
    left, todo = MAX_ITEMS, [value]
    while todo:
        item: Any = todo.pop()
        inner: Any = item
        # By exact type: isinstance asks the abstract class of a Record.
        if type(item) in _MAPPINGS or type(item) is Record:
            inner = item.__dict__.values() if type(item) is Record else item.values()
        elif type(item) not in _SEQUENCES:
            left -= _length(item) if _is_of_numpy(item) else 0
            if left < 0:
                raise TooLong(_TOO_LONG)
            continue
        if not _SCALARS.issuperset(map(type, inner)):
            todo.extend(inner)


def _is_of_numpy(value: object) -> bool:
    package = type(value).__module__.partition(".")[0]
    return package in ("numpy", "pandas") and package in sys.modules


class _Plainer:
    """One walk over one value."""

    def __init__(self) -> None:
        self._left = MAX_ITEMS

    def __call__(self, value: object) -> object:
        kind: Any = type(value)
        if kind in _SCALARS:
            return value
        if kind in _SEQUENCES:
            items: Any = value
            if _SCALARS.issuperset(map(type, items)):
                return value
            new = [self(item) for item in items]
            same = all(before is after for before, after in zip(items, new, strict=True))
            return value if same else tuple(new) if kind is tuple else new
        if kind in _MAPPINGS:
            value = cast(dict[Any, object], value)
            return _same(value, {key: self(item) for key, item in value.items()})
        if isinstance(value, Record):
            return {name: self(item) for name, item in Record._asdict(value).items()}
        if isinstance(value, Enum):
            return self(value.value)
        return self._without_numpy(value)

    def _without_numpy(self, value: Any) -> object:
        if not _is_of_numpy(value):
            return value
        # ndarray, numpy scalars, Series and Index have tolist; a DataFrame has nothing like it.
        to_list: Callable[[], object] | None = getattr(value, "tolist", None)
        if to_list is None:
            return value
        self._left -= _length(value)
        if self._left < 0:
            raise TooLong(_TOO_LONG)
        return to_list()


def _length(value: Any) -> int:
    """Items of the list that numpy or pandas makes of `value`."""
    size: int = prod(max(length, 1) for length in getattr(value, "shape", ()))
    dtype = getattr(value, "dtype", None)
    each: int = leaves(dtype) if getattr(dtype, "names", None) else getattr(value, "nlevels", 1)
    return size * each


def jsonable(value: object) -> object:
    """`value` in the terms of JSON Schema: objects, arrays, strings, numbers, booleans, null.

    Raises:
        TooLong: as `plain`.
    """
    return _jsonable(plain(value))


def _jsonable(value: object) -> object:
    if isinstance(value, Mapping):
        return {key if isinstance(key, str) else str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_jsonable(item) for item in value]
    if isinstance(value, Decimal):
        return _number(value)
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value) if isinstance(value, UUID | PurePath) else value


def _number(value: Decimal) -> int | float:
    # What no float holds is one all the same, an infinite one: its int would take a minute to make.
    is_whole = value.is_finite() and value.adjusted() <= sys.float_info.max_10_exp and value % 1 == 0
    return int(value) if is_whole else float(value)


def _same(old: dict[Any, object], new: dict[Any, object]) -> object:
    """`old` when no item was replaced: equality would take 1 for True."""
    pairs = zip(old.values(), new.values(), strict=True)
    return old if all(before is after for before, after in pairs) else new
