"""Owns the tool call: one inside a cell, recording on, against a bare JSON echo between two processes."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import tempfile
import time
from pathlib import Path

from measure import Ratio, ratio_of

from codeact_kernel import Agent, ScriptedModel, tool

TARGET = 3.0
CALLS = 200
CELL = f"""
import time
t = time.perf_counter()
for _ in range({CALLS}):
    noop(1)
report((time.perf_counter() - t) / {CALLS})
"""


class Echo:
    """The same kind of socket (a pair, 4 bytes of length, JSON), a forked Python at its other end."""

    def __init__(self) -> None:
        self._sock, other = socket.socketpair()
        self._pid = os.fork()
        if self._pid == 0:
            self._sock.close()
            try:
                _serve(other)
            finally:
                os._exit(0)
        other.close()

    def call(self) -> float:
        """Seconds a call, over as many calls as a cell makes."""
        started = time.perf_counter()
        for i in range(CALLS):
            _send(self._sock, {"t": "call", "id": i, "tool": "noop", "args": [1], "kwargs": {}})
            _receive(self._sock)
        return (time.perf_counter() - started) / CALLS

    def close(self) -> None:
        self._sock.close()
        os.waitpid(self._pid, 0)


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
        _send(sock, {"t": "return", "id": message["id"], "value": 1})


def measure_toolcalls(batches: int) -> list[Ratio]:
    """A no-op tool in three ways: on the caller's thread, on the event loop, in a worker thread."""
    echo = Echo()
    try:
        return [_measure(kind, echo, batches) for kind in ("loop", "caller", "worker")]
    finally:
        echo.close()


def _measure(kind: str, echo: Echo, batches: int) -> Ratio:
    times: list[tuple[float, float]] = []

    @tool(thread="loop")
    def report(seconds: float) -> None:
        times.append((seconds, echo.call()))

    @tool(thread=kind)  # type: ignore[arg-type]  # one of its literals
    def noop(x: int) -> int:
        return x

    cells = [{"code": CELL}] * (batches + 2)
    with tempfile.TemporaryDirectory() as folder:
        model = ScriptedModel([*cells, {"answer": "done"}])
        with Agent([noop, report], model=model, out=Path(folder) / "run.ipynb") as agent:
            asyncio.run(_run(agent)) if kind == "worker" else agent.run_sync("measure")
    return ratio_of(f"tool call, recorded, tool on the {kind} thread", times[2:], TARGET)


async def _run(agent: Agent) -> None:
    await agent.run("measure")


if __name__ == "__main__":
    print(Path(__file__).name, *(ratio.row() for ratio in measure_toolcalls(40)), sep="\n")
