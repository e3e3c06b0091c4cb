"""Owns the variables that a cell awaits: `tasks.append(f(x))`, then `gather(*tasks)`.

What is put into one is taken for awaited only where nothing else reads the variable before, and where it is
bound to be awaited: so the program would have ended in a TypeError.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from codeact_kernel.in_kernel.order import Awaited, Order
from codeact_kernel.in_kernel.scopes import Cell, Scope

_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)
_OF_KEYS = {"dict", "enumerate", "list", "set", "sorted", "tuple", "zip"}


class Use(Enum):
    """What of a value is awaited."""

    SELF = auto()
    EACH = auto()
    """Its elements."""
    LISTED = auto()
    """Its elements, which may not be coroutines: by `asyncio.wait`."""
    VALUES = auto()
    """Its values: of a dict."""


@dataclass(frozen=True)
class Operand:
    """An expression by its place: `field` of `of`, at `index` where that is a list."""

    of: ast.AST
    field: str
    index: int | None
    use: Use

    @property
    def node(self) -> ast.expr:
        found = getattr(self.of, self.field)
        node: ast.expr = found if self.index is None else found[self.index]
        return node

    def put(self, node: ast.expr) -> None:
        if self.index is None:
            setattr(self.of, self.field, node)
        else:
            getattr(self.of, self.field)[self.index] = node


def parts(operand: Operand) -> Iterator[Operand]:
    """The expressions whose values are awaited when `operand` is."""
    waiting = [operand]
    while waiting:
        each = waiting.pop()
        inside = [*_inside(each.node, each.use)]
        if not inside:
            yield each
        waiting.extend(reversed(inside))


def _inside(node: ast.expr, use: Use) -> Iterator[Operand]:
    match node:
        case ast.IfExp() if use != Use.LISTED:
            yield Operand(node, "body", None, use)
            yield Operand(node, "orelse", None, use)
        case ast.List(elts=items) | ast.Tuple(elts=items) | ast.Set(elts=items) if use == Use.EACH:
            for index, item in enumerate(items):
                if isinstance(item, ast.Starred):
                    yield Operand(item, "value", None, Use.EACH)
                else:
                    yield Operand(node, "elts", index, Use.SELF)
        case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() if use == Use.EACH:
            yield Operand(node, "elt", None, Use.SELF)
        case ast.BinOp(op=ast.Add()) if use == Use.EACH:
            yield Operand(node, "left", None, use)
            yield Operand(node, "right", None, use)
        case ast.Call(func=ast.Name(id="list" | "tuple" | "set"), args=[_], keywords=[]) if use == Use.EACH:
            yield Operand(node, "args", 0, use)
        case ast.Call(func=ast.Attribute(value=ast.Dict() | ast.DictComp(), attr="values") as of):
            if use == Use.EACH:
                yield Operand(of, "value", None, Use.VALUES)
        case ast.DictComp() if use == Use.VALUES:
            yield Operand(node, "value", None, Use.SELF)
        case ast.Dict(keys=keys) if use == Use.VALUES:
            for index, key in enumerate(keys):
                yield Operand(node, "values", index, Use.VALUES if key is None else Use.SELF)


def sources(cell: Cell, operands: Iterable[Operand]) -> Iterator[Operand]:
    """What is put into the variables that are awaited by `operands`, where that may be awaitables."""
    awaited: dict[tuple[Scope, str], list[tuple[ast.Name, Use]]] = defaultdict(list)
    for operand in operands:
        for part in parts(operand):
            match part.node:
                case ast.Name() as name if part.use != Use.LISTED:
                    awaited[cell.owner(name), name.id].append((name, part.use))
                case ast.Call(func=ast.Attribute(value=ast.Name() as name, attr="values"), args=[]):
                    if part.use == Use.EACH:
                        awaited[cell.owner(name), name.id].append((name, Use.VALUES))
    if not awaited:
        return
    loads: dict[tuple[Scope, str], list[ast.Name]] = defaultdict(list)
    for node in cell.nodes:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            loads[cell.owner(node), node.id].append(node)
    order = Order(cell)
    variables = {
        key: _Variable(cell, order, [name for name, _ in places], places[0][1])
        for key, places in awaited.items()
        if len({use for _, use in places}) == 1
    }
    variables = {key: each for key, each in variables.items() if each.is_read_by_nothing_else(loads[key])}
    fresh = {key for key in variables if _is_fresh(cell, key[0].bound.get(key[1], []))}
    for node in cell.nodes:
        for name, put in _puts(node):
            key = cell.owner(name), name.id
            into = variables.get(key)
            if into is None or (key not in fresh and not isinstance(name.ctx, ast.Store)):
                continue
            found = put(into.use)
            if found is not None and into.awaited.is_bound_to_follow(node):
                yield found


class _Variable:
    """One that is awaited by `names`, all in the same way."""

    def __init__(self, cell: Cell, order: Order, names: Sequence[ast.Name], use: Use) -> None:
        self._cell = cell
        self._own = {id(name) for name in names}
        self.awaited = Awaited(order, names)
        self.use = use

    def is_read_by_nothing_else(self, loads: Iterable[ast.Name]) -> bool:
        """But after it has been awaited."""
        return all(
            id(name) in self._own or _is_harmless(self._cell, name, self.use) or self.awaited.is_before(name)
            for name in loads
        )


def _is_harmless(cell: Cell, name: ast.Name, use: Use) -> bool:
    """Whether a variable that holds tasks is read without them."""
    parent = cell.parents[id(name)]
    if use == Use.SELF:
        return False
    match parent:
        case ast.Attribute(attr="append" | "add" | "extend" | "insert" | "update" | "keys" | "clear"):
            return isinstance(cell.parents[id(parent)], ast.Call)
        case ast.Subscript(ctx=ast.Store(), value=value):
            return value is name
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test) | ast.Assert(test=test):
            return test is name
        case ast.UnaryOp(op=ast.Not()) | ast.Call(func=ast.Name(id="len")):
            return True
        case ast.Call(func=ast.Name(id=called)):
            return use == Use.VALUES and called in _OF_KEYS
        case ast.For(iter=iter) | ast.AsyncFor(iter=iter) | ast.comprehension(iter=iter):
            return use == Use.VALUES and iter is name
    of = parent.generators[0].iter if isinstance(parent, _COMPREHENSIONS) else None
    return use == Use.VALUES and of is name


def _is_fresh(cell: Cell, bindings: Sequence[ast.AST]) -> bool:
    """Whether it can be known that nothing else has the list or dict that the variable holds."""
    return bool(bindings) and all(_is_new(cell.parents[id(binding)]) for binding in bindings)


def _is_new(statement: ast.AST) -> bool:
    match statement:
        case ast.Assign(targets=[ast.Name()], value=value) | ast.AnnAssign(value=ast.expr() as value):
            displays = (ast.List, ast.Set, ast.Dict, *_COMPREHENSIONS, ast.Await)
            of = value.func if isinstance(value, ast.Call) else None
            made = isinstance(of, ast.Name) and of.id in {"list", "set", "dict"}
            return made or (isinstance(value, displays) and not isinstance(value, ast.GeneratorExp))
        case ast.AugAssign():
            return True
    return False


def _puts(node: ast.AST) -> Iterator[tuple[ast.Name, Callable[[Use], Operand | None]]]:
    """The variables that a node puts something into; and what that is, by how the variable is awaited."""
    match node:
        case (
            ast.Assign(targets=[ast.Name() as name])
            | ast.AnnAssign(target=ast.Name() as name, value=ast.expr())
        ):
            yield name, lambda use: Operand(node, "value", None, use)
        case ast.AugAssign(target=ast.Name() as name, op=ast.Add()):
            yield name, lambda use: Operand(node, "value", None, use) if use == Use.EACH else None
        case ast.Assign(targets=[ast.Subscript(value=ast.Name() as name, slice=index)]):
            each = Use.EACH if isinstance(index, ast.Slice) else Use.SELF
            yield name, lambda use: Operand(node, "value", None, each) if use != Use.SELF else None
        case ast.Call(func=ast.Attribute(value=ast.Name() as name, attr="append" | "add"), args=[_]):
            yield name, lambda use: Operand(node, "args", 0, Use.SELF) if use == Use.EACH else None
        case ast.Call(func=ast.Attribute(value=ast.Name() as name, attr="extend" | "update"), args=[_]):
            yield name, lambda use: Operand(node, "args", 0, use) if use != Use.SELF else None
