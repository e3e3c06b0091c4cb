"""Owns the names that a statement needs from its module: when it runs, and when its functions are called."""

from __future__ import annotations

import symtable
import warnings
from typing import NamedTuple

from ..wire.setup_skills import UNREADABLE

_AT_ONCE = frozenset({"genexpr", "listcomp", "setcomp", "dictcomp"})


class Needs(NamedTuple):
    """`now`: decorators, defaults, bases, the value of a constant. `later`: in the bodies of functions."""

    now: frozenset[str]
    later: frozenset[str]


def needs_of(source: str) -> Needs:
    """Of one statement; by Python's own scoping. Raises ValueError when it cannot be told."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # As `parsed_source`.
            top = symtable.symtable(source, "<cell>", "exec")
        now, later = set[str](), set[str]()
        tables = [(top, True)]
        while tables:
            table, at_once = tables.pop()
            for symbol in table.get_symbols():
                # A function called `top` passes for a module there, and its parameters for global.
                outside = symbol.is_global() and not symbol.is_local()
                if symbol.is_referenced() and (table is top or outside):
                    (now if at_once else later).add(symbol.get_name())
            for child in table.get_children():
                runs = child.get_type() == "class" or child.get_name() in _AT_ONCE
                tables.append((child, at_once and runs))
    except UNREADABLE as problem:
        raise ValueError(f"its names cannot be told: {problem}") from None
    return Needs(frozenset(now), frozenset(later - now))
