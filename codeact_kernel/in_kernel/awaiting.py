"""Owns the awaiting of tools: `await f(x)` and `gather(f(x), …)` work for a tool, which is synchronous.

A call `f(…)` of a tool becomes `f.aio(…)` where the program is bound to await it. Without the rewriting each
of these places would be a TypeError (a plain value is not awaitable), so no program that worked changes its
meaning.

What cannot be known when the cell is read is found out when it runs, by helpers (`deferring`): whether what
is called is a tool; whether `x.create_task` is that of a loop or of a class of the program's own; and whether
what is awaited in the end is a value, which is then let through: its calls came one after another, but came.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from copy import deepcopy
from types import ModuleType

from codeact_kernel.in_kernel.awaited_variables import Operand, Use, parts, sources
from codeact_kernel.in_kernel.deferring import ALL_GIVEN, GIVEN, LATER, STARTING
from codeact_kernel.in_kernel.scopes import Cell, Scope

_ALL = {"gather"}
_FIRST = {"create_task", "ensure_future", "wait_for", "shield"}
_EACH = {"wait", "as_completed"}
_KEYWORDS = {"arg", "aw", "coro", "coro_or_future", "fs", "fut"}


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
        self._tools_met = bool(helper)

    def visit(self, tree: ast.AST) -> ast.AST:
        """Called by IPython with each parsed cell; changes it in place."""
        cell = Cell(tree)
        # Functions of earlier cells may call tools.
        self._tools_met |= any(isinstance(n, ast.Name) and self._is_tool(n.id) for n in cell.nodes)
        if self._tools_met:
            _Rewriting(cell, _Names(cell, self._is_tool, self._found), self._helper).rewrite()
        return ast.fix_missing_locations(tree)


class _Rewriting:
    """Of one cell."""

    def __init__(self, cell: Cell, names: _Names, helper: str) -> None:
        self._cell = cell
        self._names = names
        self._helper = helper
        self._done: set[int] = set()

    def rewrite(self) -> None:
        operands = [each for node in self._cell.nodes for each in self._names.awaited_by(node)]
        # These first: they are found by what the cell says, which is something else afterwards.
        variables = [*sources(self._cell, operands)]
        for node in self._cell.nodes:
            if isinstance(node, ast.Call) and self._names.may_start(node.func):
                self._start(node)
        for operand in variables:
            self._await(operand)
        for operand in operands:
            self._await(operand)
            self._let_values_through(operand)

    def _await(self, operand: Operand) -> None:
        """What is called in it gives an awaitable, if it is a tool."""
        for part in parts(operand):
            match part.node:
                case ast.Call(func=ast.Name(id="map"), args=[called, *_]) as call if part.use == Use.EACH:
                    call.args[0] = self._aio(called)
                case ast.Call() as call if part.use == Use.SELF:
                    call.func = self._aio(call.func)

    def _let_values_through(self, operand: Operand) -> None:
        for part in [*parts(operand)]:
            if part.use != Use.VALUES and not self._is_awaitable(part):
                part.put(_call(GIVEN if part.use == Use.SELF else ALL_GIVEN, part.node))

    def _is_awaitable(self, part: Operand) -> bool:
        """Whether it, or each of its elements, is known to be no value."""
        match part.node:
            case ast.Call(func=ast.Name(id="map"), args=[called, *_]) if part.use == Use.EACH:
                return self._gives_awaitable(called)
            case ast.Call(func=called):
                return part.use == Use.SELF and self._gives_awaitable(called)
            case ast.Constant():
                return True
        return False

    def _gives_awaitable(self, called: ast.expr) -> bool:
        match called:
            case ast.Attribute(value=ast.Name() as name, attr="aio") if self._names.is_tool(name):
                return True
            case ast.Call(func=ast.Name(id=helper), args=[inner]) if helper == self._helper:
                return self._names.is_asynchronous(inner)
        return self._names.is_asynchronous(called)

    def _aio(self, called: ast.expr) -> ast.expr:
        """What is called in place of it."""
        match called:
            case ast.Call(func=ast.Name(id=helper), args=[method]) if helper == STARTING:
                # It may be a tool of this name.
                called.args[0] = self._aio(method)
                return called
        if isinstance(called, ast.Starred) or id(called) in self._done:
            return called
        if isinstance(called, ast.Name) and self._names.is_tool(called):
            made: ast.expr = ast.copy_location(ast.Attribute(called, "aio", ast.Load()), called)
        elif self._helper and not self._names.is_asynchronous(called):
            made = _call(self._helper, called)
        else:
            return called
        self._done.add(id(made))
        return made

    def _start(self, node: ast.Call) -> None:
        """`x.create_task(f(1))`, whatever `x` is."""
        given = [Operand(node, "args", index, Use.SELF) for index in range(len(node.args[:1]))]
        given += [Operand(k, "value", None, Use.SELF) for k in node.keywords if k.arg == "coro"]
        calls = [part.node for part in parts(given[0])] if given else []
        if not calls or isinstance(calls[0], ast.Starred):
            return
        if all(isinstance(c, ast.Call) and self._names.is_asynchronous(c.func) for c in calls):
            return
        method = node.func
        node.func = _call(STARTING, method)
        self._done.add(id(node.func))
        # The call comes after the other arguments then.
        others = [*node.args, *(k.value for k in node.keywords)]
        asked: list[ast.expr] = []
        if any(other is not given[0].node and not _is_simple(other) for other in others):
            if not self._names.is_same_again(method):
                return
            # Not for a class of the program's own: there the order may matter.
            asked = [method]
        for call in calls:
            if isinstance(call, ast.Call) and self._may_be_tool(call.func):
                call.func = _call(LATER, call.func, *map(deepcopy, asked))
                self._done.add(id(call.func))

    def _may_be_tool(self, called: ast.expr) -> bool:
        if id(called) in self._done or self._names.is_asynchronous(called):
            return False
        return bool(self._helper) or self._names.is_tool(called)


class _Names:
    """Which names of a cell are tools, or of asyncio, and which of its calls await their arguments."""

    def __init__(self, cell: Cell, is_tool: Callable[[str], bool], found: Callable[[str], object]) -> None:
        self._cell = cell
        self._is_tool = is_tool
        self._found = found
        self._meanings: dict[tuple[Scope, str], str | None] = {}

    def is_tool(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Name) and self._is_tool(node.id) and not self._cell.is_bound(node)

    def is_asynchronous(self, called: ast.expr) -> bool:
        """Whether it is no tool by how it is written, and what it gives can be awaited if anything can."""
        match called:
            case ast.Attribute(value=ast.Name() as module):
                return self._of_asyncio(module) == ""
            case ast.Name(id=name):
                bound = self._cell.owner(called).bound.get(name, [])
                return bool(bound) and all(
                    isinstance(node, ast.AsyncFunctionDef) and not node.decorator_list for node in bound
                )
        return False

    def awaited_by(self, node: ast.AST) -> Iterator[Operand]:
        """The expressions that `node` awaits, or hands to asyncio to be awaited."""
        if isinstance(node, ast.Await):
            yield Operand(node, "value", None, Use.SELF)
        if not isinstance(node, ast.Call):
            return
        name = self._asyncio_function(node.func)
        use = Use.SELF if name in _ALL | _FIRST else Use.LISTED if name == "wait" else Use.EACH
        if name in _ALL | _FIRST | _EACH:
            places = len(node.args) if name in _ALL else min(1, len(node.args))
            for index in range(places):
                if not isinstance(node.args[index], ast.Starred):
                    yield Operand(node, "args", index, use)
                elif name in _ALL:
                    yield Operand(node.args[index], "value", None, Use.EACH)
        if name in _FIRST | _EACH:
            yield from (Operand(k, "value", None, use) for k in node.keywords if k.arg in _KEYWORDS)

    def may_start(self, func: ast.expr) -> bool:
        """Whether it is `create_task` of something that only running the cell can tell."""
        match func:
            case ast.Attribute(value=ast.Name() as name, attr="create_task"):
                known = not self._cell.is_bound(name) and isinstance(self._found(name.id), ModuleType)
                return not known and self._of_asyncio(name) != ""
            case ast.Attribute(attr="create_task"):
                return True
        return False

    def is_same_again(self, method: ast.expr) -> bool:
        """Whether it can be evaluated twice: that of a name, or of `asyncio.get_running_loop()`."""
        while isinstance(method, ast.Attribute):
            method = method.value
        match method:
            case ast.Call(func=func, args=[], keywords=[]):
                return self._asyncio_function(func) in {"get_event_loop", "get_running_loop"}
        return isinstance(method, ast.Name)

    def _asyncio_function(self, func: ast.expr) -> str | None:
        match func:
            case ast.Attribute(value=ast.Name() as module, attr=name) if self._of_asyncio(module) == "":
                return name
            case ast.Name():
                return self._of_asyncio(func)
        return None

    def _of_asyncio(self, node: ast.Name) -> str | None:
        """What a name means: "" for asyncio, "gather" for that function of it; None: for something else."""
        key = self._cell.owner(node), node.id
        if key not in self._meanings:
            # Once for each: a name may be bound as often as it is used.
            self._meanings[key] = self._meaning(*key)
        return self._meanings[key]

    def _meaning(self, owner: Scope, name: str) -> str | None:
        if bound := owner.bound.get(name):
            meant = {_imported(binding, name) for binding in bound}
            return meant.pop() if len(meant) == 1 else None
        value = self._found(name)
        if isinstance(value, ModuleType):
            return "" if value.__name__ == "asyncio" else None
        if value is None:  # Perhaps of `from asyncio import *`.
            return "" if name == "asyncio" else name
        own = str(getattr(value, "__module__", "")).startswith("asyncio")
        return str(getattr(value, "__name__", "")) or None if own else None


def _imported(binding: ast.AST, name: str) -> str | None:
    match binding:
        case ast.Import(names=aliases):
            same = [a for a in aliases if (a.asname or a.name.partition(".")[0]) == name]
            own = all(a.name == "asyncio" or (not a.asname and a.name.startswith("asyncio.")) for a in same)
            return "" if own else None
        case ast.ImportFrom(module="asyncio", names=aliases):
            return next(a.name for a in aliases if (a.asname or a.name) == name)
    return None


def _call(name: str, argument: ast.expr, *more: ast.expr) -> ast.expr:
    helper = ast.copy_location(ast.Name(name, ast.Load()), argument)
    return ast.copy_location(ast.Call(helper, [argument, *more], []), argument)


def _is_simple(node: ast.expr) -> bool:
    """Whether evaluating it does nothing else."""
    doing = (ast.Call, ast.Await, ast.Yield, ast.YieldFrom, ast.NamedExpr)
    return not any(isinstance(each, doing) for each in ast.walk(node))
