"""Owns the question whether an expression says its value by itself, so that it is the same anywhere."""

from __future__ import annotations

import ast
from collections.abc import Callable


def words(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


_BUILTINS = words(
    "abs bool bytes chr complex dict divmod enumerate float frozenset int len list map max min object ord "
    "pow range reversed round set slice sorted str sum tuple type zip"
)
_MODULES = words(
    "collections dataclasses datetime decimal enum fractions functools itertools math operator pathlib re "
    "statistics string textwrap types typing typing_extensions zoneinfo"
)
"""Of the standard library, whose functions give the same for the same arguments."""
_OUTSIDE = words("cwd home now today utcnow exists glob iterdir read_bytes read_text resolve")
"""Functions there that look at the clock or the disk."""
_PARTS = (
    *(ast.Constant, ast.Name, ast.Attribute, ast.Subscript, ast.Slice, ast.Starred, ast.Tuple, ast.List),
    *(ast.Set, ast.Dict, ast.UnaryOp, ast.BinOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.JoinedStr),
    *(ast.FormattedValue, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.comprehension),
    *(ast.keyword, ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop, ast.Lambda),
    *(ast.arguments, ast.arg),
)


def is_constant(value: ast.expr, module_of: Callable[[str], str], is_class: Callable[[str], bool]) -> bool:
    """What the names stand for that it loads is another question.

    `module_of`: the module that an imported name is or comes from; `is_class`: whether a name is one of the
    program's classes.
    """
    left: list[ast.AST] = [value]
    while left:
        node = left.pop()
        if isinstance(node, ast.Call):
            if not _is_pure(node.func, module_of, is_class):
                return False
            left += [*node.args, *node.keywords]
            continue
        if not isinstance(node, _PARTS):
            return False
        if not isinstance(node, ast.Lambda):  # It only runs when it is called.
            left += ast.iter_child_nodes(node)
    return True


def _is_pure(function: ast.expr, module_of: Callable[[str], str], is_class: Callable[[str], bool]) -> bool:
    parts: list[str] = []
    while isinstance(function, ast.Attribute):
        parts.append(function.attr)
        function = function.value
    if isinstance(function, ast.Constant):
        return isinstance(function.value, str) and len(parts) == 1  # "a b c".split()
    if not isinstance(function, ast.Name) or _OUTSIDE.intersection(parts):
        return False
    module = module_of(function.id)
    if module:
        return module.partition(".")[0] in _MODULES
    return not parts and (function.id in _BUILTINS or is_class(function.id))
