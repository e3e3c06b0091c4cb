"""Owns what the cage costs: our kernelspec against a stock ipykernel, same stock client, over ipc."""

from __future__ import annotations

import json
import os
import queue
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from jupyter_client import BlockingKernelClient, KernelManager
from measure import Missing, Row, paired, show
from plain import step

OURS, STOCK = "codeact-python", "python3"
TIERS: dict[str, tuple[str, ...]] = {"A": (), "B": ("namespaces",)}
"""What is switched off to get each."""
CELLS = {
    "step `x = 1`": ("x = 1", 1.10),
    "200 × open, read, close": (
        "for _ in range(200):\n    with open('probe') as file:\n        file.read()",
        1.15,
    ),
}
START_TARGET = 1.0
GROUP = "What the cage costs: our kernelspec in a stock client"
WARM = 30
PATIENCE_S = 5


@contextmanager
def started(name: str, tier: str) -> Iterator[tuple[BlockingKernelClient, float]]:
    """A kernel by its kernelspec, and the seconds until its first reply.

    The profile demands the tier, so that a machine that does not give it refuses: no number of another one.
    """
    profile = {"sandbox": tier, "without": TIERS[tier]}
    env = os.environ | {"CODEACT_PROFILE": json.dumps(profile)}
    with tempfile.TemporaryDirectory(prefix="bs-") as folder:
        manager = KernelManager(
            kernel_name=name, transport="ipc", ip=f"{folder}/k", connection_file=f"{folder}/c.json"
        )
        begun = time.perf_counter()
        manager.start_kernel(env=env, cwd=folder)
        client = manager.client()
        client.start_channels()
        client.kernel_info()
        try:
            wait_for_reply(manager, client)
            yield client, time.perf_counter() - begun
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
            manager.cleanup_resources()


def wait_for_reply(manager: KernelManager, client: BlockingKernelClient) -> None:
    """Raises RuntimeError when the kernel ended instead; it has said why on stderr."""
    while True:
        try:
            client.get_shell_msg(timeout=PATIENCE_S)
            return
        except queue.Empty:
            if not manager.is_alive():
                raise RuntimeError("the kernel ended without a reply") from None


def start(name: str, tier: str) -> float:
    with started(name, tier) as (_, seconds):
        return seconds


def measure(quick: bool) -> list[Row]:
    """Start, step and file access, in each tier that this machine gives."""
    rows = list[Row]()
    for tier in TIERS:
        try:
            for name in (OURS, STOCK):
                start(name, tier)  # The first one reads everything from the disk.
        except RuntimeError as problem:
            rows.append(Missing("start, steps and files", str(problem), GROUP, tier))
            continue
        begin: list[Callable[[], float]] = [partial(start, name, tier) for name in (OURS, STOCK)]
        pairs = 2 if quick else 15
        rows.append(paired("start to first reply", *begin, pairs, START_TARGET, group=GROUP, tier=tier))
        rows += _cells(tier, 20 if quick else 250)
    return rows


def _cells(tier: str, pairs: int) -> list[Row]:
    rows = list[Row]()
    with ExitStack() as stack:
        clients = [stack.enter_context(started(name, tier))[0] for name in (OURS, STOCK)]
        for client in clients:
            client.wait_for_ready(timeout=60)
            step(client, "with open('probe', 'w') as file:\n    file.write('x' * 100)")
        for label, (code, target) in CELLS.items():
            cell: list[Callable[[], float]] = [partial(step, client, code) for client in clients]
            for run in cell * WARM:
                run()
            rows.append(paired(label, *cell, pairs, target, group=GROUP, tier=tier))
    return rows


if __name__ == "__main__":
    show(measure)
