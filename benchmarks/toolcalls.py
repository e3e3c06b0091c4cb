"""Owns the tool call: one inside a cell, recording on, against a bare JSON echo between two processes."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import Ratio, ratio_of

from codeact_kernel import Agent, Limits, ScriptedModel, tool

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
    """The same kind of socket (a pair, 4 bytes of length, JSON) between two Python processes that do
    nothing else; this one only tells them when."""

    def __init__(self) -> None:
        command = [sys.executable, __file__, "echo"]
        self._client = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def call(self) -> float:
        """Seconds a call, over as many calls as a cell makes."""
        assert self._client.stdin is not None
        assert self._client.stdout is not None
        self._client.stdin.write("go\n")
        self._client.stdin.flush()
        return float(self._client.stdout.readline())

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
        started = time.perf_counter()
        for i in range(CALLS):
            _send(sock, {"t": "call", "id": i, "tool": "noop", "args": [1], "kwargs": {}})
            _receive(sock)
        print((time.perf_counter() - started) / CALLS, flush=True)


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
        limits = Limits(max_steps=None, max_seconds=None)
        with Agent([noop, report], model=model, limits=limits, out=Path(folder) / "run.ipynb") as agent:
            asyncio.run(_run(agent)) if kind == "worker" else agent.run_sync("measure")
    return ratio_of(f"tool call, recorded, tool on the {kind} thread", times[2:], TARGET)


async def _run(agent: Agent) -> None:
    await agent.run("measure")


if __name__ == "__main__" and "echo" in sys.argv:
    echo_client()
elif __name__ == "__main__":
    print(Path(__file__).name, *(ratio.row() for ratio in measure_toolcalls(40)), sep="\n")
