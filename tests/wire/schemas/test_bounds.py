"""Schemas that are meant to cost: time and source stay within bounds, and there is always a module."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from codeact_kernel.wire.messages import ToolSchema
from codeact_kernel.wire.schemas import check_source, function_names, module_source, tool_spec

from .backwards import MODULE, space_of, spec_of

SECONDS = 60.0
"""Of processor time: many times what it takes, so that only another order of growth is found."""
SOURCE = 3_000_000


def of(properties: Any, **said: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, **said}


def nested(wrap: Callable[[Any], Any], levels: int = 500) -> Any:
    schema: Any = {"type": "string"}
    for _ in range(levels):
        schema = wrap(schema)
    return schema


def doubling(wrap: Callable[[Any], Any]) -> dict[str, Any]:
    """Forty definitions, each of which names the next one twice: 2**40 strings."""
    defs = {f"D{n}": wrap({"$ref": f"#/$defs/D{n + 1}"}) for n in range(40)} | {"D40": {"type": "string"}}
    return of({"a": {"$ref": "#/$defs/D0"}}, **{"$defs": defs})


MANY = {f"property {n}": {"type": "string", "description": "d" * 200} for n in range(10_000)}
RECORD = of({"x": {"enum": [f"value {n}" * 10 for n in range(50)]}})
HOSTILE: dict[str, Any] = {
    "10,000 properties": of(MANY, required=list(MANY)),
    "10,000 keys": of({"a": of(MANY)}),
    "500 objects deep": of({"a": nested(lambda inner: of({"a": inner}))}),
    "500 lists deep": of({"a": nested(lambda inner: {"type": "array", "items": inner})}),
    "500 unions deep": of({"a": nested(lambda inner: {"anyOf": [inner, {"type": "null"}]})}),
    "500 allOf deep": of({"a": nested(lambda inner: {"allOf": [inner], "properties": {"b": {}}})}),
    "allOf at the top": nested(lambda inner: {"allOf": [inner, of({"a": {}})]}),
    "tuples that double": doubling(lambda ref: {"type": "array", "prefixItems": [ref, ref]}),
    "records that double": doubling(lambda ref: of({"a": ref, "b": ref})),
    "unions that double": doubling(
        lambda ref: {"anyOf": [{"type": "array", "items": ref}, {"items": ref}, ref]}
    ),
    "allOf that doubles": doubling(lambda ref: {"allOf": [ref, of({"a": ref}), ref]}),
    "a chain of references": of(
        {"a": {"$ref": "#/$defs/D0"}},
        **{"$defs": {f"D{n}": {"$ref": f"#/$defs/D{n + 1}"} for n in range(10_000)}},
    ),
    "everything with everything": of(
        MANY, anyOf=[of({f"other {n}": {}}, required=[f"property {n}"]) for n in range(1_000)]
    ),
    "a base for a hundred": of({"a": {**of(MANY), "anyOf": [of({f"b{n}": {}}) for n in range(50)]}}),
    "the same base again": of(
        {f"p{n}": {"$ref": "#/$defs/Base", "properties": {f"q{n}": {}}} for n in range(900)},
        **{"$defs": {"Base": of(MANY)}},
    ),
    "one enum everywhere": of(
        {f"p{n}": {"$ref": "#/$defs/E"} for n in range(3_000)},
        **{"$defs": {"E": {"enum": ["v" * 95 + str(n) for n in range(50)]}}},
    ),
    "100,000 values": of(
        {"a": {"enum": list(range(100_000))}, "b": {"oneOf": [{"const": n} for n in range(100_000)]}}
    ),
    "names of a megabyte": of(
        {"a" * 10**6: {}, "b": of({"c" * 10**6: {}}), "d": {"title": "e" * 10**6, **of({"f": {}})}}
    ),
    "a reference of a megabyte": of({"a": {"$ref": "#/" + "a/" * 500_000}}),
    "a default of a megabyte": of(
        {"a": {"default": {"a": [["x" * 10**6]] * 50}}, "b": {"default": 10**4_000}}
    ),
    "limits of a megabyte": of(
        {"a": {"pattern": "x" * 10**6, "minimum": 10**4_000, "maximum": 1e308, "format": MANY}}
    ),
    "mutual recursion": of(
        {"a": {"$ref": "#/$defs/D0"}},
        **{
            "$defs": {f"D{n}": of({f"k{m}": {"$ref": f"#/$defs/D{m}"} for m in range(50)}) for n in range(50)}
        },
    ),
    "a type of types": of({"a": {"type": ["object", "array", "string"] * 10_000, "properties": MANY}}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_schemas_have_a_module_of_bounded_size(name: str) -> None:
    schema = HOSTILE[name]
    began = time.process_time()
    spec = spec_of(schema, schema)
    source = module_source(MODULE, [spec])
    space_of(spec)
    assert time.process_time() - began < SECONDS
    assert len(source) < SOURCE


def test_further_parameters_are_given_as_more() -> None:
    spec = spec_of(HOSTILE["10,000 properties"])
    assert len(spec.parameters) == 1_001
    assert spec.parameters[-1].kind == "var_keyword"
    spec_names = space_of(spec)
    spec_names["call"](*range(1_000), **{"property 9999": "x"})


def test_a_module_of_hostile_tools_is_bounded_too() -> None:
    """A small schema that means much, in each of fifty tools."""
    schema = ToolSchema("t", doubling(lambda ref: {"type": "array", "prefixItems": [ref, ref]}))
    specs = [tool_spec("server", f"t{n}", schema, "") for n in range(50)]
    source = module_source(MODULE, specs)
    check_source(source)
    assert len(source) < 10_000_000


def test_a_deep_stack_is_not_needed() -> None:
    """A kernel's cell may be deep in calls when it imports a module."""

    def deep(levels: int) -> str:
        return deep(levels - 1) if levels else module_source(MODULE, [spec_of(HOSTILE["500 objects deep"])])

    check_source(deep(sys.getrecursionlimit() - 600))


def test_2500_tools() -> None:
    names = function_names(f"resource-{n % 50}/{verb}" for n in range(250) for verb in VERBS)
    assert len(names) == len(set(names)) == 2_500
    rows = of({"id": {"type": "integer"}, "rows": {"type": "array", "items": of({"a": {}})}})
    schema = ToolSchema("t", ORDINARY, rows)
    began = time.process_time()
    specs = [tool_spec("big", name, schema, f"Does {name} to the thing. " * 5) for name in names]
    source = module_source(MODULE, specs)
    check_source(source)
    assert time.process_time() - began < SECONDS
    assert len(source) < SOURCE


VERBS = ("list", "get", "create", "update", "delete", "search", "export", "import", "watch", "patch")
ORDINARY = of(
    {
        "name": {"type": "string", "description": "The name of the resource."},
        "namespace": {"type": "string", "default": "default", "description": "Where it lives."},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "limit": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100},
        "filter": {
            "anyOf": [of({"field": {"type": "string"}, "value": {}}, required=["field"]), {"type": "null"}]
        },
    },
    required=["name"],
)
