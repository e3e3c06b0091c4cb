"""Owns frames and series of pandas as Python source, for the tests of a skill: small ones, of plain types.

pandas is not imported for it: who has such a value has pandas.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable
from typing import Any

from ..wire.records import Record
from .layout import joined

MAX_CELLS = 500
_OTHER = "has a frame whose types or labels a test cannot write down"


def plain_number(value: object) -> object:
    """A number of numpy as Python's own, which is equal to it; any other value as it is."""
    numpy: Any = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, numpy.bool_ | numpy.integer | numpy.floating):
        return value.item()
    return value


def is_frame(value: object) -> bool:
    pandas: Any = sys.modules.get("pandas")
    return pandas is not None and type(value) in (pandas.DataFrame, pandas.Series)


def holds_frame(value: object) -> bool:
    """Whether there is one anywhere in it: then `==` has no answer."""
    left = [value]
    while left:
        item = left.pop()
        if is_frame(item):
            return True
        if isinstance(item, Record):
            left += Record._asdict(item).values()
        elif isinstance(item, dict):
            left += item.values()
        elif isinstance(item, list | tuple):
            left += item
    return False


def frame_source(frame: Any, of: Callable[[object], str], indent: int) -> str:
    """The call that makes it anew. `of`: the source of one plain value. Raises ValueError."""
    import pandas

    if frame.size > MAX_CELLS:
        raise ValueError(f"has a frame of {frame.size:,} values")
    if not isinstance(frame.columns if hasattr(frame, "columns") else frame.index, pandas.Index):
        raise ValueError(_OTHER)
    index = "" if _is_default(frame.index) else f", index={_index(frame.index, of)}"
    if isinstance(frame, pandas.Series):
        made = pandas.Series(frame.tolist(), index=_index_again(frame.index), name=frame.name)
        name = "" if frame.name is None else f", name={of(frame.name)}"
        source = f"pandas.Series({_cells(frame.tolist(), of, indent)}{index}{name})"
    else:
        columns = {name: frame.iloc[:, place].tolist() for place, name in enumerate(frame.columns)}
        made = pandas.DataFrame(columns, index=_index_again(frame.index))
        parts = [f"{of(name)}: {_cells(cells, of, indent + 4)}" for name, cells in columns.items()]
        source = joined("pandas.DataFrame({", parts, f"}}{index})", indent)
    try:
        _assert_equal(frame)(made, frame)
    except AssertionError:
        raise ValueError(_OTHER) from None
    return source


def comparison(frame: Any) -> str:
    """The name of what compares such a result."""
    return f"pandas.testing.{_assert_equal(frame).__name__}"


def _assert_equal(frame: Any) -> Callable[[Any, Any], None]:
    import pandas

    series = isinstance(frame, pandas.Series)
    found: Callable[[Any, Any], None] = (
        pandas.testing.assert_series_equal if series else pandas.testing.assert_frame_equal
    )
    return found


def _is_default(index: Any) -> bool:
    """Whether it is the one that is made where none is given."""
    import pandas

    return bool(
        isinstance(index, pandas.RangeIndex) and (index.start, index.step, index.name) == (0, 1, None)
    )


def _index_again(index: Any) -> Any:
    import pandas

    return None if _is_default(index) else pandas.Index(index.tolist(), name=index.name)


def _index(index: Any, of: Callable[[object], str]) -> str:
    name = "" if index.name is None else f", name={of(index.name)}"
    return f"pandas.Index({_cells(index.tolist(), of)}{name})"


def _cells(cells: Iterable[object], of: Callable[[object], str], indent: int = 0) -> str:
    return joined("[", [_cell(cell, of) for cell in cells], "]", indent)


def _cell(value: object, of: Callable[[object], str]) -> str:
    pandas: Any = sys.modules["pandas"]
    if isinstance(value, float) and math.isnan(value):
        return "float('nan')"
    if type(value) is pandas.Timestamp and value.tzinfo is None:  # type: ignore[attr-defined]  # it is one
        return f"pandas.Timestamp({str(value)!r})"
    return of(value)
