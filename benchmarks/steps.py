"""Owns the warm step: one of ours against a bare jupyter_client round trip to a stock ipykernel, over ipc.

Ours does more: allow-lists in force, outputs checked and translated, variables named. The baseline does
nothing but to wait for the reply and the idle status of the cell. Pairs are interleaved in one process.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

from measure import Ratio, paired, show
from plain import Plain

from codeact_kernel.sandbox.session import KernelSession, NoCalls
from codeact_kernel.trajectory import Action
from codeact_kernel.wire.setup import SetupSpec, setup_source

TARGET = 1.15
PAIRS = 500
WARM_UP = 20
CELLS = {"`pass`": "pass", "`print(1)`": "print(1)", "10 kB result": "'x' * 10_000"}
ORDINARY = """\
orders = [{"id": n, "total": n * 7 % 90, "paid": n % 3 == 0, "items": list(range(n % 5))} for n in range(40)]
by_state = {}
for order in orders:
    state = "paid" if order["paid"] else "open"
    by_state.setdefault(state, []).append(order)

def summary(state):
    rows = by_state.get(state, [])
    total = sum(row["total"] for row in rows)
    biggest = max(rows, key=lambda row: row["total"], default=None)
    return {"state": state, "count": len(rows), "total": total, "biggest": biggest and biggest["id"]}

def refund(order, reason="late"):
    if order["total"] <= 0:
        raise ValueError(f"order {order['id']} has nothing to refund")
    return {"order": order["id"], "amount": round(order["total"] * 0.9, 2), "reason": reason}

refunds, failed = [], []
for order in by_state["open"]:
    if len(order["items"]) < 2:
        continue
    try:
        refunds.append(refund(order))
    except ValueError as problem:
        failed.append((order["id"], str(problem)))

print(summary("paid"))
print(summary("open"))
for row in sorted(refunds, key=lambda row: -row["amount"])[:5]:
    print(f"{row['order']:>4} {row['amount']:>8.2f} {row['reason']}")
sum(row["amount"] for row in refunds), len(failed)
"""
"""A cell as a model writes it: here it counts what is done with the text of a cell before it runs."""
GROUP = "A warm step"


class Ours:
    """A session of ours without tools, driven from outside any event loop."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._session = KernelSession()
        self._runner.run(self._session.start(setup_source(SetupSpec("bench", (), (), ()))))

    def close(self) -> None:
        self._runner.run(self._session.aclose())
        self._runner.close()

    def step(self, code: str) -> float:
        return self._runner.run(self._step(code))

    async def _step(self, code: str) -> float:
        started = time.perf_counter()
        async for _ in self._session.execute(Action(code), NoCalls()):
            pass
        return time.perf_counter() - started


@contextmanager
def ours() -> Iterator[Ours]:
    session = Ours()
    try:
        yield session
    finally:
        session.close()


def measure(quick: bool) -> list[Ratio]:
    with Plain() as plain, ours() as session:
        cells = {**CELLS, f"{len(ORDINARY.splitlines())} lines of ordinary code": ORDINARY}
        return [one(name, code, session, plain, 20 if quick else PAIRS) for name, code in cells.items()]


def one(name: str, code: str, session: Ours, plain: Plain, pairs: int) -> Ratio:
    for _ in range(WARM_UP):
        session.step(code)
        plain.step(code)
    return paired(name, lambda: session.step(code), lambda: plain.step(code), pairs, TARGET, group=GROUP)


if __name__ == "__main__":
    show(measure)
