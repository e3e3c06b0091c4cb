"""Owns the names that a statement needs from its module: when it runs, and when its functions are called."""

from __future__ import annotations

import ast
import symtable
import warnings
from typing import NamedTuple

from ..wire.setup_skills import UNREADABLE

_AT_ONCE = frozenset({"genexpr", "listcomp", "setcomp", "dictcomp"})


class Needs(NamedTuple):
    """`now`: decorators, defaults, bases, the value of a constant. `later`: in the bodies of functions.
    `given`: what it binds there by `global`."""

    now: frozenset[str]
    later: frozenset[str]
    given: frozenset[str]


def needs_of(source: str) -> Needs:
    """Of one statement; by Python's own scoping. Raises ValueError when it cannot be told."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # As `parsed_source`.
            top = symtable.symtable(source, "<cell>", "exec")
        now, later, given = set[str](), set[str](), set[str]()
        tables = [(top, True)]
        while tables:
            table, at_once = tables.pop()
            for symbol in table.get_symbols():
                # A function called `top` passes for a module there, and its parameters for global.
                outside = symbol.is_global() and not symbol.is_local()
                if symbol.is_referenced() and (table is top or outside):
                    (now if at_once else later).add(symbol.get_name())
                if symbol.is_declared_global() and (symbol.is_assigned() or symbol.is_imported()):
                    given.add(symbol.get_name())
            for child in table.get_children():
                runs = child.get_type() == "class" or child.get_name() in _AT_ONCE
                tables.append((child, at_once and runs))
    except UNREADABLE as problem:
        raise ValueError(f"its names cannot be told: {problem}") from None
    return Needs(frozenset(now), frozenset(later - now), frozenset(given))


def mentioned(tree: ast.AST) -> frozenset[str]:
    """All that it names: variables, attributes, what it imports."""
    names = set[str]()
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name):
                names.add(name)
            case ast.alias(name=name):
                names |= {*name.split(".")}
    return frozenset(names)


def dotted_uses(tree: ast.AST, name: str) -> frozenset[str]:
    """`a.b.c` of each use of the name `a`, as far as it is written; `a` where it stands alone."""
    nodes = [*ast.walk(tree)]
    inner = {id(node.value) for node in nodes if isinstance(node, ast.Attribute)}
    outer = [node for node in nodes if isinstance(node, ast.Name | ast.Attribute) and id(node) not in inner]
    return frozenset(text for text in map(_dotted, outer) if text.partition(".")[0] == name)


def _dotted(node: ast.expr) -> str:
    """ "": it does not begin with a name."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.insert(0, node.attr)
        node = node.value
    return ".".join([node.id, *parts]) if isinstance(node, ast.Name) else ""
