"""Owns what in a cell is bound to be evaluated before what.

Everything is looked up by lists of statements, which are walked once: a cell may have thousands of lines, and
it does not start before they are looked through.
"""

from __future__ import annotations

import ast
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from codeact_kernel.in_kernel.scopes import ALWAYS, Block, Cell

_LEAVING = (ast.Return, ast.Raise, ast.Break, ast.Continue)
_LOOPS = (ast.For, ast.AsyncFor, ast.While)
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass
class _Exits:
    """Of a list of statements, the positions of those that may leave it."""

    all: list[int] = field(default_factory=list)
    if_empty: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    """Those that do so only where a variable is empty."""

    def between(self, start: int, end: int, variable: str) -> bool:
        """Whether one of them is in between, if the variable is not empty."""
        return _count(self.all, start, end) > _count(self.if_empty.get(variable, []), start, end)


class Order:
    """Of one cell: which of its statements may leave the list that they are in."""

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self._left: dict[type[ast.stmt], set[int]] = defaultdict(set)
        """By what leaves them."""
        self._left_by_guards: set[int] = set()
        """By `raise`, but not of a loop that they are themselves."""
        self._exits: dict[int, _Exits] = {}
        self._caught = _caught(cell)
        for node in cell.nodes:
            if isinstance(node, _LEAVING):
                self._mark(node, self._left[type(node)], loops=isinstance(node, ast.Break | ast.Continue))
            if isinstance(node, ast.Raise):
                self._mark(node, self._left_by_guards, loops=True)

    def leaves(self, statement: ast.stmt) -> bool:
        return any(id(statement) in marked for marked in self._left.values())

    def leaves_unguarded(self, statement: ast.stmt) -> bool:
        """In a loop that fills a list, `if not x: raise …` is like any other error: nothing is awaited."""
        others = (marked for kind, marked in self._left.items() if kind is not ast.Raise)
        return any(id(statement) in marked for marked in (self._left_by_guards, *others))

    def exits(self, block: Block) -> _Exits:
        found = self._exits.get(id(block.statements))
        if found is None:
            found = self._exits[id(block.statements)] = _Exits()
            for index, statement in enumerate(block.statements):
                if self.leaves(statement):
                    found.all.append(index)
                    match statement:
                        case ast.If(test=ast.UnaryOp(op=ast.Not(), operand=ast.Name(id=name)), orelse=[]):
                            found.if_empty[name].append(index)
        return found

    def _mark(self, node: ast.stmt, marked: set[int], *, loops: bool) -> None:
        """What is left by `node`, up to where others have marked it. `loops`: but not the loop it is in."""
        statement: ast.AST = node
        while id(statement) not in marked:
            marked.add(id(statement))
            block = self.cell.place(statement).block
            above = self.cell.parents.get(id(statement))
            if block is None or above is None or isinstance(above, _DEFINITIONS):
                return
            ends = loops and not (isinstance(node, ast.Raise) and id(above) in self._caught)
            if ends and isinstance(above, _LOOPS) and block.statements is above.body:
                return
            statement = above


class Awaited:
    """The names that await one variable."""

    def __init__(self, order: Order, names: Iterable[ast.Name]) -> None:
        self._order = order
        self._name = ""
        self._first: dict[int, int] = {}
        """By list of statements: the first one that always evaluates one of the names."""
        self._reached: dict[int, list[int]] = defaultdict(list)
        """By list: the statements that evaluate one whenever they are run, if the variable is not empty."""
        for name in names:
            self._name = name.id
            self._add(name)
        for positions in self._reached.values():
            positions.sort()

    def _add(self, name: ast.Name) -> None:
        place = self._order.cell.place(name)
        if place.block is None or place.when is None:
            return
        if place.when == ALWAYS:
            key = id(place.block.statements)
            self._first[key] = min(place.block.index, self._first.get(key, place.block.index))
        if place.when <= {name.id}:
            for block in place.block.chain():
                self._reached[id(block.statements)].append(block.index)
                if not _is_entered(block, name.id):
                    return

    def is_before(self, node: ast.AST) -> bool:
        """Whether one has been evaluated whenever `node` is."""
        block = self._order.cell.place(node).block
        return block is not None and any(
            self._first.get(id(each.statements), each.index) < each.index for each in block.chain()
        )

    def is_bound_to_follow(self, node: ast.AST) -> bool:
        """Whether one is evaluated after `node` unless something raises, or the variable is empty."""
        at = self._order.cell.place(node)
        if at.block is None or at.when is None:
            return False
        return any(self._follows(block) for block in at.block.of_function())

    def _follows(self, start: Block) -> bool:
        """Whether one is evaluated by a later statement of the same list."""
        positions = self._reached.get(id(start.statements), [])
        following = bisect_right(positions, start.index)
        if following == len(positions) or self._order.leaves_unguarded(start.statements[start.index]):
            return False
        return not self._order.exits(start).between(start.index, positions[following], self._name)


def _caught(cell: Cell) -> set[int]:
    """What of a cell is in a `try` of the same function: the program may go on after an error."""
    caught: set[int] = set()
    for node in cell.nodes:  # What is outside comes first.
        above = cell.parents.get(id(node))
        if isinstance(node, _DEFINITIONS) or above is None:
            continue
        if isinstance(above, ast.Try | ast.TryStar) or id(above) in caught:
            caught.add(id(node))
    return caught


def _count(positions: list[int], start: int, end: int) -> int:
    """How many of them are in between."""
    return bisect_left(positions, end) - bisect_right(positions, start)


def _is_entered(block: Block, name: str) -> bool:
    """Whether a list of statements is run whenever what it belongs to is."""
    match block.of:
        case ast.With(body=body) | ast.AsyncWith(body=body) | ast.Try(body=body):
            return block.statements is body
        case ast.If(test=ast.Name(id=tested), body=body):
            return tested == name and block.statements is body
    return False
