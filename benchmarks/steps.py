"""Owns the warm step: one of ours against a bare jupyter_client round trip to a plain ipykernel."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jupyter_client import BlockingKernelClient, KernelManager
from measure import Ratio, paired

from codeact_kernel.sandbox.session import KernelSession, NoCalls
from codeact_kernel.trajectory import Action
from codeact_kernel.wire.setup import SetupSpec, setup_source

TARGET = 1.2
CELLS = {"`pass`": "pass", "`print(1)`": "print(1)"}


@contextmanager
def plain_kernel() -> Iterator[BlockingKernelClient]:
    """A stock ipykernel over ipc, in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="bk-") as folder:
        manager = KernelManager(
            kernel_name="python3", transport="ipc", ip=f"{folder}/k", connection_file=f"{folder}/c.json"
        )
        manager.start_kernel()
        client = manager.client()
        client.start_channels()
        client.wait_for_ready(timeout=60)
        try:
            yield client
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)


def bare_step(client: BlockingKernelClient, code: str) -> float:
    """Seconds until the reply and the idle status of one cell are in."""
    started = time.perf_counter()
    message_id = client.execute(code)
    while True:
        message = client.get_iopub_msg(timeout=30)
        if message["parent_header"].get("msg_id") != message_id:
            continue
        if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
            break
    client.get_shell_msg(timeout=30)
    return time.perf_counter() - started


async def our_step(session: KernelSession, code: str) -> float:
    started = time.perf_counter()
    async for _ in session.execute(Action(code), NoCalls()):
        pass
    return time.perf_counter() - started


def measure_steps(pairs: int) -> list[Ratio]:
    """Allow-lists in force and outputs translated on our side; nothing of that on the other."""
    found = []
    with plain_kernel() as client, asyncio.Runner() as runner:
        session = KernelSession()
        runner.run(session.start(setup_source(SetupSpec("bench", (), (), ()))))
        try:
            for name, code in CELLS.items():
                for _ in range(20):
                    bare_step(client, code)
                    runner.run(our_step(session, code))
                found.append(
                    paired(
                        f"warm step {name}",
                        lambda code=code: runner.run(our_step(session, code)),
                        lambda code=code: bare_step(client, code),
                        pairs,
                        TARGET,
                    )
                )
        finally:
            runner.run(session.aclose())
    return found


if __name__ == "__main__":
    print(Path(__file__).name, *(ratio.row() for ratio in measure_steps(500)), sep="\n")
