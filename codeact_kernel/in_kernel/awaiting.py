"""Owns the awaiting of tools: `await f(x)` and `gather(f(x), …)` work for a tool, which is synchronous.

A call `f(…)` of a tool becomes `f.aio(…)` where the program is bound to await it. Without the
rewriting each of these places would be a TypeError (a plain value is not awaitable), so no program
that worked changes its meaning.

What a name of the action namespace stands for is known when the cell is read. Functions of modules come by
imports, attributes and variables of any kind; where a run has modules, what is called there becomes
`helper(what)(…)`, and the helper finds out when it runs.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType

_ALL = {"gather"}
_FIRST = {"create_task", "ensure_future", "wait_for", "wait", "as_completed", "shield"}
_KEYWORDS = {"arg", "aw", "coro", "coro_or_future", "fs", "fut"}
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


class AwaitTools:
    """An IPython AST transformer.

    Args:
        is_tool: whether a name of the action namespace stands for a tool. Names that the cell
            itself binds are never taken for tools.
        helper: the name of a function of one argument, which gives `f.aio` for a tool `f` and all else as
            it is; "": there are no tools but those that have such names.
        found: what a name of the action namespace stands for: a tool may be called `wait` or `create_task`.
    """

    def __init__(
        self,
        is_tool: Callable[[str], bool],
        helper: str = "",
        found: Callable[[str], object] = lambda name: None,
    ) -> None:
        self._is_tool = is_tool
        self._helper = helper
        self._found = found

    def visit(self, tree: ast.AST) -> ast.AST:
        """Called by IPython with each parsed cell; changes it in place."""
        nodes = list(ast.walk(tree))
        if not self._helper and not any(isinstance(n, ast.Name) and self._is_tool(n.id) for n in nodes):
            return tree
        names = _Names(nodes, self._found)
        for scope in [tree, *(node for node in nodes if isinstance(node, _SCOPES))]:
            self._scope(list(_own_nodes(scope)), names)
        return ast.fix_missing_locations(tree)

    def _scope(self, nodes: Sequence[ast.AST], names: _Names) -> None:
        awaited = [operand for node in nodes for operand in names.awaited_by(node)]
        known = [node for operand in awaited for node in _parts(operand) if isinstance(node, ast.Name)]
        variables = {node.id for node in known} - _also_read(nodes, known)
        for node in nodes:
            awaited += _flows_into(node, variables)
        for operand in awaited:
            for part in _parts(operand):
                self._rewrite(part, names)

    def _rewrite(self, node: ast.expr, names: _Names) -> None:
        match node:
            case ast.Call(func=ast.Name(id="map"), args=[called, *_]):
                node.args[0] = self._aio(called, names)
            case ast.Call(func=called) if not names.is_asyncio(called):
                node.func = self._aio(called, names)

    def _aio(self, called: ast.expr, names: _Names) -> ast.expr:
        """What is called in place of it."""
        if isinstance(called, ast.Name) and self._is_tool(called.id) and called.id not in names.bound:
            return ast.copy_location(ast.Attribute(called, "aio", ast.Load()), called)
        if not self._helper or isinstance(called, ast.Starred) or self._is_done(called):
            return called
        helper = ast.copy_location(ast.Name(self._helper, ast.Load()), called)
        return ast.copy_location(ast.Call(helper, [called], []), called)

    def _is_done(self, called: ast.expr) -> bool:
        """Whether it was rewritten as part of something else."""
        match called:
            case ast.Call(func=ast.Name(id=name)):
                return name == self._helper
        return False


class _Names:
    """What the cell binds, and which of its calls await their arguments."""

    def __init__(self, nodes: Sequence[ast.AST], found: Callable[[str], object]) -> None:
        self.bound: set[str] = set()
        self._found = found
        self._asyncio = {"asyncio"}
        self._others: set[str] = set()
        """What the cell imports that is not of asyncio."""
        for node in nodes:
            match node:
                case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
                    self.bound.add(name)
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                    self.bound.add(name)
                case ast.Import(names=aliases):
                    self._asyncio |= {a.asname for a in aliases if a.name == "asyncio" and a.asname}
                    named = {a.asname or a.name.partition(".")[0] for a in aliases}
                    self._others |= named - self._asyncio
                case ast.ImportFrom(module=module, names=aliases) if module != "asyncio":
                    self._others |= {a.asname or a.name for a in aliases}

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

    def is_asyncio(self, func: ast.expr) -> bool:
        """Whether it is a function of asyncio by how it is written, and so no tool."""
        match func:
            case ast.Attribute(value=ast.Name(id=module)):
                return module in self._asyncio and module not in self.bound
        return False

    def _asyncio_function(self, func: ast.expr) -> str | None:
        match func:
            case ast.Attribute(value=ast.Name(id=module), attr=name) if module in self._asyncio:
                return name
            case ast.Attribute(value=owner, attr="create_task") if not self._is_module(owner):
                return "create_task"  # of a TaskGroup or a loop, whatever they are called
            case ast.Name(id=name) if name not in self.bound and not self._is_other(name):
                return name
        return None

    def _is_module(self, node: ast.expr) -> bool:
        """Whether it is a module, or in one, such as `mcp_servers.asana`, which may have any functions."""
        while isinstance(node, ast.Attribute):
            node = node.value
        if not isinstance(node, ast.Name) or node.id in self.bound:
            return False
        return node.id in self._others or isinstance(self._found(node.id), ModuleType)

    def _is_other(self, name: str) -> bool:
        """Whether it stands for something that is not of asyncio."""
        value = self._found(name)
        other = value is not None and not str(getattr(value, "__module__", "")).startswith("asyncio")
        return other or name in self._others


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


def _also_read(nodes: Sequence[ast.AST], awaited: Sequence[ast.Name]) -> set[str]:
    """Variables that have been given something else in between, and are read before that: values, then tasks,
    `xs = [f(x) for x in xs]`, `xs = [create_task(go(x)) for x in xs]`."""
    given, harmless = Counter[str](), {id(name) for name in awaited}
    for node in nodes:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if not _is_empty(value):
                given[name] += 1
            case ast.Attribute(value=ast.Name() as named, attr="append"):
                harmless.add(id(named))
            case ast.Call(func=ast.Name(id="len"), args=[ast.Name() as named]):
                harmless.add(id(named))
    read = {
        n.id
        for n in nodes
        if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load) and id(n) not in harmless
    }
    return {name for name, times in given.items() if times > 1 and name in read}


def _is_empty(value: ast.expr) -> bool:
    return isinstance(value, ast.List) and not value.elts


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
