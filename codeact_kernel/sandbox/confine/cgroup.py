"""Owns bounding a kernel by a control group (version 2), on machines that let this process make one.

They do inside `systemd-run --user --scope -p Delegate=yes …`, or where this process is alone in its group.
A group with controllers for its children must not hold processes itself, so those move into a leaf beside
the kernel's group; that is done only to a group that is ours: delegated, or with nobody else in it.

Tried for real: making, entering, killing and removing groups. Not tried, for want of a machine with the
memory and pids controllers: that these bound anything. Their files are tested as plain files.
"""

from __future__ import annotations

import os
import time
from typing import NamedTuple

from .policy import Bounds

BASE = "/sys/fs/cgroup"
LEAF = "codeact-host"
"""Takes the processes that were in the group before."""
CONTROLLERS = ("memory", "pids")
BESIDES = 8
"""Tasks besides the kernel's threads: bubblewrap and its like."""
EMPTY_S = 1.0
"""Until the processes of a killed group are gone."""


class Cgroup(NamedTuple):
    """The group of one kernel. A process enters it by writing 0 to `procs`, before it becomes the kernel."""

    path: str

    @property
    def procs(self) -> str:
        return os.path.join(self.path, "cgroup.procs")

    def oom_killed(self) -> bool:
        """Whether processes of it were killed because it needed more memory than it may have."""
        events = [line.split() for line in _read(self.path, "memory.events").splitlines()]
        return any(event[0] == "oom_kill" and event[1] != "0" for event in events)

    def kill(self) -> None:
        """Every process in it, at once. Never raises."""
        try:
            _write(self.path, "cgroup.kill", "1")
        except OSError:
            pass  # Linux before 5.14: who started them has to kill them.

    def remove(self) -> None:
        """Once its processes are gone; not at all when they are still there after a second. Never raises."""
        deadline = time.monotonic() + EMPTY_S
        while os.path.isdir(self.path) and time.monotonic() < deadline:
            try:
                os.rmdir(self.path)
            except OSError:
                time.sleep(0.005)


def enter(bounds: Bounds, base: str = BASE) -> Cgroup | str:
    """A new group with these bounds, nobody in it yet; or why there is none. Never raises."""
    own = next((line[3:] for line in _read("/proc/self", "cgroup").splitlines() if line[:3] == "0::"), "")
    group = os.path.normpath(f"{base}/{own}")
    if os.path.basename(group) == LEAF:
        group = os.path.dirname(group)
    missing = [name for name in CONTROLLERS if name not in _read(group, "cgroup.controllers").split()]
    if missing:
        return f"its control group has no {' and no '.join(missing)} controller"
    cgroup = None
    try:
        if reason := enable(group):
            return reason
        cgroup = create(group)
        bound(cgroup, bounds)
    except OSError as problem:
        if cgroup is not None:
            cgroup.remove()
        return f"its control group cannot be divided: {problem.strerror}"
    return cgroup


def enable(group: str) -> str:
    """Gives children of this process's `group` the controllers; "", or why not. Raises OSError."""
    if set(CONTROLLERS) <= set(_read(group, "cgroup.subtree_control").split()):
        return ""
    pids = _read(group, "cgroup.procs").split()
    if pids not in ([], [str(os.getpid())]) and not _delegated(group):
        return "its control group is not delegated, and holds other processes"
    leaf = os.path.join(group, LEAF)
    os.makedirs(leaf, exist_ok=True)
    for pid in pids:
        try:
            _write(leaf, "cgroup.procs", pid)
        except ProcessLookupError:
            continue  # It ended.
    _write(group, "cgroup.subtree_control", " ".join(f"+{name}" for name in CONTROLLERS))
    return ""


def create(group: str) -> Cgroup:
    """A new child of `group`, without bounds. Raises OSError."""
    path = os.path.join(group, f"codeact-kernel-{os.getpid()}-{os.urandom(4).hex()}")
    os.mkdir(path)
    return Cgroup(path)


def bound(cgroup: Cgroup, bounds: Bounds) -> None:
    """Sets what its processes may use together. Raises OSError."""
    _write(cgroup.path, "memory.max", str(bounds.memory_bytes))
    _write(cgroup.path, "memory.oom.group", "1")
    _write(cgroup.path, "pids.max", str(bounds.threads + BESIDES))
    if os.path.exists(os.path.join(cgroup.path, "memory.swap.max")):  # Not without swap accounting.
        _write(cgroup.path, "memory.swap.max", "0")


def _delegated(group: str) -> bool:
    """Systemd marks what it leaves to others (since 251)."""
    try:
        return os.getxattr(group, "user.delegate") == b"1"
    except OSError:
        return False


def _read(folder: str, name: str) -> str:
    try:
        with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _write(folder: str, name: str, value: str) -> None:
    fd = os.open(os.path.join(folder, name), os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, value.encode("ascii"))
    finally:
        os.close(fd)
