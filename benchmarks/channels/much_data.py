"""Owns the tasks of few calls and much data: two sources joined, a table converted and handed on."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from codeact_kernel.wire.messages import Json

from .task import Call, Plan, Round, Task, chance_of, made

TOP = 3


@dataclass(frozen=True)
class Customer:
    customer_id: int
    name: str
    region: str


@dataclass(frozen=True)
class Payment:
    customer_id: int
    cents: int


@dataclass(frozen=True)
class Reading:
    hour: int
    fahrenheit: float


@dataclass(frozen=True)
class Converted:
    hour: int
    celsius: float


# --- join two sources --------------------------------------------------------------------------


def _best(customers: list[Any], payments: list[Any]) -> str:
    north = {c["customer_id"]: c["name"] for c in customers if c["region"] == "north"}
    totals: Counter[int] = Counter()
    for payment in payments:
        if payment["customer_id"] in north:
            totals[payment["customer_id"]] += payment["cents"]
    ranked = sorted(totals, key=lambda each: (-totals[each], each))[:TOP]
    return ", ".join(f"{north[each]} {totals[each]}" for each in ranked) or "nobody"


def join(n: int) -> Task:
    regions = ("north", "south", "east", "west")
    people = [Customer(each, f"Customer {each}", regions[(each - 1) % 4]) for each in range(1, n + 1)]
    chance = chance_of("payments", n)
    paid = [Payment(chance.randint(1, n), chance.randint(100, 50_000)) for _ in range(3 * n)]

    def customers() -> list[Customer]:
        """All customers."""
        return people

    def payments() -> list[Payment]:
        """All payments of the year."""
        return paid

    def plan(parallel: bool) -> Plan:
        found = yield [Call("customers", {}), Call("payments", {})]
        return _best(*found)

    cell = f"""\
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any
north = {{c.customer_id: c.name for c in customers() if c.region == "north"}}
totals = Counter()
for p in payments():
    if p.customer_id in north:
        totals[p.customer_id] += p.cents
ranked = sorted(totals, key=lambda each: (-totals[each], each))[:{TOP}]
print(", ".join(f"{{north[each]}} {{totals[each]}}" for each in ranked) or "nobody")"""
    words = f"Which {TOP} customers of the region north paid most this year, and how many cents each?"
    thought = "I add up the payments of the customers of the region, and print the top of the list."
    asked = Round(words, plan, thought, cell, _best([*map(asdict, people)], [*map(asdict, paid)]))
    return Task((made(customers), made(payments)), (asked,), [], [])


# --- a table goes through ----------------------------------------------------------------------


def convert(n: int) -> Task:
    changed: list[Json] = []
    chance = chance_of("readings")
    measured = [Reading(hour, chance.randint(-100, 1000) / 10) for hour in range(n)]

    def readings() -> list[Reading]:
        """All readings of the station, in Fahrenheit."""
        return measured

    def store(rows: list[Converted]) -> int:
        """Stores readings in Celsius. Returns how many there were."""
        changed.extend((row.hour, row.celsius) for row in rows)
        return len(rows)

    def plan(parallel: bool) -> Plan:
        (found,) = yield [Call("readings", {})]
        converted: list[Json] = [{"hour": r["hour"], "celsius": _celsius(r["fahrenheit"])} for r in found]
        (stored,) = yield [Call("store", {"rows": converted})]
        return f"{stored} readings stored"

    cell = """\
rows = [{"hour": r.hour, "celsius": round((r.fahrenheit - 32) / 1.8, 1)} for r in readings()]
print(f"{store(rows)} readings stored")"""
    words = "Convert the readings of the station to Celsius, to one decimal, and store them."
    thought = "I convert what is read and hand it on."
    asked = Round(words, plan, thought, cell, f"{n} readings stored")
    right: list[Json] = [(one.hour, _celsius(one.fahrenheit)) for one in measured]
    return Task((made(readings), made(store, "write")), (asked,), changed, right)


def _celsius(fahrenheit: float) -> float:
    return round((fahrenheit - 32) / 1.8, 1)
