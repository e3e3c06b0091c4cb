"""Owns the list of tasks, and the one that is nothing but single calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .many_calls import chain, fan_out, refunds, search
from .much_data import convert, join
from .task import Call, Plan, Round, Task, made

SIZES = (1, 3, 10, 30, 100, 300, 1000)


@dataclass(frozen=True)
class Kind:
    """`n`: what its size counts."""

    name: str
    n: str
    make: Callable[[int], Task]
    sizes: tuple[int, ...] = SIZES


def single_calls(n: int) -> Task:
    """A conversation of `n` requests, each of which one call answers: nothing to compose."""

    def exchange(cents: int) -> int:
        """Converts cents of a dollar to cents of a euro."""
        return cents * 9 // 10

    def asked(cents: int) -> Round:
        def plan(parallel: bool) -> Plan:
            (euros,) = yield [Call("exchange", {"cents": cents})]
            return str(euros)

        cell = f"print(exchange({cents}))"
        return Round(f"{cents} cents in euro cents?", plan, "I convert it.", cell, str(cents * 9 // 10))

    return Task((made(exchange),), tuple(asked(100 + each) for each in range(n)), [], [])


KINDS = (
    Kind("refunds", "orders", refunds),
    Kind("fan-out", "sensors", fan_out),
    Kind("search", "pages until found", search),
    Kind("chain", "links", chain),
    Kind("join", "customers", join),
    Kind("convert", "rows", convert),
    Kind("single calls", "requests", single_calls, (1, 3, 10, 30, 100)),
)
