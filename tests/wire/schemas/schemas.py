"""JSON Schemas as servers send them, and what is left of one when what no annotation can say is erased."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from random import Random
from typing import Any

from hypothesis import strategies as st

KEYS = [
    *("name", "from", "class", "a-b", "a_b", "__x", "_", "ﬁ", "fi", "str", "list", "Any", "self", ""),
    *(
        "a b",
        "é",
        "名",
        "1a",
        "x'y\"\\",
        "\n",
        "\ud800",
        "None",
        "__debug__",
        "match",
        "more",
        "result",
        "a.b/c~d%",
    ),
]
REFERENCES = ["#/$defs/One", "#/$defs/Two", "#/definitions/Three", "#/properties/here", "#"]
NOWHERE = [
    "#/$defs/none",
    "https://example.com/schema",
    "other.json#/a",
    "#anchor",
    "#/properties/here/type",
    "",
]
_STRUCTURE = (
    *("type", "nullable", "enum", "const", "anyOf", "oneOf", "allOf"),
    *("properties", "required", "additionalProperties", "patternProperties", "items", "prefixItems"),
)

keys = st.sampled_from(KEYS)
LONG = "x" * 101
CHOICES: list[list[Any]] = [
    *([], ["a"], ["a", "b", "a"], [0, 1], [True, 1], [None], [None, "a", False], [2**70], [-1, 0.5], [1.0]),
    *(
        [[], {}],
        ["a", {"from": 1}],
        ["\ud800", "it's", '"""', "\\"],
        ["\x00", "\u202e", "\u2028"],
        [LONG],
        [LONG, 1],
    ),
]
"""Values of an `enum`."""
_types = st.sampled_from(["string", "integer", "number", "boolean", "null"])
_said: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {},
        {"default": {"from": [1, "\ud800"]}},
        {"default": LONG, "title": "Point"},
        {"default": float("inf"), "title": "1 & 2"},
        {"default": None, "description": 'He said """no"""', "title": "The whole story of it all"},
        {"default": -1, "description": "two\nlines\\", "title": "Ünï"},
        {"description": LONG * 4 + "\x1b[31m\u202e\ud800", "title": "str"},
    ]
)
_limits = st.sampled_from(
    [
        {"minimum": 0, "maximum": 1},
        {"minLength": 1, "pattern": '^\'"""\\\\$', "format": "uri"},
        {"exclusiveMinimum": True, "multipleOf": 0.1},
        {"not": {"type": "string"}},
        {"if": {"type": "string"}, "then": {"minLength": 2}, "else": False},
    ]
)


_nullable = {"nullable": st.just(True)}
_leaves = st.booleans() | st.builds(
    lambda said, meant: said | meant,
    _said,
    st.one_of(
        st.just({}),
        st.fixed_dictionaries({"enum": st.sampled_from(CHOICES)}, optional={"type": _types} | _nullable),
        st.fixed_dictionaries(
            {"const": st.sampled_from([each[0] for each in CHOICES[1:]])}, optional=_nullable
        ),
        st.fixed_dictionaries(
            {"type": st.lists(_types, min_size=1, max_size=3, unique=True)}, optional=_nullable
        ),
        st.fixed_dictionaries({"$ref": st.sampled_from(REFERENCES * 3 + NOWHERE)}),
        st.fixed_dictionaries({"type": _types}, optional=_nullable),
        st.builds(lambda kind, limits: {"type": kind} | limits, _types, _limits),
    ),
)


def _lists(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(inner, min_size=1, max_size=3)
    array = st.just("array")
    tuples = several.map(
        lambda members: {"type": "array", "prefixItems": members, "items": False, "minItems": len(members)}
    )
    return st.one_of(
        st.fixed_dictionaries({"type": array}, optional={"items": inner, "minItems": st.just(1)}),
        st.fixed_dictionaries({"items": inner}),
        tuples,
        several.map(lambda members: {"type": "array", "prefixItems": members}),
        st.fixed_dictionaries({"type": array, "prefixItems": several, "items": inner}),
        several.map(lambda members: {"type": "array", "items": members, "additionalItems": False}),
    )


def _records(
    inner: st.SearchStrategy[Any], names: list[str] = KEYS, further: bool = True
) -> st.SearchStrategy[Any]:
    optional: dict[str, st.SearchStrategy[Any]] = {
        "required": st.lists(keys, max_size=3),
        "title": st.sampled_from(["Point", "list", "Type"]),
        "description": st.just('Text """'),
    }
    if further:
        optional["additionalProperties"] = inner
        optional["patternProperties"] = st.dictionaries(st.just("^a"), inner, max_size=1)
    properties = st.dictionaries(st.sampled_from(names), inner, max_size=4)
    return st.one_of(
        st.fixed_dictionaries({"type": st.just("object"), "properties": properties}, optional=optional),
        st.fixed_dictionaries({"properties": properties}),
        st.fixed_dictionaries(
            {"type": st.just("object")}, optional={"additionalProperties": inner} if further else {}
        ),
    )


def _unions(inner: st.SearchStrategy[Any], apart: bool) -> st.SearchStrategy[Any]:
    several = st.lists(inner, min_size=1, max_size=3)
    half = len(KEYS) // 2
    one, other = (
        _records(inner, names, further=not apart)
        for names in (KEYS[: half if apart else None], KEYS[half if apart else 0 :])
    )
    strategies = [
        several.map(lambda members: {"anyOf": members}),
        several.map(lambda members: {"oneOf": members}),
        st.tuples(one, other).map(lambda members: {"allOf": [*members]}),
        inner.map(lambda member: {"allOf": [member], "description": "as a generator of schemas writes it"}),
        st.builds(
            lambda base, members: {**base, "anyOf": members}, one, st.lists(other, min_size=1, max_size=2)
        ),
        st.builds(
            lambda base, names: {**base, "oneOf": [{"required": names}, {"required": []}]},
            one,
            st.lists(keys, max_size=1),
        ),
    ]
    if not apart:
        strategies += [
            several.map(lambda members: {"allOf": members}),
            st.builds(lambda base, name: {**base, "$ref": name}, one, st.sampled_from(REFERENCES)),
            st.builds(lambda first, second: {"anyOf": first, "oneOf": second}, several, several),
        ]
    return st.one_of(strategies)


@cache  # To make strategies takes longer than to draw from them.
def schemas(apart: bool) -> st.SearchStrategy[Any]:
    """Any schema. `apart`: what `allOf` and `anyOf` put together says nothing of the same keys."""
    return st.recursive(
        _leaves,
        lambda inner: st.one_of(_lists(inner), _records(inner), _records(inner), _unions(inner, apart)),
        max_leaves=6,
    )


@cache
def documents(apart: bool = True) -> st.SearchStrategy[dict[str, Any]]:
    """Input schemas: an object, with definitions that refer to each other, behind an object or a list."""
    inner = schemas(apart)
    definition = _records(inner) | st.fixed_dictionaries({"type": st.just("array"), "items": inner})
    nullable = st.builds(lambda inner: {"anyOf": [inner, {"type": "null"}]}, _records(inner))
    root = _records(inner).filter(lambda schema: "properties" in schema)
    here = st.fixed_dictionaries({}, optional={"here": definition})
    return st.builds(_document, root, here, definition, definition | nullable, definition)


def _document(root: dict[str, Any], here: dict[str, Any], one: Any, two: Any, three: Any) -> dict[str, Any]:
    return {
        **{word: said for word, said in root.items() if word != "patternProperties"},
        "type": "object",
        "properties": root["properties"] | here,
        "$defs": {"One": one, "Two": two},
        "definitions": {"Three": three},
    }


ROOT, HERE = "#/$defs/the root", "#/$defs/here"


def erased_document(document: Mapping[str, Any]) -> dict[str, Any]:
    """`erased`, of an input schema. Only there further keys count besides known ones: as `**more`."""
    others = document.get("additionalProperties", True)
    defs = {name: erased(each) for name, each in document["$defs"].items()}
    defs |= {"the root": erased(document), "here": erased(document["properties"].get("here", True))}
    definitions = {name: erased(each) for name, each in document["definitions"].items()}
    own = {**_record(document), "additionalProperties": erased(others)}
    return {**own, "$defs": defs, "definitions": definitions}


def erased(schema: Any) -> Any:
    """What a schema says as far as annotations can say it.

    Left out: limits, `not`, `if`, what is outside of the document, the single values of an enum that
    has lists, objects, fractions or long values, further keys of objects that have known ones, `false`.
    Written down: `object` and `array` where only their words are there, the length of a tuple.
    """
    if not isinstance(schema, Mapping):
        return True
    parts = [_own(schema), _referred(schema.get("$ref"))]
    for word in ("anyOf", "oneOf"):
        members = [each for each in schema.get(word, ()) if each is not False]
        if members and not all(isinstance(each, Mapping) and not {*each} - {"required"} for each in members):
            parts.append({"anyOf": list(map(erased, members))})
    parts += [erased(each) for each in schema.get("allOf", ()) if each is not False]
    said = [part for part in parts if part is not True]
    whole: Any = said[0] if len(said) == 1 else {"allOf": said} if said else True
    return {"anyOf": [whole, {"type": "null"}]} if schema.get("nullable") is True else whole


def _referred(reference: Any) -> Any:
    if reference not in REFERENCES:
        return True
    return {"$ref": {"#": ROOT, "#/properties/here": HERE}.get(reference, reference)}


def _own(schema: Mapping[str, Any]) -> Any:
    types = _types_of(schema)
    if "const" in schema or "enum" in schema:
        return _enum(schema["enum"] if "enum" in schema else [schema["const"]], types)
    if not types:
        return True
    return {"anyOf": [_of_type(kind, schema) for kind in types]}


def _types_of(schema: Mapping[str, Any]) -> list[str]:
    if "type" in schema:
        return [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    if any(
        word in schema for word in ("properties", "required", "additionalProperties", "patternProperties")
    ):
        return ["object"]
    return ["array"] if "items" in schema or "prefixItems" in schema else []


def _of_type(kind: str, schema: Mapping[str, Any]) -> Any:
    if kind == "array":
        first, items = schema.get("prefixItems"), schema.get("items", True)
        if isinstance(items, list):
            first, items = items, schema.get("additionalItems", True)
        if not first:
            return {"type": "array", "items": erased(items)}
        members = [erased(each) for each in first]
        if isinstance(items, Mapping) or ("items" in schema and items is True):
            return {"type": "array", "items": {"anyOf": [*members, erased(items)]}}
        return {"type": "array", "prefixItems": members, "minItems": len(members), "maxItems": len(members)}
    if kind != "object":
        return {"type": kind}
    if schema.get("properties") or schema.get("required"):
        return _record(schema)
    patterns, others = schema.get("patternProperties"), schema.get("additionalProperties", True)
    return {"type": "object", "additionalProperties": True if patterns else erased(others)}


def _record(schema: Mapping[str, Any]) -> dict[str, Any]:
    known = {key: erased(each) for key, each in schema.get("properties", {}).items()}
    required, others = schema.get("required", []), erased(schema.get("additionalProperties"))
    unknown = dict.fromkeys(required, True if "patternProperties" in schema else others)
    return {"type": "object", "properties": unknown | known, "required": required}


def _enum(listed: list[Any], types: list[str]) -> Any:
    kept = [each for each in listed if not types or any(_is(each, kind) for kind in types)]
    if not kept:
        return {"anyOf": [{"type": kind} for kind in types]} if types else True
    if all(map(_is_short, kept)):
        return {"enum": kept}
    return {"anyOf": [{"type": next(kind for kind in _KINDS if _is(each, kind))} for each in kept]}


def _is_short(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= 100
    return value is None or (isinstance(value, int) and abs(value) < 2**63)


_KINDS = ("null", "boolean", "integer", "number", "string", "array", "object")


def _is(value: Any, kind: str) -> bool:
    match value:
        case None:
            return kind == "null"
        case bool():
            return kind == "boolean"
        case int():
            return kind in ("integer", "number")
        case float():
            return kind == "number"
        case str():
            return kind == "string"
    return kind == ("array" if isinstance(value, list) else "object")


class Values:
    """Values, the same for the same seed. (Drawn by hypothesis, they would take ten times as long.)"""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def any(self, depth: int = 0) -> Any:
        kind = self._random.randrange(6 if depth < 3 else 4)
        if kind == 4:
            return [self.any(depth + 1) for _ in range(self._random.randrange(3))]
        if kind == 5:
            return {self._random.choice(KEYS): self.any(depth + 1) for _ in range(self._random.randrange(3))}
        return self._random.choice([None, True, False, 0, 1, -3, 0.5, 1.0, "", "a", "b", "\ud800"])

    def of(self, schema: Any, root: Any, depth: int = 0) -> Any:
        """A value that an erased schema is likely to take."""
        if schema is True or depth > 12 or self._random.randrange(40) == 0:
            return self.any(depth)
        if "$ref" in schema:
            _, place, name = schema["$ref"].split("/")
            return self.of(root[place][name], root, depth + 1)
        if "anyOf" in schema:
            return self.of(self._random.choice(schema["anyOf"]), root, depth + 1)
        if "allOf" in schema:
            parts = [self.of(each, root, depth + 1) for each in schema["allOf"]]
            records = all(isinstance(part, dict) for part in parts)
            return {key: each for part in parts for key, each in part.items()} if records else parts[0]
        if "enum" in schema:
            return self._random.choice(schema["enum"])
        return self._typed(schema, root, depth + 1)

    def _typed(self, schema: Any, root: Any, depth: int) -> Any:
        match schema["type"]:
            case "array" if "prefixItems" in schema:
                return [self.of(each, root, depth) for each in schema["prefixItems"]]
            case "array":
                return [
                    self.of(schema.get("items", True), root, depth) for _ in range(self._random.randrange(3))
                ]
            case "object":
                known, needed = schema.get("properties", {}), schema.get("required", ())
                others = schema.get("additionalProperties", True)
                more = [self._random.choice(KEYS) for _ in range(self._random.randrange(2))]
                given = [key for key in known if key in needed or self._random.randrange(2)]
                named = {key: known.get(key, others) for key in (*more, *needed, *given)}
                return {key: self.of(each, root, depth) for key, each in named.items()}
        choices = {"string": ["", "a"], "integer": [-1, 2], "number": [0, 0.5], "boolean": [True, False]}
        return self._random.choice(choices.get(schema["type"], [None]))

    def changed(self, value: Any) -> Any:
        """The value with one thing changed, somewhere in it."""
        if value and isinstance(value, dict | list) and self._random.randrange(4):
            place = self._random.choice(sorted(value) if isinstance(value, dict) else range(len(value)))
            copy = value.copy()
            if self._random.randrange(3) == 0:
                del copy[place]
            else:
                copy[place] = self.changed(value[place])
            return copy
        return self.any()
