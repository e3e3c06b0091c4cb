"""Owns what the names of a cell stand for, as far as that can be told before it runs."""

from __future__ import annotations

import ast
import sys
from collections.abc import Mapping
from types import ModuleType

_TOLERANT = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}


class CellNames:
    """Fed with every node of a cell; then it knows.

    bound: names that the cell binds somewhere.
    tolerated: nodes under a `try` that has its own answer to a missing module. Such code gets to run,
        and to catch the refusal.
    """

    def __init__(self, namespace: Mapping[str, object]) -> None:
        self._namespace = namespace
        self._modules: dict[str, object] = {}
        self.bound: set[str] = set()
        self.tolerated: set[ast.AST] = set()

    def learn(self, node: ast.AST) -> None:
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
                self.bound.add(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                self.bound.add(name)
            case ast.Import(names=aliases):
                for alias in aliases:
                    top = alias.name.partition(".")[0]
                    self._modules[alias.asname or top] = sys.modules.get(alias.name if alias.asname else top)
            case ast.ImportFrom(names=aliases):
                self.bound.update(alias.asname or alias.name for alias in aliases)
            case ast.Try(body=body, handlers=handlers) if any(_catches_import(h) for h in handlers):
                self.tolerated.update(inner for part in body for inner in ast.walk(part))

    def has(self, name: str) -> bool:
        """Whether the name is the program's own, so that it no longer means the builtin."""
        return name in self.bound or name in self._namespace

    def module(self, node: ast.expr) -> ModuleType | None:
        """The module that an expression such as `pd.io.common` stands for."""
        path: list[str] = []
        while isinstance(node, ast.Attribute):
            path.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return None
        value = self._modules.get(node.id) or self._namespace.get(node.id)
        for name in reversed(path):
            value = vars(value).get(name) if isinstance(value, ModuleType) else None
        return value if isinstance(value, ModuleType) else None


def _catches_import(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(isinstance(kind, ast.Name) and kind.id in _TOLERANT for kind in kinds)
