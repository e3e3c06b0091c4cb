"""Owns counting what sessions hold: processes by role, their memory and time, descriptors, folders."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from codeact_kernel.sandbox.confine.usage import read, tree

KIB = 1024


@dataclass(frozen=True)
class Held:
    """What this process and all below it hold now. `anonymous`: MiB of this process alone, files not counted;
    `memory`: MiB of all, what is shared only in part (PSS), `seconds`: of processor time; both by role."""

    processes: int
    descriptors: int
    folders: int
    anonymous: float
    memory: Mapping[str, float] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)


def held() -> Held:
    own = os.getpid()
    pids = tree([own])
    memory: Counter[str] = Counter()
    seconds: Counter[str] = Counter()
    for pid in pids:
        of = "host" if pid == own else role(pid)
        memory[of] += proportional(pid)
        seconds[of] += spent(pid)
    return Held(len(pids) - 1, descriptors_of(own), len(folders()), resident(), memory, seconds)


def role(pid: int) -> str:
    """What a process below this one is. Forks of a launcher have its command line: there, the depth tells."""
    words = read(f"/proc/{pid}/cmdline").split(b"\0")
    if os.path.basename(words[0]) in (b"bwrap", b"cat"):
        return "cage"
    if b"--serve" in words:
        return ("launcher", "supervisor", "kernel")[min(depth(pid) - 1, 2)]
    return "supervisor" if any(word.endswith(b"supervisor.py") for word in words) else "kernel"


def depth(pid: int) -> int:
    """Generations from this process to that one."""
    fields = read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    return 1 if len(fields) < 2 or int(fields[1]) in (0, 1, os.getpid()) else 1 + depth(int(fields[1]))


def proportional(pid: int) -> float:
    """MiB of a process, its part of what is shared; 0.0 when it is gone or may not be looked at."""
    for line in read(f"/proc/{pid}/smaps_rollup").split(b"\n"):
        if line.startswith(b"Pss:"):
            return int(line.split()[1]) / KIB
    return 0.0


def spent(pid: int) -> float:
    """Seconds of processor time, of all threads that live."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return 0.0
    fields = (read(f"/proc/{pid}/task/{thread}/schedstat").split() for thread in threads)
    return sum(int(field[0]) for field in fields if field) / 1e9


def descriptors_of(pid: int) -> int:
    """That a process has open; of this one, without the one that is needed to look."""
    return len(os.listdir(f"/proc/{pid}/fd")) - (pid == os.getpid())


def folders() -> list[Path]:
    """Of sessions that this process made."""
    return list(Path(tempfile.gettempdir()).glob(f"codeact-*-{os.getpid()}-*"))


def resident(key: str = "RssAnon", pid: int | None = None) -> float:
    """MiB that a process holds, files not counted; with VmHWM the most that it held, files included."""
    return _of(f"/proc/{pid or 'self'}/status", key)


def available() -> float:
    """MiB that programs can still get on this machine."""
    return _of("/proc/meminfo", "MemAvailable")


def _of(path: str, key: str) -> float:
    line = next(line for line in read(path).split(b"\n") if line.startswith(key.encode() + b":"))
    return int(line.split()[1]) / KIB
