"""Owns `parallel.ipynb`: many calls at once, and calls that ask the same and get different answers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Literal

from codeact_kernel import tool

from .support import record, step

PRICES = {
    "bolt": {"Anvil": "0.12", "Brace": "0.10", "Clamp": "0.15"},
    "hinge": {"Anvil": "2.40", "Clamp": "2.15"},
    "latch": {"Anvil": "5.90", "Brace": "6.20", "Clamp": "5.95"},
}


Supplier = Literal["Anvil", "Brace", "Clamp"]


@dataclass(frozen=True)
class Order:
    """An order that was placed; `price` in EUR."""

    number: int
    supplier: str
    part: str
    pieces: int
    price: Decimal


def purchasing() -> list[object]:
    """Three tools. The numbers of orders begin at 1001."""
    numbers = count(1001)

    @tool(effect="read")
    async def quote(supplier: Supplier, part: str) -> Decimal:
        """The price of one piece in EUR. ValueError when the supplier does not have the part."""
        await asyncio.sleep(0.02)  # as if it were asked over the network
        if supplier not in PRICES[part]:
            raise ValueError(f"{supplier} has no {part}")
        return Decimal(PRICES[part][supplier])

    @tool
    async def next_order_number() -> int:
        """Reserves the next free order number."""
        return next(numbers)

    @tool
    async def place_order(number: int, supplier: Supplier, part: str, pieces: int) -> Order:
        """Places an order under a reserved number."""
        await asyncio.sleep(0.02)
        return Order(number, supplier, part, pieces, Decimal(PRICES[part][supplier]) * pieces)

    return [quote, next_order_number, place_order]


TASK = "Order 100 bolts, 20 hinges and 20 latches, each from the cheapest supplier."
REPLIES = (
    step(
        """Nine quotes, and none depends on another: I ask for all of them at once. A supplier that does not
        have a part raises, which must not lose me the other answers.""",
        """
        import asyncio

        need = {"bolt": 100, "hinge": 20, "latch": 20}
        suppliers = ["Anvil", "Brace", "Clamp"]
        pairs = [(supplier, part) for part in need for supplier in suppliers]
        answers = await asyncio.gather(*(quote(*pair) for pair in pairs), return_exceptions=True)
        for (supplier, part), answer in zip(pairs, answers):
            print(f"{part:<6} {supplier}  {answer!r}")
        """,
    ),
    step(
        """Brace has no hinges; that is an answer too. I take the cheapest of each part, and reserve an
        order number for each. The three calls ask exactly the same, and each must get a number of its
        own.""",
        """
        prices = {pair: answer for pair, answer in zip(pairs, answers) if not isinstance(answer, Exception)}
        cheapest = {
            part: min((pair for pair in prices if pair[1] == part), key=prices.get)[0] for part in need
        }
        numbers = await asyncio.gather(*(next_order_number() for _ in need))
        assert len(set(numbers)) == len(need)
        list(zip(numbers, cheapest.items()))
        """,
    ),
    step(
        "Three different numbers. Now the three orders, at once again.",
        """
        orders = await asyncio.gather(*(
            place_order(number, cheapest[part], part, pieces)
            for number, (part, pieces) in zip(numbers, need.items())
        ))
        for order in orders:
            print(order)
        final_answer([f"{order.number}: {order.pieces} x {order.part}, {order.supplier}" for order in orders])
        """,
    ),
)


def write(path: Path) -> None:
    record(path, TASK, REPLIES, purchasing())
