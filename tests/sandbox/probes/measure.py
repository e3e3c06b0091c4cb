"""Owns what the host measures of a session while a probe runs."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

from .probe import Usage

EVERY_S = 0.05
BLOCK = 512
KIB = 1024


def descendants(pid: int) -> list[int]:
    """Children, their children and so on, in this order."""
    found = _children(pid)
    for child in found:
        found.extend(_children(child))  # the list grows while it is walked, on purpose
    return found


def is_over(pid: int) -> bool:
    """Whether a process has ended (a zombie has)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


class Sampler:
    """Looks at a session every 50 ms until it is stopped."""

    def __init__(self, supervisor: int, *folders: Path) -> None:
        self._supervisor = supervisor
        self._folders = folders
        self._own_before = _memory(supervisor)
        self._most = Usage()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> Usage:
        """The most that was seen of everything."""
        self._over.set()
        self._thread.join()
        return self._most

    def _look(self) -> None:
        while True:
            now = self._usage()
            self._most = Usage(*map(max, _values(self._most), _values(now)))
            if self._over.wait(EVERY_S):
                return

    def _usage(self) -> Usage:
        pids = descendants(self._supervisor)
        deleted = sum(_deleted(pid) for pid in pids)
        sizes = [size for folder in self._folders for size in _sizes(folder)]
        return Usage(
            memory_bytes=sum(map(_memory, pids)),
            threads=sum(_count(pid, "task") for pid in pids),
            processes=len(pids) + 1,
            open_files=max((_count(pid, "fd") for pid in pids), default=0),
            disk_bytes=sum(sizes) + deleted,
            disk_files=len(sizes),
            host_bytes=_memory(self._supervisor) - self._own_before,
        )


def _values(usage: Usage) -> tuple[int, ...]:
    return tuple(vars(usage).values())


def _children(pid: int) -> list[int]:
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
        texts = [Path(f"/proc/{pid}/task/{task}/children").read_text() for task in tasks]
    except OSError:
        return []
    return [int(word) for text in texts for word in text.split()]


def _memory(pid: int) -> int:
    """Proportional set size; resident size where that cannot be read."""
    for name, field in (("smaps_rollup", "Pss:"), ("status", "VmRSS:")):
        try:
            lines = Path(f"/proc/{pid}/{name}").read_text().splitlines()
        except OSError:
            continue
        for line in lines:
            if line.startswith(field):
                return int(line.split()[1]) * KIB
    return 0


def _count(pid: int, folder: str) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/{folder}"))
    except OSError:
        return 0


def _deleted(pid: int) -> int:
    """Bytes on disk of files that are open but have no name any more."""
    total = 0
    try:
        numbers = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return 0
    for number in numbers:
        try:
            found = os.stat(f"/proc/{pid}/fd/{number}")
        except OSError:
            continue
        if not found.st_nlink:
            total += found.st_blocks * BLOCK
    return total


def _sizes(folder: Path) -> Iterator[int]:
    stack = [str(folder)]
    while stack:
        try:
            entries = list(os.scandir(stack.pop()))
        except OSError:
            continue
        for entry in entries:
            try:
                yield entry.stat(follow_symlinks=False).st_blocks * BLOCK
                if entry.is_dir(follow_symlinks=False):
                    stack.append(entry.path)
            except OSError:
                continue
