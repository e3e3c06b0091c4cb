"""Owns the question which calls of a source are awaited: by `await`, or as what `asyncio.gather` is given.

In a kernel that works for every tool, which finds out as `in_kernel.awaiting` does. Outside, what stands for
a tool has to be one or the other.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from ..wire.messages import ToolSpec

_ALL = frozenset({"gather"})
_FIRST = frozenset({"create_task", "ensure_future", "wait_for", "shield", "wait", "as_completed"})
_KEYWORDS = frozenset({"arg", "aw", "coro", "coro_or_future", "fs", "fut"})
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
_ADDING = frozenset({"append", "extend", "add", "update"})


class Awaited:
    """Of a file. `any`: whether it awaits anything."""

    def __init__(self, tree: ast.Module) -> None:
        self._awaited, self._plain, self._in_coroutines = set[str](), set[str](), set[str]()
        for nodes, is_coroutine in _scopes(tree):
            parts = [*_awaited_in(nodes)]
            self._awaited |= {_called(part) for part in parts}
            awaited = {id(part) for part in parts}
            calls = [node for node in nodes if isinstance(node, ast.Call) and id(node) not in awaited]
            (self._in_coroutines if is_coroutine else self._plain).update(map(_called, calls))
        self.any = bool(self._awaited)

    def always(self, tool: ToolSpec) -> bool:
        later, now = self._ways(tool)
        return later and not now

    def mixed(self, tool: ToolSpec) -> bool:
        later, now = self._ways(tool)
        return later and now

    def _ways(self, tool: ToolSpec) -> tuple[bool, bool]:
        """Whether a call of it gives what is awaited, and whether one gives the value."""
        in_coroutine = tool.function in self._in_coroutines  # There an `async def` gives what is awaited.
        later = tool.function in self._awaited or (tool.is_async and in_coroutine)
        return later, tool.function in self._plain or (not tool.is_async and in_coroutine)


def _scopes(tree: ast.Module) -> Iterator[tuple[Sequence[ast.AST], bool]]:
    """The nodes of each scope without those of scopes in it; and whether it is run as a coroutine."""
    left: list[tuple[ast.AST, bool]] = [(tree, False)]
    while left:
        scope, is_coroutine = left.pop()
        nodes, inside = list[ast.AST](), [*ast.iter_child_nodes(scope)]
        while inside:
            node = inside.pop()
            nodes.append(node)
            if not isinstance(node, _SCOPES):
                inside += ast.iter_child_nodes(node)
                continue
            runs = is_coroutine if isinstance(node, ast.Lambda) else isinstance(node, ast.AsyncFunctionDef)
            left.append((node, runs))
        yield nodes, is_coroutine


def _awaited_in(nodes: Sequence[ast.AST]) -> Iterator[ast.expr]:
    """The expressions of one scope whose values are awaited."""
    operands = [operand for node in nodes for operand in _operands(node)]
    known = [part for operand in operands for part in _parts(operand) if isinstance(part, ast.Name)]
    variables = {name.id for name in known} - _given_twice(nodes, known)
    for node in nodes:
        operands += _flows_into(node, variables)
    for operand in operands:
        yield from _parts(operand)


def _operands(node: ast.AST) -> Sequence[ast.expr]:
    if isinstance(node, ast.Await):
        return [node.value]
    if not isinstance(node, ast.Call):
        return []
    name = _name(node.func)
    if name in _ALL:
        return node.args
    named = [keyword.value for keyword in node.keywords if keyword.arg in _KEYWORDS]
    return [*node.args[:1], *named] if name in _FIRST else []


def _parts(operand: ast.expr) -> Iterator[ast.expr]:
    """The expressions whose values are awaited when `operand`, or each of its elements, is."""
    match operand:
        case ast.Starred(value=inner):
            yield from _parts(inner)
        case ast.List(elts=items) | ast.Tuple(elts=items) | ast.Set(elts=items) | ast.Dict(values=items):
            for item in items:
                yield from _parts(item)
        case ast.ListComp(elt=item) | ast.SetComp(elt=item) | ast.GeneratorExp(elt=item):
            yield from _parts(item)
        case ast.DictComp(value=item):
            yield from _parts(item)
        case ast.IfExp(body=first, orelse=second):
            yield from _parts(first)
            yield from _parts(second)
        case ast.Call(func=ast.Attribute(value=ast.Name() as variable, attr="values"), args=[]):
            yield from (variable, operand)  # Of a dictionary; or it is a tool of that name.
        case _:
            yield operand


def _flows_into(node: ast.AST, variables: set[str]) -> Sequence[ast.expr]:
    """What a statement puts into variables that are awaited: `tasks = [f(x) for x in xs]`."""
    match node:
        case ast.Assign(targets=[ast.Name(id=name)], value=value) if name in variables:
            return [value]
        case ast.Assign(targets=[ast.Subscript(value=ast.Name(id=name))], value=value) if name in variables:
            return [value]
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value) if name in variables:
            return [value]
        case ast.AugAssign(target=ast.Name(id=name), op=ast.Add(), value=value) if name in variables:
            return [value]
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=added)) if added in _ADDING:
            return node.args if name in variables else []
    return []


def _given_twice(nodes: Sequence[ast.AST], awaited: Iterable[ast.Name]) -> set[str]:
    """Variables that hold values, which are read, and then tasks: the calls for the values are plain."""
    passed = {id(name) for name in awaited}
    given, by_key, inside = Counter[str](), Counter[str](), set[str]()
    for node in nodes:
        match node:
            case ast.Assign(targets=[target], value=value) if _is_empty(value):
                passed.add(id(target))
            case ast.AnnAssign(target=target, value=ast.expr() as value) if _is_empty(value):
                passed.add(id(target))
            case ast.AugAssign(target=target, op=ast.Add()):
                passed.add(id(target))
            case ast.Attribute(
                value=ast.Name() as name, attr="append" | "extend" | "add" | "update" | "keys" | "values"
            ):
                passed.add(id(name))
            case ast.Call(func=ast.Name(id="len"), args=[ast.Name() as name]):
                passed.add(id(name))
            case ast.Subscript(value=ast.Name(id=variable) as name, ctx=ast.Store()):
                passed.add(id(name))
                by_key[variable] += 1
            case (
                ast.Subscript(value=ast.Name(id=variable))
                | ast.Attribute(value=ast.Name(id=variable), attr="items")
            ):
                inside.add(variable)
    for variable, times in by_key.items():
        # What is read by no key can be filled by several.
        given[variable] += times if variable in inside else 1
    names = [node for node in nodes if isinstance(node, ast.Name) and id(node) not in passed]
    given.update(name.id for name in names if isinstance(name.ctx, ast.Store))
    read = {name.id for name in names if isinstance(name.ctx, ast.Load)}
    return {name for name, times in given.items() if times > 1 and name in read}


def _is_empty(value: ast.expr) -> bool:
    match value:
        case ast.List(elts=[]) | ast.Dict(keys=[]):
            return True
        case ast.Call(func=ast.Name(id="list" | "dict" | "set"), args=[], keywords=[]):
            return True
    return False


def _called(node: ast.expr) -> str:
    """What is called: `read` of `files.read(…)`, `f` of `map(f, xs)` and `f.aio(…)`; "": it is no call."""
    match node:
        case ast.Call(func=ast.Name(id="map"), args=[function, *_]) | ast.Call(func=function):
            return _name(function)
    return ""


def _name(function: ast.expr) -> str:
    match function:
        case ast.Attribute(attr="aio", value=value):
            return _name(value)
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
    return ""
