"""Owns the question which calls of a source are awaited: by `await`, or as what `asyncio.gather` is given.

In a kernel that works for every tool. Outside, what stands for a tool has to be one or the other.
"""

from __future__ import annotations

import ast

_AWAITING = frozenset(
    {"gather", "create_task", "ensure_future", "wait_for", "shield", "wait", "as_completed"}
)


class Awaited:
    """Of a file. `any`: whether it awaits anything."""

    def __init__(self, tree: ast.Module) -> None:
        nodes = [*ast.walk(tree)]
        inside: set[int] = set()
        for node in nodes:
            for operand in _operands(node):
                inside |= {id(part) for part in ast.walk(operand)}
        calls = [(node, _called(node.func)) for node in nodes if isinstance(node, ast.Call)]
        self._awaited = {name for node, name in calls if id(node) in inside}
        self._plain = {name for node, name in calls if id(node) not in inside}
        self.any = bool(inside)

    def always(self, name: str) -> bool:
        return name in self._awaited and name not in self._plain

    def mixed(self, name: str) -> bool:
        return name in self._awaited and name in self._plain


def _operands(node: ast.AST) -> list[ast.expr]:
    if isinstance(node, ast.Await):
        return [node.value]
    return [*node.args] if isinstance(node, ast.Call) and _called(node.func) in _AWAITING else []


def _called(function: ast.expr) -> str:
    """The last part of what is called: `read` of `files.read(…)`; that of `f.aio(…)` is `f`."""
    match function:
        case ast.Attribute(attr="aio", value=value):
            return _called(value)
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
    return ""
