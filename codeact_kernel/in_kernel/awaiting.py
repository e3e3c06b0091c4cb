"""Owns the awaiting of tools: `await f(x)` and `gather(f(x), …)` work for a tool, which is synchronous.

A call `f(…)` of a tool becomes `f.aio(…)` where the program is bound to await it. Without the
rewriting each of these places would be a TypeError (a plain value is not awaitable), so no program
that worked changes its meaning.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence

_ALL = {"gather"}
_FIRST = {"create_task", "ensure_future", "wait_for", "wait", "as_completed", "shield"}
_KEYWORDS = {"arg", "aw", "coro", "coro_or_future", "fs", "fut"}
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


class AwaitTools:
    """An IPython AST transformer.

    Args:
        is_tool: whether a name of the action namespace stands for a tool. Names that the cell
            itself binds are never taken for tools.
    """

    def __init__(self, is_tool: Callable[[str], bool]) -> None:
        self._is_tool = is_tool

    def visit(self, tree: ast.AST) -> ast.AST:
        """Called by IPython with each parsed cell; changes it in place."""
        nodes = list(ast.walk(tree))
        if not any(isinstance(node, ast.Name) and self._is_tool(node.id) for node in nodes):
            return tree
        names = _Names(nodes)
        for scope in [tree, *(node for node in nodes if isinstance(node, _SCOPES))]:
            self._scope(list(_own_nodes(scope)), names)
        return ast.fix_missing_locations(tree)

    def _scope(self, nodes: Sequence[ast.AST], names: _Names) -> None:
        awaited = [operand for node in nodes for operand in names.awaited_by(node)]
        variables = {node.id for operand in awaited for node in _parts(operand) if isinstance(node, ast.Name)}
        for node in nodes:
            awaited += _flows_into(node, variables)
        for operand in awaited:
            for part in _parts(operand):
                self._rewrite(part, names)

    def _rewrite(self, node: ast.expr, names: _Names) -> None:
        match node:
            case ast.Call(func=ast.Name(id="map"), args=[ast.Name(id=name) as tool, *_]):
                if self._is_tool(name) and name not in names.bound:
                    node.args[0] = _aio(tool)
            case ast.Call(func=ast.Name(id=name) as tool):
                if self._is_tool(name) and name not in names.bound:
                    node.func = _aio(tool)


class _Names:
    """What the cell binds, and which of its calls await their arguments."""

    def __init__(self, nodes: Sequence[ast.AST]) -> None:
        self.bound: set[str] = set()
        self._asyncio = {"asyncio"}
        for node in nodes:
            match node:
                case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
                    self.bound.add(name)
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                    self.bound.add(name)
                case ast.Import(names=aliases):
                    self._asyncio |= {a.asname for a in aliases if a.name == "asyncio" and a.asname}

    def awaited_by(self, node: ast.AST) -> Sequence[ast.expr]:
        """The expressions that `node` awaits, or hands to asyncio to be awaited."""
        if isinstance(node, ast.Await):
            return [node.value]
        if not isinstance(node, ast.Call):
            return []
        name = self._asyncio_function(node.func)
        if name in _ALL:
            return node.args
        if name in _FIRST:
            return [*node.args[:1], *(k.value for k in node.keywords if k.arg in _KEYWORDS)]
        return []

    def _asyncio_function(self, func: ast.expr) -> str | None:
        match func:
            case ast.Attribute(attr="create_task"):
                return "create_task"  # of a TaskGroup or a loop, whatever they are called
            case ast.Attribute(value=ast.Name(id=module), attr=name) if module in self._asyncio:
                return name
            case ast.Name(id=name) if name not in self.bound:
                return name
        return None


def _flows_into(node: ast.AST, variables: set[str]) -> list[ast.expr]:
    """What a statement puts into variables that are awaited: `tasks = [f(x) for x in xs]`."""
    match node:
        case ast.Assign(targets=[ast.Name(id=name)], value=value) if name in variables:
            return [value]
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value) if name in variables:
            return [value]
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="append")) if name in variables:
            return node.args
    return []


def _parts(operand: ast.expr) -> Iterator[ast.expr]:
    """The expressions whose values are awaited when `operand`, or each of its elements, is."""
    match operand:
        case ast.Starred(value=inner):
            yield from _parts(inner)
        case ast.List(elts=items) | ast.Tuple(elts=items) | ast.Set(elts=items):
            for item in items:
                yield from _parts(item)
        case ast.ListComp(elt=item) | ast.SetComp(elt=item) | ast.GeneratorExp(elt=item):
            yield from _parts(item)
        case ast.IfExp(body=first, orelse=second):
            yield from _parts(first)
            yield from _parts(second)
        case _:
            yield operand


def _own_nodes(scope: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a scope without those of the functions and classes inside it."""
    waiting = list(ast.iter_child_nodes(scope))
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, _SCOPES):
            waiting.extend(ast.iter_child_nodes(node))


def _aio(tool: ast.Name) -> ast.Attribute:
    return ast.copy_location(ast.Attribute(tool, "aio", ast.Load()), tool)
