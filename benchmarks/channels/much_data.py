"""Owns the tasks of few calls and much data: two sources joined, a table converted and handed on."""

from __future__ import annotations

from collections import Counter

from typing_extensions import TypedDict

from codeact_kernel.wire.messages import Json

from .task import Call, Plan, Round, Task, chance_of, made

TOP = 3


class Customer(TypedDict):
    customer_id: int
    name: str
    region: str


class Payment(TypedDict):
    customer_id: int
    cents: int


class Reading(TypedDict):
    hour: int
    fahrenheit: float


class Converted(TypedDict):
    hour: int
    celsius: float


# --- join two sources --------------------------------------------------------------------------


def _best(customers: list[Customer], payments: list[Payment]) -> str:
    north = {c["customer_id"]: c["name"] for c in customers if c["region"] == "north"}
    totals: Counter[int] = Counter()
    for payment in payments:
        if payment["customer_id"] in north:
            totals[payment["customer_id"]] += payment["cents"]
    ranked = sorted(totals, key=lambda each: (-totals[each], each))[:TOP]
    return ", ".join(f"{north[each]} {totals[each]}" for each in ranked) or "nobody"


def join(n: int) -> Task:
    regions = ("north", "south", "east", "west")
    people: list[Customer] = [
        {"customer_id": i, "name": f"Customer {i}", "region": regions[(i - 1) % 4]} for i in range(1, n + 1)
    ]
    chance = chance_of("payments", n)
    paid: list[Payment] = [
        {"customer_id": chance.randint(1, n), "cents": chance.randint(100, 50_000)} for _ in range(3 * n)
    ]

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
north = {{c["customer_id"]: c["name"] for c in customers() if c["region"] == "north"}}
totals = Counter()
for p in payments():
    if p["customer_id"] in north:
        totals[p["customer_id"]] += p["cents"]
ranked = sorted(totals, key=lambda each: (-totals[each], each))[:{TOP}]
print(", ".join(f"{{north[each]}} {{totals[each]}}" for each in ranked) or "nobody")"""
    words = f"Which {TOP} customers of the region north paid most this year, and how many cents each?"
    thought = "I add up the payments of the customers of the region, and print the top of the list."
    asked = Round(words, plan, thought, cell, _best(people, paid))
    return Task((made(customers), made(payments)), (asked,), [], [])


# --- a table goes through ----------------------------------------------------------------------


def convert(n: int) -> Task:
    changed: list[Json] = []
    chance = chance_of("readings")
    rows: list[Reading] = [{"hour": i, "fahrenheit": chance.randint(-100, 1000) / 10} for i in range(n)]

    def readings() -> list[Reading]:
        """All readings of the station, in Fahrenheit."""
        return rows

    def store(rows: list[Converted]) -> int:
        """Stores readings in Celsius. Returns how many there were."""
        changed.extend((row["hour"], row["celsius"]) for row in rows)
        return len(rows)

    def plan(parallel: bool) -> Plan:
        (found,) = yield [Call("readings", {})]
        converted: list[Json] = [{"hour": r["hour"], "celsius": _celsius(r["fahrenheit"])} for r in found]
        (stored,) = yield [Call("store", {"rows": converted})]
        return f"{stored} readings stored"

    cell = """\
rows = [{"hour": r["hour"], "celsius": round((r["fahrenheit"] - 32) / 1.8, 1)} for r in readings()]
print(f"{store(rows)} readings stored")"""
    words = "Convert the readings of the station to Celsius, to one decimal, and store them."
    thought = "I convert what is read and hand it on."
    asked = Round(words, plan, thought, cell, f"{n} readings stored")
    right: list[Json] = [(row["hour"], _celsius(row["fahrenheit"])) for row in rows]
    return Task((made(readings), made(store, "write")), (asked,), changed, right)


def _celsius(fahrenheit: float) -> float:
    return round((fahrenheit - 32) / 1.8, 1)
