"""Owns the types of a module while it is made: what annotations say, and the types that have names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from .names import type_namer


@dataclass(frozen=True)
class Plain:
    """`str`, `int`, `float`, `bool`, `None` or `Any`."""

    name: str


@dataclass(frozen=True)
class Choice:
    """`Literal[…]`. The values as source text: `1` and `True` are not the same."""

    values: tuple[str, ...]


@dataclass(frozen=True)
class ListOf:
    item: Type


@dataclass(frozen=True)
class TupleOf:
    items: tuple[Type, ...]


@dataclass(frozen=True)
class DictOf:
    value: Type


@dataclass(frozen=True)
class OneOf:
    members: tuple[Type, ...]


@dataclass(frozen=True)
class Named:
    """The type with this number in the table."""

    number: int


Type: TypeAlias = Plain | Choice | ListOf | TupleOf | DictOf | OneOf | Named

ANY, NONE = Plain("Any"), Plain("None")


@dataclass(frozen=True)
class Member:
    """A key of a record."""

    key: str
    type: Type
    required: bool


@dataclass(frozen=True)
class Record:
    """A TypedDict. `doc`: what is said of its keys."""

    name: str
    members: tuple[Member, ...]
    doc: str = ""


@dataclass(frozen=True)
class Alias:
    """A type that is no record and refers to itself."""

    name: str
    type: Type


CHOICES = 50
"""Values of a Literal."""
DOCUMENTATION = 2_000_000
"""Characters of the docstrings of all records."""
_SELF = -1
"""In the key of a record: the record itself."""


class Table:
    """The named types of a module. Records of the same shape and wish for a name are one type.

    Args:
        functions: names that types cannot have.
    """

    def __init__(self, functions: Iterable[str] = ()) -> None:
        self.defined: dict[int, Record | Alias] = {}
        self._names = type_namer(functions)
        self._known: dict[tuple[str, tuple[Member, ...]], int] = {}
        self._same: dict[int, int] = {}
        self._last = 0
        self._left = DOCUMENTATION

    def reserve(self) -> int:
        """A number for a type that is not known yet."""
        self._last += 1
        return self._last

    def record(self, wish: str, members: tuple[Member, ...], doc: str, own: int | None) -> Named:
        """The record with these members. `own`: the number that was reserved for it."""
        shape = members if own is None else tuple(_with_self(member, own) for member in members)
        known = self._known.get((wish, shape))
        if known is None:
            known = self._known[wish, shape] = self.reserve() if own is None else own
            self._left -= len(doc)
            self.defined[known] = Record(self._names.give(wish), members, doc if self._left > 0 else "")
        elif own is not None:
            self._same[own] = known
        return Named(known)

    def alias(self, number: int, wish: str, meant: Type) -> Named:
        """A reserved number as a name for a type."""
        self.defined[number] = Alias(self._names.give(wish), meant)
        return Named(number)

    def number(self, named: Named) -> int:
        """The number under which the type is defined."""
        return self._same.get(named.number, named.number)

    def has(self, number: int) -> bool:
        return number in self.defined or number in self._same


def one_of(members: Sequence[Type]) -> Type:
    """A union without unions inside, without repetitions; its literals are one, if they are not too many."""
    if len(members) == 1:
        return members[0]
    found: dict[Type, None] = {}
    values: dict[str, None] = {}
    for member in members:
        for each in member.members if isinstance(member, OneOf) else (member,):
            if isinstance(each, Choice):
                values |= dict.fromkeys(each.values)
                found[Choice(())] = None
            else:
                found[each] = None
    if ANY in found or not found:
        return ANY
    if len(values) > CHOICES:
        return one_of([*(each for each in found if each != Choice(())), *map(_wide, values)])
    flat = [Choice(tuple(values)) if each == Choice(()) else each for each in found if each != NONE]
    flat += [NONE] if NONE in found else []
    return flat[0] if len(flat) == 1 else OneOf(tuple(flat))


def _wide(value: str) -> Type:
    """The type of a value that a literal has."""
    if value[0] in "\"'":
        return PLAIN["string"]
    return PLAIN["boolean" if value in ("True", "False") else "integer"]


def _with_self(member: Member, own: int) -> Member:
    return Member(member.key, _replaced(member.type, own), member.required)


def _replaced(meant: Type, own: int) -> Type:
    match meant:
        case Named(number):
            return Named(_SELF) if number == own else meant
        case ListOf(item):
            return ListOf(_replaced(item, own))
        case DictOf(value):
            return DictOf(_replaced(value, own))
        case TupleOf(items):
            return TupleOf(tuple(_replaced(each, own) for each in items))
        case OneOf(members):
            return OneOf(tuple(_replaced(each, own) for each in members))
        case _:
            return meant


PLAIN: Mapping[str, Plain] = {
    "string": Plain("str"),
    "integer": Plain("int"),
    "number": Plain("float"),
    "boolean": Plain("bool"),
    "null": NONE,
}
