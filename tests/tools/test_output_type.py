"""The type of a final answer: every way to give one, and the exact path to what does not fit."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, TypedDict

import pytest
from pydantic import BaseModel

from codeact_kernel.exceptions import ToolCallError, UsageError
from codeact_kernel.tools.output_type import OutputType
from codeact_kernel.wire.values import encode


class Line(BaseModel):
    sku: str
    price: float


class Report(BaseModel):
    items: list[Line]


@dataclass
class Total:
    amount: Decimal
    day: date


class Pair(TypedDict):
    left: int
    right: int


SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"items": {"type": "array", "items": {"type": "object", "required": ["price"]}}},
    "required": ["items"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("spec", "given", "wanted"),
    [
        (Report, {"items": [{"sku": "a", "price": 2}]}, Report(items=[Line(sku="a", price=2.0)])),
        (Report, Report(items=[Line(sku="a", price=2.0)]), Report(items=[Line(sku="a", price=2.0)])),
        (Total, {"amount": 9.5, "day": "2024-01-02"}, Total(Decimal("9.5"), date(2024, 1, 2))),
        (Pair, {"left": 1, "right": "2"}, {"left": 1, "right": 2}),
        (list[int], (1, 2), [1, 2]),
        (int | None, None, None),
        (Any, {1, 2}, {1, 2}),
        (SCHEMA, {"items": ({"price": Decimal(3)},)}, {"items": [{"price": 3}]}),
        (SCHEMA, Report(items=[Line(sku="a", price=2)]), {"items": [{"sku": "a", "price": 2.0}]}),
        ({"type": "string"}, date(2024, 1, 2), "2024-01-02"),
        ({}, [1], [1]),
    ],
    ids=str,
)
def test_answers_that_fit(spec: object, given: object, wanted: object) -> None:
    answer = OutputType.of(spec).check(encode(given))
    assert answer == wanted
    assert type(answer) is type(wanted)


@pytest.mark.parametrize(
    ("spec", "given", "message"),
    [
        (
            Report,
            {"items": [{"sku": "a", "price": 1}] * 3 + [{"sku": "a", "price": "x"}]},
            "final_answer: value.items[3].price: Input should be a valid number, unable to parse string as a "
            "number, got 'x' (str)",
        ),
        (Pair, {"left": 1}, "final_answer: value.right: Field required, got {'left': 1} (dict)"),
        (list[int], 5, "final_answer: value: Input should be a valid list, got 5 (int)"),
        (
            SCHEMA,
            {"items": [{"price": 1}, {}]},
            "final_answer: value.items[1]: 'price' is a required property",
        ),
        ({"type": "integer"}, 1.5, "final_answer: value: 1.5 is not of type 'integer'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_answers_that_do_not_fit(spec: object, given: object, message: str) -> None:
    with pytest.raises(ToolCallError) as caught:
        OutputType.of(spec).check(encode(given))
    assert (str(caught.value), caught.value.kind) == (message, "ValueError")


def test_malformed_answer() -> None:
    with pytest.raises(ToolCallError, match="final_answer: value: unknown tag 'x'"):
        OutputType.of(int).check({"$": "x"})


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"type": "objekt"}, "not a JSON Schema: at type: 'objekt' is not valid"),
        ({"properties": {"a": {"minimum": "x"}}}, r"at properties\.a\.minimum: 'x' is not of type 'number'"),
        (5, "output_type: cannot check values of 5"),
    ],
)
def test_what_is_no_type(spec: object, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        OutputType.of(spec)


@pytest.mark.parametrize("reference", ["#/$defs/missing", "https://example.com/schema.json"])
def test_references_out_of_the_schema_are_not_followed(reference: str) -> None:
    with pytest.raises(UsageError, match="refers to"):
        OutputType.of({"$ref": reference}).check(5)


def test_description_is_json_schema() -> None:
    described = json.loads(OutputType.of(Report).describe())
    assert described["properties"]["items"]["type"] == "array"
    assert json.loads(OutputType.of(SCHEMA).describe()) == SCHEMA
