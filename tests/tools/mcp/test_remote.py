"""A server's tool as a Tool: what a call of it is checked for, and what the server gets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Any

import pytest

from codeact_kernel.exceptions import ToolCallError
from codeact_kernel.tools.failures import Failure
from codeact_kernel.tools.json_schema import StrangersChecker
from codeact_kernel.tools.mcp.remote import RemoteTool
from codeact_kernel.tools.mismatch import Mismatch
from codeact_kernel.tools.registry import ToolRegistry
from codeact_kernel.wire.messages import Json, Raised, Returned, ToolModule, ToolRequest, ToolSchema
from codeact_kernel.wire.schemas import tool_spec
from codeact_kernel.wire.values import encode

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "from": {"type": "string"},
        "count": {"type": "integer", "minimum": 1},
        "tags": {"type": "array", "items": {"type": "string"}},
        "order": {"$ref": "#/$defs/Order"},
        "note": {"type": ["string", "null"]},
        "any": {},
    },
    "required": ["from"],
    "$defs": {
        "Order": {
            "type": "object",
            "properties": {
                "price": {"type": "number"},
                "items": {"type": "array", "items": {"type": "integer"}},
            },
            "required": ["price"],
        }
    },
}


def remote(schema: Mapping[str, Json] = SCHEMA, got: list[Any] | None = None, **more: Any) -> RemoteTool:
    """Its server takes what it gets."""

    async def call(given: Mapping[str, Json]) -> object:
        if got is not None:
            got.append(dict(given))
        return "done"

    return RemoteTool(tool_spec("shop", "f", ToolSchema("f-1", schema, **more), "Does it."), call)


def given(*args: object, **kwargs: object) -> dict[str, object]:
    """What the server gets."""
    return remote().arguments(args, kwargs)[1]


def refused(schema: Mapping[str, Json] = SCHEMA, **kwargs: object) -> tuple[str, str]:
    with pytest.raises(ToolCallError) as caught:
        remote(schema).arguments((), kwargs)
    return caught.value.kind, str(caught.value)


def test_arguments_travel_by_the_servers_names_and_what_is_left_out_stays_out() -> None:
    assert given("a") == {"from": "a"}
    assert given(from_="a", count=2, tags=["x"]) == {"from": "a", "count": 2, "tags": ["x"]}
    assert given("a", tags=None, note=None, any=None) == {"from": "a", "note": None, "any": None}


class Colour(Enum):
    RED = "red"


@dataclass
class Order:
    price: Decimal
    items: tuple[int, ...]


def test_values_of_the_kernel_become_plain_json() -> None:
    numpy = pytest.importorskip("numpy")
    got: list[Any] = []
    registry = ToolRegistry([remote(got=got)], modules=[ToolModule("shop", "mcp_servers")])
    kwargs: dict[str, object] = {
        "from_": Colour.RED,
        "count": numpy.int64(3),
        "tags": ("a", "b"),
        "order": Order(Decimal("1.5"), (1, 2)),
        "any": {"day": date(2026, 1, 2), "set": {1}, "row": numpy.array([1.5, 2.0])},
    }
    request = ToolRequest(1, "shop.f", (), {name: encode(value) for name, value in kwargs.items()})
    assert asyncio.run(registry.call(request)) == Returned("done")
    assert got == [
        {
            "from": "red",
            "count": 3,
            "tags": ["a", "b"],
            "order": {"price": 1.5, "items": [1, 2]},
            "any": {"day": "2026-01-02", "set": [1], "row": [1.5, 2.0]},
        }
    ]
    assert type(got[0]["count"]) is int


@pytest.mark.parametrize(
    ("kwargs", "kind", "words"),
    [
        ({"from_": 3}, "TypeError", "shop.f(): argument 'from_': 3 is not of type 'string'"),
        ({"from_": "a", "count": 0}, "ValueError", "argument 'count': 0 is less than the minimum of 1"),
        ({"from_": "a", "tags": ["x", 3]}, "TypeError", "argument 'tags'[1]: 3 is not of type 'string'"),
        ({"from_": "a", "order": {"price": 1, "items": [1, "2"]}}, "TypeError", "'order'.items[1]: '2'"),
        ({"from_": "a", "order": {}}, "ValueError", "argument 'order': 'price' is a required property"),
        ({"from_": "a", "any": float("nan")}, "ValueError", "argument 'any': nan is no number in JSON"),
        ({"from_": "a", "any": [{"x": b"1"}]}, "TypeError", "'any'[0].x: a bytes is no JSON; send"),
        ({"from_": "a\udcff"}, "ValueError", "argument 'from_': 'a\\udcff': '\\udcff' is no character"),
        ({"from_": "a", "any": {"x": ["\udcff"]}}, "ValueError", "argument 'any'.x[0]: '\\udcff': "),
        ({"from_": "a", "any": [{"\udcff": 1}]}, "ValueError", "argument 'any'[0]: '\\udcff': "),
        ({"from_": "a", "any": [0] * 100_001}, "ValueError", "more than 100,000 values; pass less"),
        ({}, "TypeError", "shop.f() missing a required argument: 'from_'. Parameters (* = required): from_*"),
        ({"from_": "a", "nope": 1}, "TypeError", "shop.f() got an unexpected keyword argument 'nope'"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named_with_its_place(kwargs: Any, kind: str, words: str) -> None:
    assert refused(**kwargs)[0] == kind
    assert words in refused(**kwargs)[1]


def test_arguments_that_no_schema_names_pass_where_the_schema_lets_them() -> None:
    free = {"type": "object", "additionalProperties": {"type": "integer"}}
    assert remote(free).arguments((), {"a": 1, "b": 2})[1] == {"a": 1, "b": 2}
    assert "argument 'a\\udcff': 'a\\udcff': '\\udcff' is no character" in refused(free, **{"a\udcff": 1})[1]
    assert refused(free, a="x")[1] == "shop.f(): argument 'a': 'x' is not of type 'integer'"


def test_references_out_of_the_document_and_schemas_that_are_none_check_nothing() -> None:
    for odd in ({"$ref": "http://127.0.0.1:9/x"}, {"$ref": "#/nowhere"}, {"type": 7}, {"minimum": "x"}):
        StrangersChecker({"properties": {"a": odd}}).check({"a": 1})


DOUBLING = {
    "$ref": "#/$defs/n40",
    "$defs": {
        "n0": {"type": "string"},
        **{f"n{n}": {"anyOf": [{"$ref": f"#/$defs/n{n - 1}"}] * 2} for n in range(1, 41)},
    },
}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"pattern": "^(a+)+$"}, "a" * 60 + "b"),
        ({"patternProperties": {"^(a+)+$": {}}, "additionalProperties": False}, {"a" * 60 + "b": 1}),
        ({"propertyNames": {"pattern": "^(a+)+$"}}, {"a" * 60 + "b": 1}),
        ({"uniqueItems": True}, [[n] for n in range(50_000)]),
        (DOUBLING, 1),
        ({"$defs": {"a": {"allOf": [{}] * 20_000}}, "items": {"$ref": "#/$defs/a"}}, [1] * 50_000),
        ({"$ref": "#"}, 1),
    ],
    ids=["pattern", "properties", "names", "unique", "doubling", "empty", "itself"],
)  # fmt: skip
def test_a_servers_schema_cannot_keep_the_host_busy(schema: Any, value: Any) -> None:
    before = time.process_time()
    StrangersChecker(schema).check(value)
    assert time.process_time() - before < 30


def test_a_plain_mismatch_is_found_beside_a_regular_expression() -> None:
    checker = StrangersChecker({"properties": {"a": {"pattern": "x", "maxLength": 2}}})
    checker.check({"a": "yy"})
    with pytest.raises(Mismatch, match="too long"):
        checker.check({"a": "yyy"})


def test_it_has_what_the_desk_and_the_registry_look_at() -> None:
    made = remote(read_only=True)
    assert (made.name, made.is_async, made.thread, made.approval) == ("shop.f", True, None, None)
    assert made.spec.effect == "write", "a hint is no trust"
    assert made.claim == "the server says that it only reads"
    assert remote().claim == ""
    assert list(made.signature.parameters) == ["from_", "count", "tags", "order", "note", "any"]


def test_redefined_it_is_checked_by_what_the_server_says_now() -> None:
    got: list[Any] = []

    async def call(given: Mapping[str, Json]) -> object:
        got.append(dict(given))
        return None

    made = remote()
    wider = {"type": "object", "properties": {"from": {"type": "integer"}}}
    made.redefined(tool_spec("shop", "f", ToolSchema("f-1", wider), ""), call)
    args, kwargs = made.arguments((), {"from_": 3})
    asyncio.run(made.function(*args, **kwargs))
    assert got == [{"from": 3}]
    with pytest.raises(ToolCallError, match="'a' is not of type 'integer'"):
        made.arguments((), {"from_": "a"})


def test_a_failure_arrives_by_its_name_with_its_own_words() -> None:
    async def call(given: Mapping[str, Json]) -> object:
        raise Failure("ToolUnavailable", "/usr/share/doc is gone")

    made = RemoteTool(tool_spec("shop", "f", ToolSchema("f", {}), ""), call)
    registry = ToolRegistry([made], modules=[ToolModule("shop", "mcp_servers")])
    outcome = asyncio.run(registry.call(ToolRequest(1, "shop.f")))
    assert outcome == Raised("ToolUnavailable", "/usr/share/doc is gone")
