"""What a schema becomes: one line for each form that servers use."""

from __future__ import annotations

import typing
from typing import Any

import pytest

from codeact_kernel.wire.messages import ToolParameter, ToolSchema
from codeact_kernel.wire.schemas import (
    documentation,
    module_source,
    signature_of,
    tool_spec,
    wraps_result,
)

from .backwards import MODULE, space_of, spec_of

OBJECT = {"type": "object"}
POINT = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"], "title": "Point"}
NODE = {
    "$defs": {
        "Node": {
            "type": "object",
            "properties": {
                "next": {"$ref": "#/$defs/Node"},
                "all": {"type": "array", "items": {"$ref": "#/$defs/Node"}},
            },
        }
    }
}


@pytest.mark.parametrize(
    ("schema", "annotation"),
    [
        ({"type": "string", "format": "date", "minLength": 1}, "str"),
        ({"type": "number"}, "float"),
        ({"type": ["integer", "null"]}, "int | None"),
        ({"type": "string", "nullable": True}, "str | None"),
        ({"anyOf": [{"type": "null"}, {"type": "boolean"}]}, "bool | None"),
        ({"oneOf": [{"type": "string"}, {"type": "array"}]}, "str | list[Any]"),
        ({"enum": ["a", 1, True, None]}, "Literal['a', 1, True] | None"),
        ({"type": "string", "enum": ["a", 1]}, "Literal['a']"),
        ({"const": 1}, "Literal[1]"),
        ({"oneOf": [{"const": "a", "title": "A"}, {"const": "b", "title": "B"}]}, "Literal['a', 'b']"),
        ({"enum": [1.5, [], "a"]}, "float | list[Any] | str"),
        ({"enum": [f"value {n}" for n in range(51)]}, "str"),
        ({"oneOf": [{"const": n} for n in range(51)]}, "int"),
        ({"anyOf": [{"const": n} for n in range(101)]}, "Any"),
        ({"type": "array", "items": {"type": "array", "items": {"type": "integer"}}}, "list[list[int]]"),
        ({"type": "array", "prefixItems": [{"type": "integer"}, {}], "items": False}, "tuple[int, Any]"),
        (
            {"type": "array", "items": [{"type": "integer"}, {"type": "string"}], "maxItems": 2},
            "tuple[int, str]",
        ),
        (
            {"type": "array", "prefixItems": [{"type": "integer"}], "items": {"type": "string"}},
            "list[int | str]",
        ),
        ({"type": "array", "prefixItems": [{"type": "integer"}], "minItems": 0}, "list[Any]"),
        ({"type": "object", "properties": {}}, "dict[str, Any]"),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "dict[str, int]"),
        (
            {"patternProperties": {"^.*$": {"type": "integer"}}, "additionalProperties": False},
            "dict[str, int]",
        ),
        (POINT, "Point"),
        ({"properties": {"a": {}}}, "Value"),
        ({"anyOf": [POINT, {"type": "null"}]}, "Point | None"),
        ({"allOf": [POINT], "default": {"x": 1}}, "Point"),
        ({"$ref": "#/$defs/Node"}, "Node"),
        ({"$ref": "#/$defs/Node", "description": "with a sibling"}, "Node"),
        ({"$ref": "#/$defs/Nothing"}, "Any"),
        ({"$ref": "https://example.com/schema.json"}, "Any"),
        ({"$ref": 7}, "Any"),
        ({"not": {"type": "string"}}, "Any"),
        ({"if": {"const": 1}, "then": {"type": "integer"}}, "Any"),
        (True, "Any"),
        (False, "Any"),
        ({"type": "thing"}, "Any"),
        ({"type": 7}, "Any"),
        ("string", "Any"),
        (None, "Any"),
        ([{"type": "string"}], "Any"),
        ({"anyOf": []}, "Any"),
        ({"enum": []}, "Any"),
        ({"enum": "abc"}, "Any"),
    ],
)
def test_annotations(schema: Any, annotation: str) -> None:
    spec = spec_of({**OBJECT, "properties": {"value": schema}, "required": ["value"], **NODE})
    assert spec.parameters == (ToolParameter("value", annotation=annotation),)
    typing.get_type_hints(space_of(spec)["call"])


def test_required_ones_come_first_and_optional_ones_by_name() -> None:
    spec = spec_of(
        {
            **OBJECT,
            "properties": {
                "limit": {"type": "integer", "default": 10},
                "path": {"type": "string"},
                "tail": {"type": "integer"},
                "deep": {"type": ["boolean", "null"], "default": None},
                "filter": {"type": "object", "default": {"a": [1, -2.5, "it's"]}},
                "long": {"type": "string", "default": "x" * 61},
                "odd": {"type": "number", "default": float("nan")},
            },
            "required": ["path", "missing", 7],
        }
    )
    assert str(signature_of(spec)) == (
        "(path: str, missing: Any, *, limit: int = 10, tail: int = ..., deep: bool | None = None, "
        "filter: dict[str, Any] = {'a': [1, -2.5, \"it's\"]}, long: str = ..., odd: float = ...) -> Any"
    )
    assert str(signature_of(spec)) in module_source(MODULE, [spec])


def test_further_arguments() -> None:
    def signature(**said: Any) -> str:
        return str(signature_of(spec_of({**OBJECT, **said})))

    assert (
        signature(properties={"more": {}}, additionalProperties=True)
        == "(*, more: Any = ..., **more_: Any) -> Any"
    )
    assert signature(additionalProperties={"type": "integer"}) == "(**more: int) -> Any"
    assert signature(additionalProperties=False) == signature() == signature(properties=7) == "() -> Any"


def test_alternatives_of_arguments_are_all_there() -> None:
    one = {"properties": {"id": {"type": "integer"}, "deep": {"type": "boolean"}}, "required": ["id", "deep"]}
    other = {"properties": {"id": {"type": "string"}, "name": {"type": "string"}}, "required": ["id"]}
    spec = spec_of({**OBJECT, "oneOf": [one, other]})
    assert str(signature_of(spec)) == "(id: int | str, *, deep: bool = ..., name: str = ...) -> Any"
    spec = spec_of(
        {
            **OBJECT,
            "properties": {"a": {"type": "integer"}, "b": {}},
            "anyOf": [{"required": ["a"]}, {"required": ["b"]}],
        }
    )
    assert str(signature_of(spec)) == "(*, a: int = ..., b: Any = ...) -> Any"
    spec = spec_of({"allOf": [{"$ref": "#/$defs/A"}, one], "$defs": {"A": other}})
    assert str(signature_of(spec)) == "(id: Any, deep: bool, *, name: str = ...) -> Any"


def test_alternatives_that_say_little_take_further_arguments() -> None:
    def signature(*variants: Any, **said: Any) -> str:
        return str(signature_of(spec_of({**OBJECT, **said, "oneOf": list(variants)})))

    a = {"properties": {"a": {"type": "integer"}}}
    actions = [{"properties": {"action": {"const": f"x{n}"}}, "required": ["action"]} for n in range(101)]
    root = {"properties": {"id": {"type": "integer"}}, "required": ["id"]}
    only_a = "(*, a: int = ...) -> Any"
    assert signature(*actions) == "(**more: Any) -> Any"
    assert signature(*actions, **root) == "(id: int, **more: Any) -> Any"
    assert signature({}, a) == "(*, a: int = ..., **more: Any) -> Any"
    assert signature(a, {"additionalProperties": True}) == "(*, a: int = ..., **more: Any) -> Any"
    assert signature(a, {"patternProperties": {"^x": {}}}) == "(*, a: int = ..., **more: Any) -> Any"
    assert signature(a, {"not": {"required": ["b"]}}) == "(*, a: int = ..., **more: Any) -> Any"
    assert signature(a, {"additionalProperties": False}) == only_a
    assert signature(a, {"type": "null"}) == signature(a, {"properties": {}}) == only_a


def test_further_arguments_of_some_names() -> None:
    def signature(**said: Any) -> str:
        return str(signature_of(spec_of({**OBJECT, **said})))

    words, numbers = {"^x": {"type": "string"}}, {"^x": {"type": "string"}, "^n": {"type": "integer"}}
    assert signature(patternProperties=words, additionalProperties=False) == "(**more: str) -> Any"
    assert signature(patternProperties=numbers, additionalProperties=False) == "(**more: str | int) -> Any"
    assert signature(patternProperties=words, additionalProperties={"type": "integer"}) == (
        signature(patternProperties=words, additionalProperties=True)
    )
    assert signature(properties={"a": {}}, patternProperties=words) == "(*, a: Any = ..., **more: Any) -> Any"
    assert signature(patternProperties={}) == signature(patternProperties=7) == "() -> Any"


def test_what_all_alternatives_say_of_an_argument_is_said_once() -> None:
    path = {"type": "string", "description": "Where it is.", "default": "."}
    variants = [
        {"properties": {"path": path, "n": {"const": n}}, "required": ["path"] * n} for n in (0, True, 1)
    ]
    spec = spec_of(
        {**OBJECT, "properties": {"deep": {"type": "boolean", "default": True}}, "oneOf": variants}
    )
    assert str(signature_of(spec)) == (
        "(*, deep: bool = True, path: str = '.', n: Literal[0, True, 1] = ...) -> Any"
    )
    assert '- path: "Where it is."' in documentation(spec)


@pytest.mark.parametrize("union", ["anyOf", "oneOf", "allOf"])
def test_what_is_required_and_no_name_is_not_looked_at(union: str) -> None:
    odd = {"properties": {"a": {}}, "required": [["a"], {"a": 1}, None, "a"]}
    assert str(signature_of(spec_of({**OBJECT, union: [odd]}, {union: [odd]}))).startswith("(a: Any)")


def test_recursion_by_name() -> None:
    tree = {
        "type": "object",
        "properties": {"children": {"type": "array", "items": {"$ref": "#/$defs/Tree"}}},
    }
    value = {
        "anyOf": [
            {"type": "string"},
            {"type": "array", "items": {"$ref": "#/$defs/Json"}},
            {"$ref": "#/$defs/Tree"},
        ]
    }
    schema = {
        **OBJECT,
        "properties": {"tree": {"$ref": "#/$defs/Tree"}, "json": {"$ref": "#/$defs/Json"}},
        "$defs": {"Tree": tree, "Json": value},
    }
    spec = spec_of(schema)
    names = space_of(spec)
    tree_type = typing.get_type_hints(names["call"])["tree"]
    assert typing.get_type_hints(tree_type, names) == {"children": list[tree_type]}
    assert 'Json = str | list["Json"] | Tree\n' in module_source(MODULE, [spec])


def test_mutual_recursion_and_a_schema_inside_itself() -> None:
    def record(key: str, name: str) -> Any:
        return {"type": "object", "properties": {key: {"$ref": f"#/$defs/{name}"}}, "required": [key]}

    schema = {
        **OBJECT,
        "properties": {
            "a": {"$ref": "#/$defs/A"},
            "root": {"$ref": "#"},
            "inner": {
                "type": "array",
                "items": {"type": "object", "properties": {"again": {"$ref": "#/properties/inner/items"}}},
            },
        },
        "$defs": {"A": record("b", "B"), "B": record("a", "A")},
    }
    names = space_of(spec_of(schema))
    assert typing.get_type_hints(names["A"], names) == {"b": names["B"]}
    assert typing.get_type_hints(names["B"], names) == {"a": names["A"]}
    assert typing.get_type_hints(names["Root"], names)["root"] == names["Root"]
    assert typing.get_type_hints(names["InnerItem"], names)["again"] == names["InnerItem"]


@pytest.mark.parametrize(
    "definition",
    [
        {"$ref": "#/$defs/A"},
        {"anyOf": [{"$ref": "#/$defs/A"}, {"type": "string"}]},
        {"allOf": [{"$ref": "#/$defs/A"}]},
        {"anyOf": [{"$ref": "#/$defs/B"}, {"type": "string"}]},
    ],
)
def test_references_that_say_nothing_end(definition: Any) -> None:
    other = {"anyOf": [{"$ref": "#/$defs/A"}, {"type": "integer"}]}
    spec = spec_of(
        {**OBJECT, "properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": definition, "B": other}}
    )
    assert spec.parameters[0].annotation == "Any"


def test_the_same_record_is_one_type_and_others_have_names_of_their_own() -> None:
    def tool(name: str, item: Any) -> Any:
        return spec_of({**OBJECT, "properties": {"points": {"type": "array", "items": item}}}, POINT, name)

    nested = {**POINT, "properties": {"y": {}}, "required": []}
    names = space_of(tool("a", POINT), tool("b", POINT), tool("Point2", nested))
    assert (
        typing.get_type_hints(names["a"])["return"]
        is typing.get_type_hints(names["b"])["return"]
        is names["Point"]
    )
    assert typing.get_type_hints(names["Point2"])["points"] == list[names["Point3"]]  # noqa: F821 - a name of the module


def test_tools_share_a_record_that_contains_itself() -> None:
    schema = {**OBJECT, "properties": {"node": {"$ref": "#/$defs/Node"}}, **NODE}
    names = space_of(spec_of(schema, None, "a"), spec_of(schema, None, "b"))
    assert typing.get_type_hints(names["a"])["node"] is typing.get_type_hints(names["b"])["node"]
    assert "Node2" not in names


def test_what_all_of_several_schemas_say() -> None:
    parts = [
        {"properties": {"a": {"type": "number"}, "b": {"enum": [1, 2]}}, "required": ["a"]},
        {"properties": {"a": {"type": "integer"}, "b": {"enum": [2, 3]}}, "required": ["b"]},
        {"properties": {"c": {"type": ["string", "null"]}}},
        {"properties": {"c": {"type": ["null", "array"]}}},
    ]
    assert str(signature_of(spec_of({"allOf": parts}))) == "(a: int, b: Literal[2], *, c: None = ...) -> Any"


def test_results() -> None:
    wrapped = {
        "type": "object",
        "properties": {"result": {"type": "array", "items": POINT}},
        "required": ["result"],
    }
    assert wraps_result(wrapped)
    assert spec_of(OBJECT, wrapped).returns == "list[Point]"
    marked = {
        "type": "object",
        "properties": {"result": {"type": "integer"}, "note": {}},
        "x-fastmcp-wrap-result": True,
    }
    assert wraps_result(marked)
    assert spec_of(OBJECT, marked).returns == "int"
    several = {
        "type": "object",
        "properties": {"result": {"type": "integer"}, "note": {}},
        "required": ["result"],
    }
    assert not wraps_result(several)
    assert spec_of(OBJECT, several, "read_file").returns == "ReadFileResult"
    assert not wraps_result({**wrapped, "required": []})
    assert not wraps_result({})
    assert not wraps_result([])  # type: ignore[arg-type]  # a server may send anything
    assert spec_of(OBJECT).returns == "Any"


def test_the_spec_says_what_the_module_says() -> None:
    schema = ToolSchema(
        "move",
        {**OBJECT, "properties": {"to": POINT, "by": {"type": "number"}}, "required": ["to"]},
        POINT,
        True,
    )
    spec = tool_spec("server", "move", schema, "Moves.\r\n\tFar.")
    assert (spec.name, spec.doc, spec.schema, spec.effect) == (
        "server.move",
        "Moves.\n    Far.",
        schema,
        "write",
    )
    assert f"def move{signature_of(spec)}:" in module_source(MODULE, [spec])
    assert tool_spec("server", "move", schema, spec.doc) == spec
