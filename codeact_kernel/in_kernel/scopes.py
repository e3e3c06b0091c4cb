"""Owns what the names of a cell stand for, and where in it everything is.

Walks without recursion: a cell may be nested as deeply as Python can parse.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
ALWAYS: frozenset[str] = frozenset()


@dataclass(eq=False)
class Scope:
    """The cell, or a function, class or comprehension in it. `bound`: by name, the nodes that bind it."""

    node: ast.AST
    parent: Scope | None = None
    bound: dict[str, list[ast.AST]] = field(default_factory=dict)
    cell_wide: set[str] = field(default_factory=set)
    outer: set[str] = field(default_factory=set)
    """Names that are declared `global`, and `nonlocal`."""

    @property
    def is_comprehension(self) -> bool:
        return isinstance(self.node, _COMPREHENSIONS)

    def owner(self, name: str) -> Scope:
        """The scope whose `name` is meant here; the cell's, where nothing binds it."""
        scope, here = self, True
        while scope.parent is not None and name not in scope.cell_wide:
            seen = here or not isinstance(scope.node, ast.ClassDef)
            if seen and name in scope.bound and name not in scope.outer:
                return scope
            scope, here = scope.parent, False
        while scope.parent is not None:
            scope = scope.parent
        return scope


@dataclass(eq=False, frozen=True)
class Block:
    """A place in a list of statements: `index` in `statements`, which belong to `of`."""

    of: ast.AST
    statements: list[ast.stmt]
    index: int
    parent: Block | None

    def chain(self) -> Iterator[Block]:
        block: Block | None = self
        while block is not None:
            yield block
            block = block.parent

    def of_function(self) -> Iterator[Block]:
        """Those of `chain` that are in the same function."""
        for block in self.chain():
            yield block
            if isinstance(block.of, _FUNCTIONS):
                return


@dataclass(eq=False, frozen=True)
class Place:
    """Where a node is. `when`: it is evaluated whenever its statement is, if these variables are not empty;
    None: that cannot be known."""

    scope: Scope
    block: Block | None
    when: frozenset[str] | None = ALWAYS


class Cell:
    """A parsed cell. `nodes`: all of it; `parents`: by `id` of a node, the one that it is in."""

    def __init__(self, tree: ast.AST) -> None:
        self.root = Scope(tree)
        self.nodes: list[ast.AST] = []
        self.parents: dict[int, ast.AST] = {}
        self._places = {id(tree): Place(self.root, None)}
        bindings: list[tuple[Scope, str, ast.AST]] = []
        waiting = [tree]
        while waiting:
            node = waiting.pop()
            self.nodes.append(node)
            place = self._places[id(node)]
            scope = place.scope
            while isinstance(self.parents.get(id(node)), ast.NamedExpr) and scope.is_comprehension:
                scope = scope.parent or scope
            bindings += [(scope, name, node) for name in _bindings(node, scope)]
            for child, at in _children(node, place):
                self.parents[id(child)] = node
                self._places[id(child)] = at
                waiting.append(child)
        for scope, name, node in bindings:
            where = self.root if name in scope.cell_wide else scope
            if name not in scope.outer:
                where.bound.setdefault(name, []).append(node)

    def place(self, node: ast.AST) -> Place:
        return self._places[id(node)]

    def owner(self, name: ast.Name) -> Scope:
        return self.place(name).scope.owner(name.id)

    def is_bound(self, name: ast.Name) -> bool:
        """Whether the cell gives the name a meaning of its own."""
        return name.id in self.owner(name).bound


def _children(node: ast.AST, place: Place) -> Iterator[tuple[ast.AST, Place]]:
    inner = place
    if isinstance(node, (*_FUNCTIONS, *_COMPREHENSIONS, ast.ClassDef)):
        inner = Place(Scope(node, place.scope), place.block, None)
    for name, value in ast.iter_fields(node):
        inside = isinstance(node, _COMPREHENSIONS) or name == "body"
        at = inner if inside else place
        if isinstance(value, list):
            for index, child in enumerate(value):
                if isinstance(child, ast.stmt):
                    yield child, Place(at.scope, Block(node, value, index, place.block))
                elif isinstance(child, ast.comprehension) and index == 0:
                    yield from _first(child, place, inner)
                elif isinstance(child, ast.AST):
                    first = isinstance(node, ast.BoolOp) and index == 0
                    yield child, _narrowed(node, "first" if first else name, at)
        elif isinstance(value, ast.arguments):
            yield value, place
            for arg in _args(value):
                inner.scope.bound.setdefault(arg.arg, []).append(arg)
        elif isinstance(value, ast.AST):
            yield value, _narrowed(node, name, at)


def _first(child: ast.comprehension, place: Place, inner: Place) -> Iterator[tuple[ast.AST, Place]]:
    """What a comprehension goes through first is evaluated outside of it."""
    yield child.iter, place
    for other in (child.target, *child.ifs):
        yield other, inner


def _narrowed(node: ast.AST, field: str, at: Place) -> Place:
    """The place of what is in `field` of a node: it need not be evaluated."""
    match node, field:
        case ast.IfExp(test=ast.Name(id=name)), "body" if at.when is not None:
            return Place(at.scope, at.block, at.when | {name})
        case (ast.IfExp(), "body" | "orelse") | (ast.BoolOp(), "values") | (ast.Assert(), "msg"):
            return Place(at.scope, at.block, None)
        case ast.Compare(), "comparators":
            return Place(at.scope, at.block, None)
    return at


def _args(arguments: ast.arguments) -> list[ast.arg]:
    more = [arg for arg in (arguments.vararg, arguments.kwarg) if arg is not None]
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *more]


def _bindings(node: ast.AST, scope: Scope) -> Iterator[str]:
    match node:
        case ast.Global(names=names):
            scope.cell_wide |= {*names}
        case ast.Nonlocal(names=names):
            scope.outer |= {*names}
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
            yield name
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.Import(names=aliases):
            yield from (a.asname or a.name.partition(".")[0] for a in aliases)
        case ast.ImportFrom(names=aliases):
            yield from (a.asname or a.name for a in aliases)
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            yield name
        case ast.MatchMapping(rest=str(name)):
            yield name
