"""Owns child processes that use too much, a line of Python at a time, and watching them until it is over."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from codeact_kernel.sandbox.confine.policy import MIB, Bounds
from codeact_kernel.sandbox.confine.watch import Watch

PATIENCE_S = 20.0
AHEAD_S = 1000.0
SHELL = """
import ctypes, mmap, os, subprocess, sys, threading, time
for line in sys.stdin:
    exec(line)
    print("done", flush=True)
"""


class Child:
    """A Python process that does what it is told."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.pid = process.pid

    def begin(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def do(self, line: str) -> None:
        """Returns once it is done."""
        assert self._process.stdout is not None
        self.begin(line)
        assert self._process.stdout.readline() == "done\n", "the child failed: see stderr"


@contextmanager
def child() -> Iterator[Child]:
    """A child process that is gone afterwards."""
    command = [sys.executable, "-u", "-c", SHELL]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Child(process)
        finally:
            process.kill()


def watch(process: Child, folders: Sequence[object] = (), *, fork: bool = False, **bounds: Any) -> Watch:
    """With small bounds, and sizes in MiB, so that no test needs much."""
    for name in ("memory_bytes", "disk_bytes"):
        if name in bounds:
            bounds[name] *= MIB
    return Watch(process.pid, Bounds(**bounds), [str(folder) for folder in folders], fork)


def never_over(watched: Watch, looks: int = 12) -> None:
    """Looks that often, on a clock that runs ahead so that each look counts."""
    now = time.monotonic()
    for _ in range(looks):
        assert watched.look(now) is None
        now += watched.next_in


def until_over(watched: Watch) -> str:
    """Looks on a clock that runs further ahead; the reason."""
    deadline = time.monotonic() + PATIENCE_S
    now = time.monotonic() + AHEAD_S
    while time.monotonic() < deadline:
        reason = watched.look(now)
        if reason is not None:
            return reason
        now += watched.next_in
    raise AssertionError(f"nothing was found in {PATIENCE_S} s")
