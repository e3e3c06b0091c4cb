"""Owns the way from a JSON Schema to a type: every schema has one, `Any` where nothing better can be said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from ..messages import Json
from .describing import members_doc
from .documents import Document, Schema, items_of, mapping_of, types_of
from .kinds import (
    ANY,
    CHOICES,
    NONE,
    PLAIN,
    Choice,
    DictOf,
    ListOf,
    Member,
    Named,
    Table,
    TupleOf,
    Type,
    one_of,
)
from .names import title_name, type_name
from .texts import source

TOOL_NODES = 2_000
"""Schemas of a tool that are looked at; what is beyond is Any."""
MODULE_NODES = 200_000
DEPTH = 40
"""Schemas within schemas. Python's parser takes less than 100 brackets."""
MEMBERS = 1_000
"""Keys of a record."""
LONGEST_KEY = 200
"""Characters of a key of a record; longer ones are left out."""
CHOICE_LENGTH = 100
"""Characters of a value of a Literal."""
MOST_CHOICES = 1_000
"""Values of an enum whose kinds are looked at."""


class Budget:
    """How many schemas may be looked at. A few references can stand for millions."""

    def __init__(self, nodes: int = MODULE_NODES) -> None:
        self.left = nodes

    def take(self, nodes: int = 1) -> bool:
        self.left -= nodes
        return self.left >= 0


@dataclass
class _Open:
    """A schema that is being translated. `number`: reserved, when it refers to itself."""

    within: int
    number: int | None = None


@dataclass(frozen=True)
class _Done:
    type: Type
    nodes: int
    schema: Schema
    """Kept, so that no other one gets its id."""


class Translator:
    """Makes types of the schemas of one document; those that need names go into the table."""

    def __init__(self, document: Document, table: Table, budget: Budget) -> None:
        self._document = document
        self._table = table
        self._budget = budget
        self._open: dict[int, _Open] = {}
        self._done: dict[int, _Done] = {}
        self._depth = 0
        self._within = 0

    def type(self, schema: Json, wish: str) -> Type:
        """The type of the values that the schema takes. `wish`: words for the name, if it needs one."""
        if not isinstance(schema, Mapping) or self._depth >= DEPTH or not self._budget.take():
            return ANY
        kind = schema.get("type")
        if isinstance(kind, str) and kind in PLAIN and _RICHER.isdisjoint(schema):
            return PLAIN[kind]
        if self._document.is_link(schema):
            return self._link(schema, wish)
        if id(schema) in self._open:
            return self._again(self._open[id(schema)])
        done = self._done.get(id(schema))
        if done is not None:
            return done.type if self._budget.take(done.nodes) else ANY
        return self._fresh(schema, wish)

    def _link(self, schema: Schema, wish: str) -> Type:
        reference = schema["$ref"]
        target = self._document.target(reference)
        if target is None or not isinstance(reference, str):
            return ANY
        defined = reference.startswith(("#/$defs/", "#/definitions/"))
        self._depth += 1
        found = self.type(target, reference.rpartition("/")[2] if defined else wish)
        self._depth -= 1
        return one_of((found, NONE)) if schema.get("nullable") is True else found

    def _again(self, entry: _Open) -> Type:
        """A schema inside itself. Without a list or record between, it says nothing."""
        if entry.within == self._within:
            return ANY
        entry.number = self._table.reserve() if entry.number is None else entry.number
        return Named(entry.number)

    def _fresh(self, schema: Schema, wish: str) -> Type:
        entry = self._open[id(schema)] = _Open(self._within)
        before = self._budget.left
        self._depth += 1
        found = self._schema(self._document.folded(schema), wish, entry)
        self._depth -= 1
        del self._open[id(schema)]
        if entry.number is not None and not self._table.has(entry.number):
            found = self._table.alias(entry.number, _name(schema, wish), found)
        self._done[id(schema)] = _Done(found, before - self._budget.left, schema)
        return found

    def _schema(self, schema: Schema, wish: str, entry: _Open | None) -> Type:
        """`entry`: what the schema is, where nothing but a record of it is meant."""
        if schema.get("nullable") is True:
            rest = {word: said for word, said in schema.items() if word != "nullable"}
            return one_of((self._schema(rest, wish, None), NONE))
        variants = self._document.variants(schema)
        if variants:
            return one_of([self.type(each, wish) for each in variants])
        if "const" in schema or "enum" in schema:
            return self._choice(schema)
        kinds = types_of(schema)
        only = entry if len(kinds) == 1 else None
        return one_of([self._kind(kind, schema, wish, only) for kind in kinds])

    def _kind(self, kind: str, schema: Schema, wish: str, entry: _Open | None) -> Type:
        if kind == "object":
            return self._object(schema, wish, entry)
        return self._array(schema, wish) if kind == "array" else PLAIN.get(kind, ANY)

    def _choice(self, schema: Schema) -> Type:
        listed = [schema["const"]] if "const" in schema else items_of(schema["enum"])
        kinds = types_of(schema)
        values = [each for each in listed if not kinds or _is_of(each, kinds)]
        if len(listed) > MOST_CHOICES or not values:
            return one_of([PLAIN.get(kind, _WIDE.get(kind, ANY)) for kind in kinds])
        if len(values) <= CHOICES and all(map(_short, values)) and self._budget.take(len(values)):
            return one_of([NONE if each is None else Choice((source(each),)) for each in values])
        return one_of([PLAIN.get(kind, _WIDE.get(kind, ANY)) for kind in map(_kind_of, values)])

    def _array(self, schema: Schema, wish: str) -> Type:
        first, items = schema.get("prefixItems"), schema.get("items")
        if first is None and isinstance(items, list | tuple):
            first, items = items, schema.get("additionalItems")
        with self._inside():
            if not items_of(first):
                return ListOf(self.type(items, f"{wish} item"))
            members = [self.type(each, f"{wish} item") for each in items_of(first)[:MEMBERS]]
            if len(members) < MEMBERS and _is_closed(schema, items, len(members)):
                return TupleOf(tuple(members))
            return ListOf(one_of([*members, self.type(items, f"{wish} item")]))

    def _object(self, schema: Schema, wish: str, entry: _Open | None) -> Type:
        properties = mapping_of(schema.get("properties"))
        needed = {each for each in items_of(schema.get("required")) if isinstance(each, str)}
        keys = [*properties, *sorted(needed.difference(properties))]
        keys = [key for key in keys if len(key) <= LONGEST_KEY][:MEMBERS]
        others = None if "patternProperties" in schema else schema.get("additionalProperties")
        with self._inside():
            if not keys:
                return DictOf(self._values(schema, wish))
            members = tuple(
                Member(key, self.type(properties.get(key, others), key), key in needed) for key in keys
            )
        doc = members_doc(schema, keys)
        return self._table.record(_name(schema, wish), members, doc, None if entry is None else entry.number)

    def _values(self, schema: Schema, wish: str) -> Type:
        """What the values of an object without known keys are."""
        patterns = mapping_of(schema.get("patternProperties"))
        others = schema.get("additionalProperties")
        if not patterns:
            return self.type(others, f"{wish} value")
        if others is not False:
            return ANY
        return one_of([self.type(each, f"{wish} value") for each in list(patterns.values())[:MEMBERS]])

    @contextmanager
    def _inside(self) -> Iterator[None]:
        self._within += 1
        yield
        self._within -= 1


def _name(schema: Schema, wish: str) -> str:
    return title_name(schema.get("title")) or type_name(wish) or "Value"


_RICHER = frozenset({"nullable", "enum", "const", "anyOf", "oneOf", "allOf", "$ref"})
"""Words beside which `type` is not all that is said of a plain value."""
_WIDE: Mapping[str, Type] = {"array": ListOf(ANY), "object": DictOf(ANY)}


def _is_closed(schema: Schema, items: Json, length: int) -> bool:
    """Whether a tuple is meant: so many items, as far as is said."""
    least, most = schema.get("minItems", length), schema.get("maxItems", length)
    return not isinstance(items, Mapping) and items is not True and (least, most) == (length, length)


def _kind_of(value: Json) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
    return "object" if isinstance(value, Mapping) else "array"


def _is_of(value: Json, kinds: tuple[str, ...]) -> bool:
    kind = _kind_of(value)
    return kind in kinds or (kind == "integer" and "number" in kinds)


def _short(value: Json) -> bool:
    """Whether it can stand in a Literal."""
    if isinstance(value, str):
        return len(value) <= CHOICE_LENGTH
    return value is None or isinstance(value, bool) or (isinstance(value, int) and abs(value) < 2**63)
