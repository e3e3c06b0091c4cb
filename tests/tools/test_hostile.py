"""Arguments and answers that are meant to hold up or to end the host: each is a quick, short refusal."""

from __future__ import annotations

import asyncio
import base64
import threading
import time
import tracemalloc
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import pytest
from pydantic import BaseModel

from codeact_kernel.frontends.answers import AnswerCheck
from codeact_kernel.tools.registry import InlineRunner, ToolRegistry, tool
from codeact_kernel.wire.messages import Json, Raised, Returned, ToolOutcome, ToolRequest
from codeact_kernel.wire.values import encode

MIB = 1024 * 1024
P = 2**61 - 1  # hash(n) is n modulo this


class Order(BaseModel):
    items: list[int]


def take(kind: Any, value: Json) -> ToolOutcome:
    """The outcome of a call to a tool whose one parameter is a `kind`."""

    def found(x: Any) -> None: ...

    found.__annotations__["x"] = kind
    return asyncio.run(ToolRegistry([tool(found)]).call(ToolRequest(1, "found", (value,))))


def seconds(doing: Callable[[], object]) -> float:
    began = time.process_time()
    doing()
    return time.process_time() - began


def b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def enum(value: Json) -> Json:
    return {"$": "enum", "type": "E", "kind": "Enum", "members": {"A": value}, "name": "A"}


RECORD: Json = {"$": "record", "type": "R", "fields": {"a": 1}}
HUGE: Json = {"$": "int", "hex": "0x" + "f" * 5000}
HOSTILE: dict[str, Json] = {
    "no hash once plain": {"$": "set", "items": [RECORD]},
    "inside a tuple": {"$": "frozenset", "items": [{"$": "tuple", "items": [RECORD]}]},
    "enum of lists": {"$": "set", "items": [enum([1])]},
    "fields over methods": {"$": "record", "type": "R", "fields": {"_asdict": 1, "items": 2, "keys": 3}},
    "int of many digits": {"a": HUGE},
    "enum of a huge int": enum(HUGE),
    "no code point": {"$": "ndarray", "dtype": "<U1", "shape": [2], "b64": b64(b"\xff" * 8)},
    "no year of Python's": {"$": "timestamp", "utc": 2**62, "unit": "s"},
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize(
    "kind", [int, str, list[int], set[int], dict[str, int], Decimal, Path, pd.Timestamp, Order], ids=str
)
def test_arguments_are_an_outcome(name: str, kind: Any) -> None:
    outcome = take(kind, HOSTILE[name])
    assert isinstance(outcome, Returned) or len(outcome.message) < 2100


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize(
    "kind", [None, int, list[int], {"type": "object"}, {"items": {"type": "integer"}}], ids=str
)
def test_answers_are_an_outcome(name: str, kind: Any) -> None:
    outcome = AnswerCheck(kind)(HOSTILE[name])
    assert isinstance(outcome, Returned) or len(outcome.message) < 2100


def test_any_exception_of_a_check_is_an_outcome() -> None:
    class Stubborn:
        def __init_subclass__(cls) -> None: ...
        @classmethod
        def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
            from pydantic_core import core_schema

            return core_schema.no_info_plain_validator_function(cls.check)

        @staticmethod
        def check(value: object) -> object:
            raise ArithmeticError("as asked")

    assert take(Stubborn, 1) == Raised(
        "ValueError", "found(): argument 'x': cannot be checked: ArithmeticError: as asked"
    )
    outcome = AnswerCheck(Stubborn)(1)
    assert isinstance(outcome, Raised)
    assert "as asked" in outcome.message


@pytest.mark.parametrize("text", ["1E49999", "1E-49999", "1E999999"])
def test_a_decimal_in_an_answer_costs_little(text: str) -> None:
    check = AnswerCheck({"properties": {"a": {"type": "number"}}})
    assert seconds(lambda: check({"a": {"$": "decimal", "value": text}})) < 0.2


@pytest.mark.parametrize("digits", ["0x" + "f" * 500_000, "0x" + "f" * 49_000])
def test_a_long_int_for_a_decimal(digits: str) -> None:
    assert seconds(lambda: take(Decimal, {"$": "int", "hex": digits})) < 1


SAME = [n * P for n in range(1, 12_001)]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (set[int], SAME),
        (frozenset[int] | None, SAME),
        (list[set[Decimal]], [[str(n) for n in SAME]]),
        (set[UUID], [str(UUID(int=n)) for n in SAME]),
        (dict[int, str], {str(n): "" for n in SAME}),
        (set[int], {"$": "set", "items": [enum(n) for n in SAME[:3000]]}),
    ],
    ids=["set", "frozenset", "texts", "uuids", "keys", "members"],
)
def test_a_check_makes_no_set_of_one_hash(kind: Any, value: Json) -> None:
    assert seconds(lambda: take(kind, value)) < 1
    outcome = take(kind, value)
    assert isinstance(outcome, Raised)
    assert "share one hash" in outcome.message or "values in it do not fit" in outcome.message


def test_honest_sets_pass_their_check() -> None:
    grid = [[x, y] for x in range(-40, 40) for y in range(-40, 40)]
    assert take(set[tuple[int, int]], grid) == Returned(None)
    assert take(dict[int, set[str]], {"1": ["a", "b", "a"]}) == Returned(None)


EMPTY: Json = {"$": "ndarray", "dtype": "<f8", "shape": [1_500_000, 0], "b64": ""}
SHORT: dict[str, Json] = {
    "range": {"$": "range", "args": [0, 2_000_000, 1]},
    "index": {"$": "range_index", "args": [0, 2_000_000, 1], "name": None},
    "empty rows": EMPTY,
    "bytes": encode(np.zeros(3_000_000, np.int8)),
    "series": encode(pd.Series(np.zeros(3_000_000, np.int8))),
    "mistakes": [""] * 200_000,
    "mistakes in a union": {"a": [""] * 100_000},
}


@pytest.mark.parametrize("name", SHORT)
@pytest.mark.parametrize("kind", [list[int], dict[str, list[int | float | None]] | list[float]], ids=str)
def test_a_short_message_takes_little_memory(name: str, kind: Any) -> None:
    tracemalloc.start()
    try:
        outcome = take(kind, SHORT[name])
        grown = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(outcome, Raised)
    assert grown < 40 * MIB


def test_arrays_that_a_tool_asks_for_are_as_long_as_they_like() -> None:
    array = encode(np.zeros(3_000_000, np.int8))
    assert take(np.ndarray, array) == Returned(None)
    assert take(dict[str, Any], {"a": array}) == Returned(None)


def test_a_model_of_many_mistakes_is_one_sentence() -> None:
    outcome = take(Order, {"items": [""] * 5000})
    assert outcome == Raised("ValueError", "found(): argument 'x': 5,000 values in it do not fit")


def test_long_answers_to_a_schema_are_refused() -> None:
    check = AnswerCheck({"type": "array", "items": {"type": "string"}})
    assert check(["a"] * 50_000) == Returned(None)
    long = "final_answer: value: more than 100,000 values; give a shorter answer"
    assert check([[0]] * 100_000) == Raised("ValueError", long)


def test_names_from_the_sandbox_are_cut() -> None:
    registry = ToolRegistry([tool(lambda x: x, name="f")])
    for request in (
        ToolRequest(1, "x" * MIB),
        ToolRequest(1, "f", (), {"k" * MIB: 1}),
        ToolRequest(1, "f", (), {"k" * MIB: {"$": "no tag"}}),
    ):
        outcome = asyncio.run(registry.call(request))
        assert isinstance(outcome, Raised)
        assert len(outcome.message) < 2100
    outcome = take(dict[str, int], {"k" * MIB: "no number"})
    assert isinstance(outcome, Raised)
    assert len(outcome.message) < 2100


def test_what_was_cancelled_while_it_waited_for_a_thread_never_runs() -> None:
    runner, go, ran = InlineRunner(max_threads=1), threading.Event(), list[int]()

    def work(n: int) -> None:
        ran.append(n)
        go.wait(10)

    registry = ToolRegistry([work], runner)

    async def scene() -> None:
        tasks = [asyncio.ensure_future(registry.call(ToolRequest(n, "work", (n,)))) for n in range(3)]
        while not ran:  # noqa: ASYNC110  # the thread tells no loop
            await asyncio.sleep(0.001)
        tasks[1].cancel()
        await asyncio.wait([tasks[1]])
        go.set()
        await asyncio.wait(tasks)

    asyncio.run(scene())
    runner.close()
    assert ran == [0, 2]
