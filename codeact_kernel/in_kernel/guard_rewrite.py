"""Owns the rewriting of watched attributes: `x.os` becomes a call that looks at what comes out.

Only attributes whose *name* is that of a refused module or object are touched (`df.os` may be a
column), so ordinary code pays nothing.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from codeact_kernel.in_kernel.guard_lists import AllowLists

ATTRIBUTE = "__codeact_attribute__"
"""Name of the helper among the builtins of action code."""
_PATTERNS = (ast.MatchValue, ast.MatchClass, ast.MatchMapping)


def rewrite_attributes(nodes: Sequence[ast.AST], lists: AllowLists) -> None:
    """Changes the tree in place. `nodes`: all of it, parents before children, as `ast.walk` yields."""
    watched = {id(n) for n in nodes if isinstance(n, ast.Attribute) and _is_rewritable(n, lists)}
    if not watched:
        return
    # Children first: a call takes over the operand of its attribute as that is by then.
    for parent in reversed(nodes):
        if isinstance(parent, _PATTERNS):
            continue  # Grammar wants a plain dotted name here, and its value is only compared.
        for field, value in ast.iter_fields(parent):
            if isinstance(value, list):
                value[:] = [_call(item) if id(item) in watched else item for item in value]
            elif id(value) in watched:
                setattr(parent, field, _call(value))


def _is_rewritable(node: ast.Attribute, lists: AllowLists) -> bool:
    mangled = node.attr.startswith("__") and not node.attr.endswith("__")
    return isinstance(node.ctx, ast.Load) and not mangled and lists.watches(node.attr)


def _call(node: ast.Attribute) -> ast.Call:
    call = ast.Call(ast.Name(ATTRIBUTE, ast.Load()), [node.value, ast.Constant(node.attr)], [])
    for new in _new_nodes(call):
        ast.copy_location(new, node)
    return call


def _new_nodes(call: ast.Call) -> Iterator[ast.AST]:
    yield call
    yield call.func
    yield call.args[1]
