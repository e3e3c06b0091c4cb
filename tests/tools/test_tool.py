"""What can be a tool, what it says of itself, and what is refused with which words."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, Optional, TypedDict

import pytest
from pydantic import BaseModel, Field

from codeact_kernel.exceptions import ToolDefinitionError
from codeact_kernel.tools.registry import Tool, ToolRegistry, tool
from codeact_kernel.wire.messages import ToolParameter


class Status(Enum):
    PAID = "paid"
    OPEN = "open"


@dataclass
class Order:
    id: str
    total: Decimal
    status: Status = Status.OPEN


class Report(BaseModel):
    orders: list[Order]


class Options(TypedDict):
    dry_run: bool


MARKER = object()


@tool
def fetch_orders(
    status: Literal["paid", "open"], /, *extra: int, limit: int | None = None, options: Options, **more: str
) -> list[Order]:
    """Orders by status.

    Newest first.
    """
    return [Order(status, Decimal(limit or len(extra)))]


class Shop:
    def __init__(self) -> None:
        self.refunded: list[str] = []

    def refund(self, order_id: str, amount: Annotated[float, Field(gt=0)] = 1.0) -> None:
        """Refunds."""
        self.refunded.append(order_id)

    async def ship(self, order_id: str) -> str:
        return order_id

    def unnoted(self, order_id) -> None:
        pass


class Adder:
    """Adds."""

    def __call__(self, one: int, other: int) -> int:
        return one + other


def test_spec_reads_like_the_source() -> None:
    spec = fetch_orders.spec
    assert spec.parameters == (
        ToolParameter("status", "positional_only", "Literal['paid', 'open']"),
        ToolParameter("extra", "var_positional", "int"),
        ToolParameter("limit", "keyword_only", "int | None", "None"),
        ToolParameter("options", "keyword_only", "Options"),
        ToolParameter("more", "var_keyword", "str"),
    )
    assert (spec.name, spec.returns, spec.is_async) == ("fetch_orders", "list[Order]", False)
    assert spec.doc.startswith("Orders by status.\n\nNewest first.\n\n")


def test_spec_tells_the_fields_of_the_types_it_names() -> None:
    lines = fetch_orders.spec.doc.splitlines()[4:]
    assert lines == [
        "Options(dry_run: bool)",
        "Order(id: str, total: Decimal, status: Status)",
        "Status: 'paid' | 'open'",
    ]


def test_a_tool_is_still_the_function() -> None:
    assert fetch_orders("paid", 1, 2, options={"dry_run": True}) == [Order("paid", Decimal(2))]
    assert fetch_orders.__name__ == "fetch_orders"
    assert inspect.getdoc(fetch_orders) == "Orders by status.\n\nNewest first."


def test_defaults_read_as_source() -> None:
    def search(
        text: str = "a", status: Status = Status.PAID, marker: Any = MARKER, many: tuple[int, ...] = (1,)
    ) -> Optional[str]:  # noqa: UP045  # both spellings are to work
        return None

    spec = tool(search).spec
    assert [parameter.default for parameter in spec.parameters] == ["'a'", "Status.PAID", "...", "(1,)"]
    assert [parameter.annotation for parameter in spec.parameters] == [
        "str",
        "Status",
        "Any",
        "tuple[int, ...]",
    ]
    assert spec.returns == "str | None"


def test_the_forms_a_tool_can_have() -> None:
    shop = Shop()
    made = [
        tool(shop.refund),
        tool(shop.ship, name="send"),
        tool(functools.partial(shop.refund, amount=5.0), name="refund_five"),
        tool(Adder(), name="add", thread="caller"),
        tool(lambda x, y=2: x * y, name="double"),
        tool(name="again", thread="worker")(shop.refund),
    ]
    specs = {each.name: each for each in made}
    assert list(specs) == ["refund", "send", "refund_five", "add", "double", "again"]
    assert [each.name for each in made if each.is_async] == ["send"]
    assert [each.thread for each in made] == [None, None, None, "caller", None, "worker"]
    assert specs["add"].spec.doc == "Adds."
    assert specs["double"].spec.parameters == (ToolParameter("x"), ToolParameter("y", default="2"))
    assert [parameter.default for parameter in specs["refund_five"].spec.parameters] == [None, "5.0"]
    assert all(isinstance(each, Tool) for each in made)


def test_async_callables_are_seen_through_wrappers() -> None:
    class Sender:
        async def __call__(self, text: str) -> str:
            return text

    assert tool(Sender(), name="f").is_async
    assert tool(functools.partial(Shop().ship, order_id="1"), name="f").is_async


def test_a_tool_can_be_renamed() -> None:
    renamed = tool(tool(Shop().refund, thread="caller"), name="pay_back")
    assert (renamed.name, renamed.thread) == ("pay_back", "caller")


def test_a_function_whose_source_is_gone() -> None:
    namespace: dict[str, Any] = {}
    exec("from __future__ import annotations\ndef half(x: float) -> float:\n    return x / 2", namespace)
    assert tool(namespace["half"]).spec.parameters[0].annotation == "float"


def unresolved(order: Missing) -> None:  # noqa: F821  # that is the case
    pass


def stream(n: int) -> Iterator[int]:
    yield n


async def astream(n: int) -> AsyncIterator[int]:
    yield n


def final_answer(value: int) -> None: ...


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: tool(Shop().unnoted), r"'unnoted': parameter 'order_id' has no annotation; add one"),
        (lambda: tool(Shop.refund), r"not bound to an object; offer the bound method, as tool\(obj.refund\)"),
        (lambda: tool(lambda x: x), r"has no name of its own; pass name="),
        (lambda: tool(functools.partial(lambda x: x, 1)), r"has no name of its own; pass name="),
        (lambda: tool(Adder()), r"has no name of its own; pass name="),
        (lambda: tool(lambda x: x, name="two words"), r"cannot be called 'two words'"),
        (lambda: tool(lambda x: x, name="class"), r"cannot be called 'class'"),
        (lambda: tool(final_answer), r"'final_answer' is the tool that every run has"),
        (lambda: tool(unresolved), r"'unresolved': an annotation cannot be resolved: name 'Missing'"),
        (lambda: tool(stream), r"is a generator; return a list"),
        (lambda: tool(astream), r"is a generator; return a list"),
        (lambda: tool(Order), r"is no function"),
        (lambda: tool(5), r"5 is no function"),
        (lambda: tool(max), r"'max'.*has no (signature|annotation)"),
        (lambda: tool(Shop().refund, thread="moon"), r"thread='moon'; use one of"),
        (lambda: ToolRegistry([Shop().refund, Shop().refund]), r"two tools are called 'refund'"),
    ],
)
def test_what_is_refused(make: Any, words: str) -> None:
    with pytest.raises(ToolDefinitionError, match=words):
        make()
