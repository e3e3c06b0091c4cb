"""Owns the tasks that take many calls: N orders, a fan-out, pages until found, a chain."""

from __future__ import annotations

from dataclasses import dataclass

from codeact_kernel.wire.messages import Json

from .task import Call, Plan, Round, Task, chance_of, made

LATE, PAGE, WANTED = 5, 10, "pump stopped"
BATCH = 200
"""Calls that a cell makes at once; more than `ToolLimits.max_concurrent` are refused."""


@dataclass(frozen=True)
class Order:
    order_id: int
    customer: str
    total_cents: int
    days_late: int


@dataclass(frozen=True)
class Entry:
    serial: int
    title: str


@dataclass(frozen=True)
class Stop:
    next_stop: str
    minutes: int


# --- the seed: fetch N orders, filter, refund each ---------------------------------------------


def _order(order_id: int) -> Order:
    chance = chance_of("order", order_id)
    customer, cents = f"C-{chance.randrange(10_000):04}", chance.randint(500, 20_000)
    return Order(order_id, customer, cents, max(0, chance.randint(-20, 9)))


def _refunded(paid: list[tuple[int, int]]) -> str:
    return f"{len(paid)} orders refunded, {sum(cents for _, cents in paid)} cents in all"


def refunds(n: int) -> Task:
    changed: list[Json] = []

    def fetch_order(order_id: int) -> Order:
        """One order."""
        return _order(order_id)

    def refund(order_id: int, cents: int) -> str:
        """Pays back an amount of an order. Returns the number of the receipt."""
        changed.append((order_id, cents))
        return f"R-{order_id}"

    def plan(parallel: bool) -> Plan:
        orders = yield [Call("fetch_order", {"order_id": each}) for each in range(1, n + 1)]
        late = [(o["order_id"], o["total_cents"]) for o in orders if o["days_late"] > LATE]
        yield [Call("refund", {"order_id": each, "cents": cents}) for each, cents in late]
        return _refunded(late)

    orders = map(_order, range(1, n + 1))
    right = [(order.order_id, order.total_cents) for order in orders if order.days_late > LATE]
    cell = f"""\
import asyncio
numbers, orders = range(1, {n} + 1), []
for i in range(0, len(numbers), {BATCH}):
    orders += await asyncio.gather(*(fetch_order(n) for n in numbers[i:i + {BATCH}]))
late = [o for o in orders if o.days_late > {LATE}]
for o in late:
    refund(o.order_id, o.total_cents)
print(f"{{len(late)}} orders refunded, {{sum(o.total_cents for o in late)}} cents in all")"""
    words = f"Refund the full total of those of the orders 1 to {n} that came more than {LATE} days late."
    thought = "I fetch the orders in batches, refund those that came late, and print how many and how much."
    tools = made(fetch_order), made(refund, "write")
    return Task(tools, (Round(words, plan, thought, cell, _refunded(right)),), changed, right)


# --- fan out, reduce ---------------------------------------------------------------------------


def fan_out(n: int) -> Task:
    changed: list[Json] = []
    names = [f"S-{chance_of('sensor', each).randrange(10_000):04}-{each}" for each in range(n)]

    def sensors() -> list[str]:
        """The names of all sensors."""
        return names

    def read_sensor(sensor: str) -> int:
        """The level at a sensor, in millimetres."""
        return chance_of("level", sensor).randrange(5_000)

    def set_alarm(level: int) -> str:
        """Sets the level of the alarm. Returns the number of the order."""
        changed.append(level)
        return f"A-{level}"

    def plan(parallel: bool) -> Plan:
        (found,) = yield [Call("sensors", {})]
        levels = yield [Call("read_sensor", {"sensor": sensor}) for sensor in found]
        (order,) = yield [Call("set_alarm", {"level": sum(levels) // len(levels) + 500})]
        return f"alarm order {order}"

    cell = f"""\
import asyncio
names, levels = sensors(), []
for i in range(0, len(names), {BATCH}):
    levels += await asyncio.gather(*(read_sensor(s) for s in names[i:i + {BATCH}]))
print("alarm order", set_alarm(sum(levels) // len(levels) + 500))"""
    words = "Set the alarm to 500 mm above the mean level of all sensors, rounded down."
    thought = "I read the sensors in batches and set the alarm by their mean."
    level = sum(map(read_sensor, names)) // n + 500
    tools = made(sensors), made(read_sensor), made(set_alarm, "write")
    return Task(tools, (Round(words, plan, thought, cell, f"alarm order A-{level}"),), changed, [level])


# --- search, page by page ----------------------------------------------------------------------


def _page(page: int, n: int) -> list[Entry]:
    """The entry that is looked for is on page `n`."""
    serials = [chance_of("serial", page, place).randrange(10**6, 10**7) for place in range(PAGE)]
    titles = [WANTED if page == n and place == 4 else "pump checked" for place in range(PAGE)]
    return [Entry(*each) for each in zip(serials, titles, strict=True)]


def search(n: int) -> Task:
    def search_log(page: int) -> list[Entry]:
        """One page of the log, the newest first; pages count from 1, and there is no end."""
        return _page(page, n)

    def plan(parallel: bool) -> Plan:
        page, width = 1, 1
        while True:
            asked = range(page, page + width)
            pages = yield [Call("search_log", {"page": each}) for each in asked]
            for number, entries in zip(asked, pages, strict=True):
                for entry in entries:
                    if entry["title"] == WANTED:
                        return f"serial {entry['serial']}, page {number}"
            page, width = page + width, 2 * width if parallel else 1

    cell = f"""\
from itertools import count
for page in count(1):
    found = [e.serial for e in search_log(page) if e.title == "{WANTED}"]
    if found:
        break
print(f"serial {{found[0]}}, page {{page}}")"""
    words = f'What is the serial of the newest entry of the log with the title "{WANTED}", on which page?'
    thought = "I read page after page until an entry has that title."
    (serial,) = [entry.serial for entry in _page(n, n) if entry.title == WANTED]
    answer = f"serial {serial}, page {n}"
    return Task((made(search_log),), (Round(words, plan, thought, cell, answer),), [], [])


# --- a chain: each call hangs on the result of the one before ----------------------------------


def _names(n: int) -> list[str]:
    return [f"stop-{chance_of('stop', each).randrange(10**6):06}" for each in range(n + 1)]


def chain(n: int) -> Task:
    names = _names(n)
    ways = {names[each]: Stop(names[each + 1], chance_of("way", each).randint(1, 30)) for each in range(n)}
    ways[names[n]] = Stop("", 0)

    def next_stop(stop: str) -> Stop:
        """The stop after this one ("" after the last), and the minutes to it."""
        return ways[stop]

    def plan(parallel: bool) -> Plan:
        stop, total = names[0], 0
        while True:
            (way,) = yield [Call("next_stop", {"stop": stop})]
            if not way["next_stop"]:
                return f"{stop} after {total} minutes"
            stop, total = way["next_stop"], total + way["minutes"]

    cell = f"""\
stop, total = "{names[0]}", 0
while (way := next_stop(stop)).next_stop:
    stop, total = way.next_stop, total + way.minutes
print(f"{{stop}} after {{total}} minutes")"""
    words = f"Where does the line that begins at {names[0]} end, and after how many minutes?"
    thought = "I follow the line to its end and add up the minutes."
    answer = f"{names[n]} after {sum(way.minutes for way in ways.values())} minutes"
    return Task((made(next_stop),), (Round(words, plan, thought, cell, answer),), [], [])
