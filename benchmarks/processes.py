"""Owns looking at the processes below this one: who they are, whether they compute, what only they hold."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

from codeact_kernel.sandbox.confine.usage import tree

QUIET_S, PATIENCE_S = 0.2, 60.0
LOOK_S = 0.002
"""Processor time that is no work: a supervisor's look at its kernel."""


def below() -> set[int]:
    return set(tree([os.getpid()])) - {os.getpid()}


def quiet() -> None:
    """Waits until no process of ours computes."""
    deadline, before, since = time.monotonic() + PATIENCE_S, -1.0, time.monotonic()
    while time.monotonic() - since < QUIET_S and time.monotonic() < deadline:
        spent = computed(below())
        if abs(spent - before) > LOOK_S:
            before, since = spent, time.monotonic()
        time.sleep(0.02)


def computed(pids: Iterable[int]) -> float:
    """Seconds of processor time, of all their threads that live."""
    return sum(_of_thread(thread) for pid in pids for thread in Path(f"/proc/{pid}/task").glob("*"))


def _of_thread(folder: Path) -> float:
    try:
        return int((folder / "schedstat").read_text().split()[0]) / 1e9
    except OSError:
        return 0.0  # It has ended.


def unique(pids: Iterable[int]) -> float:
    """MiB that only these processes hold, each for itself."""
    kib = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith(("Private_Clean:", "Private_Dirty:", "Private_Hugetlb:")):
                kib += int(line.split()[1])
    return kib / 1024
