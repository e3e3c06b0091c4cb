"""Owns the tool call: one inside a cell, checked and recorded, against a bare JSON echo.

The tool is a no-op that is declared as reading. All of a real call is on: the sandbox, the check of the
argument, limits, events, and the journal, its intent on disk before the tool runs and its outcome before
the answer leaves. The echo is between two Python processes, over the same kind of socket: a pair of Unix
sockets, 4 bytes of length before JSON, blocking reads, and nothing else, no event loop, no check, no record.
It runs in turn with the cells, for as many calls as one makes.

Where the tool runs is measured in all three ways; the target is for `thread="loop"`, which is right for a
tool that never blocks. The default is the caller's thread, right for a tool of which we know nothing: it may
block, or belong to that thread (sqlite3, a GUI); its price is two switches between threads.

Beside the time on the clock there is the processor time of both ends together: on a busy machine each of
the two waits for a processor several times a call, and the clock shows that more than anything else.

Calls at once are counted a second: coroutines that one `asyncio.gather` awaits, and threads of the cell.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from measure import Figure, Ratio, Row, ratio_of, show

from codeact_kernel import Agent, Limits, ScriptedModel, tool

GROUP = "One tool call"
TARGET = 2.0
A_SECOND = 5_000.0
CALLS = 200
WARM_UP = 2
ONE_BY_ONE = f"for _ in range({CALLS}): noop(1)"
AT_ONCE = {
    "coroutines, 50 at once": """import asyncio
for _ in range(20): await asyncio.gather(*(noop.aio(1) for _ in range(50)))""",
    "threads, 8 at once": """from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(8) as pool: list(pool.map(noop, range(1000)))""",
}
MANY = 1000
"""Calls of one cell of these."""
KINDS = ("loop", "caller", "worker")


class Cost(NamedTuple):
    """Seconds: on the clock, and of processors, both ends."""

    wall: float
    processor: float


class Echo:
    """Two Python processes that do nothing else; this one only tells them when."""

    def __init__(self) -> None:
        command = [sys.executable, __file__, "echo"]
        self._client = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def call(self) -> Cost:
        """Of one call, over as many as a cell makes."""
        assert self._client.stdin is not None
        assert self._client.stdout is not None
        self._client.stdin.write("go\n")
        self._client.stdin.flush()
        return Cost(*map(float, self._client.stdout.readline().split()))

    def close(self) -> None:
        self._client.communicate()


def echo_client() -> None:
    """The first of the two processes; it forks the second."""
    sock, other = socket.socketpair()
    if os.fork() == 0:
        sock.close()
        try:
            _serve(other)
        finally:
            os._exit(0)
    other.close()
    for _ in sys.stdin:
        before = time.process_time() + _spent(sock)
        started = time.perf_counter()
        for i in range(CALLS):
            _send(sock, {"t": "call", "id": i, "tool": "noop", "args": [1], "kwargs": {}})
            _receive(sock)
        wall = time.perf_counter() - started
        print(wall / CALLS, (time.process_time() + _spent(sock) - before) / CALLS, flush=True)


def _spent(sock: socket.socket) -> float:
    """The processor time of the other one."""
    _send(sock, {})
    return float(str((_receive(sock) or {})["seconds"]))


def _send(sock: socket.socket, message: object) -> None:
    body = json.dumps(message).encode()
    sock.sendall(len(body).to_bytes(4, "big") + body)


def _receive(sock: socket.socket) -> dict[str, object] | None:
    head = sock.recv(4, socket.MSG_WAITALL)
    if len(head) < 4:
        return None
    message: dict[str, object] = json.loads(sock.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL))
    return message


def _serve(sock: socket.socket) -> None:
    while (message := _receive(sock)) is not None:
        if message:
            _send(sock, {"t": "return", "id": message["id"], "value": 1})
        else:
            _send(sock, {"seconds": time.process_time()})


def measure(quick: bool) -> list[Row]:
    rows: list[Row] = []
    with echoing() as echo:
        for kind in KINDS:
            rows += ratios(kind, echo, 5 if quick else 60)
    return [*rows, *_rates(2 if quick else 20)]


@contextmanager
def echoing() -> Iterator[Echo]:
    echo = Echo()
    try:
        yield echo
    finally:
        echo.close()


def ratios(kind: str, echo: Echo, batches: int) -> Iterator[Ratio]:
    costs: list[tuple[Cost, Cost]] = []
    _run(kind, ONE_BY_ONE, CALLS, batches + WARM_UP, lambda ours: costs.append((ours, echo.call())))
    name = f"tool call, recorded, tool on the {kind} thread"
    note = {"caller": "the default", "worker": "the default under `await`"}.get(kind, "")
    walls = [(ours.wall, echoed.wall) for ours, echoed in costs[WARM_UP:]]
    spent = [(ours.processor, echoed.processor) for ours, echoed in costs[WARM_UP:]]
    target = TARGET if kind == "loop" else None
    yield ratio_of(name, walls, target, group=GROUP, note=note)
    yield ratio_of(f"{name}: processor time", spent, None, group=GROUP, note=note)


def _rates(batches: int) -> Iterator[Figure]:
    for name, code in AT_ONCE.items():
        costs: list[Cost] = []
        _run("loop", code, MANY, batches + WARM_UP, costs.append)
        rate = 1 / median(cost.wall for cost in costs[WARM_UP:])
        busy = 1e6 * median(cost.processor for cost in costs[WARM_UP:])
        note = f"{busy:.0f} µs of processors each"
        yield Figure(f"tool calls, {name}", rate, "calls/s", A_SECOND, "at least", note, GROUP)


CELL = """import time
begin()
spent, started = time.process_time(), time.perf_counter()
{code}
report(time.perf_counter() - started, time.process_time() - spent)"""


def _run(kind: Any, code: str, calls: int, cells: int, took: Callable[[Cost], None]) -> None:
    """So many cells of one run, each of which reports what its calls cost."""
    before = 0.0

    @tool(thread="loop")
    def begin() -> None:
        nonlocal before
        before = time.process_time()

    @tool(thread="loop")
    def report(wall: float, processor: float) -> None:
        here = time.process_time() - before
        took(Cost(wall / calls, (processor + here) / calls))

    @tool(thread=kind, effect="read")
    def noop(x: int) -> int:
        return x

    with tempfile.TemporaryDirectory() as folder:
        model = ScriptedModel([*[{"code": CELL.format(code=code)}] * cells, {"answer": "done"}])
        limits = Limits(max_steps=None, max_seconds=None)
        out = Path(folder) / "run.ipynb"
        with Agent([noop, begin, report], model=model, limits=limits, out=out, verify=False) as agent:
            asyncio.run(_awaited(agent)) if kind == "worker" else agent.run_sync("measure")


async def _awaited(agent: Agent) -> None:
    await agent.run("measure")


if __name__ == "__main__":
    echo_client() if "echo" in sys.argv else show(measure)
