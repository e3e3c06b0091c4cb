"""Owns what a numeric DataFrame of 10 MB takes to a tool and back, against Arrow's IPC between two processes.

Ours: a cell calls a tool that returns what it got. The baseline, over the same kind of socket: Arrow's IPC
stream is written, sent after 8 bytes of length, received into one buffer of that size, and read into a
DataFrame, and all of that again on the way back; `split_blocks` lets Arrow copy as little as it can, so its
frames cannot be written to, and ours can. In turn, in one run.

With the tape off, a handler checks and runs the call with the product's registry, and nothing is recorded.
The product has no such switch: a run is always recorded. With the tape on it is an `Agent` as it is used: the
journal gets 13 MB of base64 for the argument, on disk before the tool runs, and as much for the result.

pyarrow comes with this benchmark only, the product needs none.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from measure import Missing, Row, ratio_of, show

from codeact_kernel import Agent, Limits, ScriptedModel, tool
from codeact_kernel.interfaces import CallHandler
from codeact_kernel.outputs import Error, Finished
from codeact_kernel.sandbox.session import KernelSession
from codeact_kernel.tools.registry import ToolRegistry
from codeact_kernel.trajectory import Action, Refusal
from codeact_kernel.wire.messages import ToolOutcome, ToolRequest
from codeact_kernel.wire.setup import SetupSpec, setup_source

GROUP = "Large frames"
TARGET = 3.0
ROWS, COLUMNS = 125_000, 10
MAKE = f"""import numpy, pandas, time
frame = pandas.DataFrame(
    numpy.random.default_rng(7).random(({ROWS}, {COLUMNS})), columns=[f"c{{i}}" for i in range({COLUMNS})]
)"""
CELL = """started = time.perf_counter()
back = give(frame)
seconds = time.perf_counter() - started
assert back.equals(frame)
report(seconds)"""
LENGTH = 8


class Arrow:
    """Two Python processes; this one only tells them when."""

    def __init__(self) -> None:
        command = [sys.executable, __file__, "arrow"]
        self._client = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def there_and_back(self) -> float:
        """Seconds."""
        assert self._client.stdin is not None
        assert self._client.stdout is not None
        self._client.stdin.write("go\n")
        self._client.stdin.flush()
        return float(self._client.stdout.readline())

    def close(self) -> None:
        self._client.communicate()


def arrow_client() -> None:
    """The first of the two processes; it forks the second before anything is imported that has threads."""
    sock, other = socket.socketpair()
    if os.fork() == 0:
        sock.close()
        try:
            while (found := _received(other)) is not None:
                _send(other, found)
        finally:
            os._exit(0)
    other.close()
    names: dict[str, Any] = {}
    exec(MAKE, names)  # The same as in the cell, and our own.
    for _ in sys.stdin:
        started = time.perf_counter()
        _send(sock, names["frame"])
        back = _received(sock)
        print(time.perf_counter() - started, flush=True)
        assert back.equals(names["frame"])


def _send(sock: socket.socket, frame: Any) -> None:
    import pyarrow

    table = pyarrow.Table.from_pandas(frame, preserve_index=False)
    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    written = sink.getvalue()
    sock.sendall(written.size.to_bytes(LENGTH, "big"))
    sock.sendall(memoryview(written))


def _received(sock: socket.socket) -> Any:
    import pyarrow

    head = sock.recv(LENGTH, socket.MSG_WAITALL)
    if len(head) < LENGTH:
        return None
    buffer = pyarrow.allocate_buffer(int.from_bytes(head, "big"))
    left = memoryview(buffer).cast("B")
    while left:
        left = left[sock.recv_into(left) :]
    return pyarrow.ipc.open_stream(buffer).read_all().to_pandas(split_blocks=True)


class Untaped(CallHandler):
    """Checks and runs, and records nothing."""

    def __init__(self, registry: ToolRegistry) -> None:
        self._registry = registry

    async def call(self, request: ToolRequest) -> ToolOutcome:
        return await self._registry.call(request)

    def at_once(self, request: ToolRequest) -> Any:
        run = self._registry.at_once(request.tool)
        return None if run is None else run(request)

    def refused(self, refusal: Refusal) -> None: ...


def tools(took: Callable[[float], None]) -> list[Any]:
    import pandas

    def give(frame: Any) -> Any:
        return frame

    give.__annotations__ = {"frame": pandas.DataFrame, "return": pandas.DataFrame}

    @tool(thread="loop")
    def report(seconds: float) -> None:
        took(seconds)

    return [tool(give, thread="loop", effect="read"), report]


def measure(quick: bool) -> list[Row]:
    missing = [name for name in ("pandas", "pyarrow") if find_spec(name) is None]
    if missing:
        return [
            Missing(GROUP, f"{', '.join(missing)} is not installed; pip install {' '.join(missing)}", GROUP)
        ]
    arrow = Arrow()
    try:
        arrow.there_and_back()
        off, on = list[tuple[float, float]](), list[tuple[float, float]]()
        asyncio.run(_tape_off(4 if quick else 30, lambda ours: off.append((ours, arrow.there_and_back()))))
        _tape_on(2 if quick else 6, lambda ours: on.append((ours, arrow.there_and_back())))
    finally:
        arrow.close()
    return [
        ratio_of("a DataFrame of 10 MB there and back, tape off", off[1:], TARGET, group=GROUP),
        ratio_of(
            "a DataFrame of 10 MB there and back, tape on, as the product is", on[1:], None, group=GROUP
        ),
    ]


async def _tape_off(cells: int, took: Callable[[float], None]) -> None:
    registry = ToolRegistry(tools(took))
    session = KernelSession()
    await session.start(setup_source(SetupSpec("bench", (), registry.specs(), ())))
    try:
        await _cell(session, MAKE, registry)
        for _ in range(cells):
            await _cell(session, CELL, registry)
    finally:
        await session.aclose()


async def _cell(session: KernelSession, code: str, registry: ToolRegistry) -> None:
    shown = ""
    async for output in session.execute(Action(code), Untaped(registry)):
        if isinstance(output, Error):
            shown += f"{output.ename}: {output.evalue}"
        if isinstance(output, Finished) and output.status != "ok":
            raise RuntimeError(f"the cell ended {output.status!r}: {output.reason} {shown}")


def _tape_on(cells: int, took: Callable[[float], None]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        model = ScriptedModel([{"code": MAKE}, *[{"code": CELL}] * cells, {"answer": "done"}])
        limits = Limits(max_steps=None, max_seconds=None)
        out = Path(folder) / "run.ipynb"
        with Agent(tools(took), model=model, limits=limits, out=out, verify=False) as agent:
            agent.run_sync("measure")


if __name__ == "__main__":
    arrow_client() if "arrow" in sys.argv else show(measure)
