"""Owns a JSON Schema as a document: references into it, and `allOf` and `$ref` folded into one schema."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import unquote

from ..messages import Json

Schema = Mapping[str, Json]

_STRUCTURE = frozenset(
    (
        *("type", "nullable", "enum", "const", "anyOf", "oneOf", "allOf"),
        *("properties", "required", "additionalProperties", "patternProperties"),
        *("items", "prefixItems", "additionalItems"),
    )
)
"""The words that say what a value is made of; without them, siblings of a `$ref` change no type."""
_FOLDED = ("$ref", "allOf")
_UNION = ("anyOf", "oneOf")
PARTS = 200
"""Schemas that are folded into one."""
VARIANTS = 100
"""Members of a union; of more, nothing is said."""
FOLDING = 100_000
"""Words and properties that are put together for one document: parts can be named again and again."""
_TYPES = 7
"""There are no more."""
_REFERENCE = 1_000
"""Characters of a `$ref`."""


class Document:
    """A schema and what it refers to."""

    def __init__(self, root: Schema) -> None:
        self.root = mapping_of(root)  # Who sends a schema may send anything.
        self._left = FOLDING

    def target(self, reference: Json) -> Schema | None:
        """What `#/$defs/Node` stands for; None: nothing, or something outside of the document."""
        if not isinstance(reference, str) or not reference.startswith("#") or len(reference) > _REFERENCE:
            return None
        found: Json = self.root
        for part in reference[1:].split("/")[1:] if reference != "#" else ():
            found = _step(found, unquote(part).replace("~1", "/").replace("~0", "~"))
        return found if isinstance(found, Mapping) and (reference == "#" or reference[1] == "/") else None

    def is_link(self, schema: Schema) -> bool:
        """Whether it is a `$ref` to a type and nothing else."""
        return "$ref" in schema and not _STRUCTURE.intersection(schema)

    def folded(self, schema: Schema) -> Schema:
        """The schema without `$ref` and `allOf`: what they name is part of it."""
        if not any(word in schema for word in _FOLDED):
            return schema
        result: Schema = {}
        for part in self._parts(schema, set()):
            self._left -= _entries(result) + _entries(part)
            if self._left < 0:
                return {}
            result = _both(result, part)
        return result

    def _parts(self, schema: Schema, seen: set[int]) -> list[Schema]:
        """What is to be folded: what is referred to, the members, what the schema says itself."""
        if id(schema) in seen or len(seen) >= PARTS:
            return []
        seen.add(id(schema))
        linked = self.target(schema.get("$ref"))
        named = [linked] if linked is not None else []
        members = [each for each in items_of(schema.get("allOf")) if isinstance(each, Mapping)]
        parts = [part for each in (*named, *members) for part in self._parts(each, seen)]
        return [*parts, {word: said for word, said in schema.items() if word not in _FOLDED}]

    def variants(self, schema: Schema) -> tuple[Schema, ...]:
        """The members of `anyOf` or `oneOf`, each with what the schema says besides; none: it has no such.

        Members that only say which keys are required are constraints, not types.
        """
        for word in _UNION:
            if word not in schema:
                continue
            listed = [{} if each is True else each for each in items_of(schema.get(word))]
            members = [each for each in listed if isinstance(each, Mapping)]
            if len(members) > VARIANTS:
                return ({},)
            if members and not all(map(_only_constrains, members)):
                said = {key: schema[key] for key in schema if key in _STRUCTURE and key not in _UNION}
                return tuple({"allOf": [said, each]} if said else each for each in members)
        return ()


def items_of(value: Json) -> list[Json]:
    """The members of a list; none where it is no list."""
    return list(value) if isinstance(value, list | tuple) else []


def mapping_of(value: Json) -> Schema:
    """A mapping; an empty one where it is none."""
    return value if isinstance(value, Mapping) else {}


def types_of(schema: Schema) -> tuple[str, ...]:
    """What `type` says, or what its other words can only mean; (): anything."""
    said = schema.get("type")
    listed = dict.fromkeys(each for each in items_of(said) if isinstance(each, str))
    if isinstance(said, str) or listed:
        return (said,) if isinstance(said, str) else tuple(listed)[:_TYPES]
    if any(
        word in schema for word in ("properties", "required", "additionalProperties", "patternProperties")
    ):
        return ("object",)
    return ("array",) if "items" in schema or "prefixItems" in schema else ()


def _entries(schema: Schema) -> int:
    return len(schema) + sum(len(said) for said in schema.values() if isinstance(said, list | Mapping))


def _only_constrains(member: Schema) -> bool:
    return "$ref" not in member and not _STRUCTURE.difference({"required"}).intersection(member)


def _step(value: Json, key: str) -> Json:
    if isinstance(value, Mapping):
        return mapping_of(value).get(key)
    members = items_of(value)
    return members[int(key)] if key.isdecimal() and len(key) < 6 and int(key) < len(members) else None


def _both(first: Schema, second: Schema) -> Schema:
    """What holds where both do, as far as types go; what else they say, the second says."""
    result: dict[str, Json] = {**first, **second}
    if "type" in first and "type" in second:
        result["type"] = _common_types(types_of(first), types_of(second))
    for word in ("properties", "patternProperties"):
        if word in first and word in second:
            result[word] = _each_both(mapping_of(first[word]), mapping_of(second[word]))
    if "required" in first and "required" in second:
        result["required"] = [*items_of(first["required"]), *items_of(second["required"])]
    if "enum" in first and "enum" in second:
        result["enum"] = [each for each in items_of(first["enum"])[:1000] if each in items_of(second["enum"])]
    for word in ("items", "additionalProperties"):
        one, other = first.get(word), second.get(word)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            result[word] = {"allOf": [one, other]}
    for word in _UNION:
        if word in first and word in second:
            result[word] = first[word]  # One of them is wide enough.
    return result


def _each_both(first: Schema, second: Schema) -> Schema:
    result = {**first, **second}
    for key in first.keys() & second.keys():
        result[key] = {"allOf": [first[key], second[key]]}
    return result


def _common_types(first: Iterable[str], second: Iterable[str]) -> list[str]:
    """Whole numbers are numbers."""
    one, other = tuple(first), tuple(second)
    found = [each for each in one if each in other or (each == "integer" and "number" in other)]
    return found + [each for each in other if each == "integer" and each not in one and "number" in one]
