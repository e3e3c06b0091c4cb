"""Tool stubs: they look like the host's functions and only forward."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Mapping
from decimal import Decimal

import pytest

from codeact_kernel.in_kernel.tools import ToolError, ToolFunction
from codeact_kernel.wire.messages import Json, Raised, Returned, ToolOutcome, ToolParameter, ToolSpec
from codeact_kernel.wire.values import decode, encode

SPEC = ToolSpec(
    "refund",
    (
        ToolParameter("order", "positional_only", "int"),
        ToolParameter("amount", annotation="Decimal", default="Decimal('0')"),
        ToolParameter("rest", "var_positional"),
        ToolParameter("note", "keyword_only", "str", "''"),
        ToolParameter("more", "var_keyword"),
    ),
    "Receipt",
    "Pays an order back.",
)


NOTHING = Returned(None)


class Line:
    """A Caller that keeps what it is asked and answers with one outcome."""

    def __init__(self, outcome: ToolOutcome = NOTHING) -> None:
        self.outcome = outcome
        self.asked: list[tuple[str, list[object], dict[str, object]]] = []

    def call(self, tool: str, args: tuple[Json, ...], kwargs: Mapping[str, Json]) -> ToolOutcome:
        self.asked.append((tool, [decode(a) for a in args], {k: decode(v) for k, v in kwargs.items()}))
        return self.outcome

    async def acall(self, tool: str, args: tuple[Json, ...], kwargs: Mapping[str, Json]) -> ToolOutcome:
        await asyncio.sleep(0)
        return self.call(tool, args, kwargs)

    def refused(self, kind: str, name: str) -> None:
        raise AssertionError("stubs refuse nothing")


def test_looks_like_the_function() -> None:
    stub = ToolFunction(SPEC, Line())
    text = "(order: int, /, amount: Decimal = Decimal('0'), *rest, note: str = '', **more) -> Receipt"
    assert str(inspect.signature(stub)) == text
    assert repr(stub) == f"<tool refund{text}>"
    assert (stub.__name__, stub.__doc__) == ("refund", "Pays an order back.")
    assert "Pays an order back." in inspect.getdoc(stub)


def test_forwards_values_and_returns_values() -> None:
    line = Line(Returned(encode({1, 2})))
    assert ToolFunction(SPEC, line)(7, Decimal("1.50"), note="x\ud800") == {1, 2}
    assert line.asked == [("refund", [7, Decimal("1.50")], {"note": "x\ud800"})]


def test_awaited() -> None:
    line = Line(Returned(encode("done")))
    stub = ToolFunction(SPEC, line)

    async def scene() -> list[object]:
        return await asyncio.gather(stub.aio(1), stub.aio(2))

    assert asyncio.run(scene()) == ["done", "done"]
    assert [args for _, args, _ in line.asked] == [[1], [2]]


def test_async_tool_called_from_a_coroutine_is_awaitable_and_from_elsewhere_a_value() -> None:
    stub = ToolFunction(ToolSpec("look", is_async=True), Line(Returned(encode(5))))

    async def scene() -> object:
        return await stub()

    assert asyncio.run(scene()) == 5
    assert stub() == 5
    assert [stub() for _ in range(2)] == [5, 5]


@pytest.mark.parametrize(
    ("kind", "error", "text"),
    [
        ("ValueError", ValueError, "no"),
        ("ConnectionError", ConnectionError, "no"),
        ("sqlite3.OperationalError", ToolError, "sqlite3.OperationalError: no"),
        ("UnicodeDecodeError", ToolError, "UnicodeDecodeError: no"),
        ("KeyboardInterrupt", ToolError, "KeyboardInterrupt: no"),
        ("__import__", ToolError, "__import__: no"),
    ],
)
def test_exceptions(kind: str, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        ToolFunction(SPEC, Line(Raised(kind, "no")))(1)
    assert type(caught.value) is error
    assert str(caught.value) == text
    assert caught.value.__cause__ is None


def test_argument_that_cannot_cross_names_its_place() -> None:
    line = Line()
    with pytest.raises(TypeError, match=r"^refund\(\): argument 2: "):
        ToolFunction(SPEC, line)(1, object())
    with pytest.raises(TypeError, match=r"^refund\(\): argument 'note': "):
        ToolFunction(SPEC, line)(1, note=object())
    assert line.asked == []
