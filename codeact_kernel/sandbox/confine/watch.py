"""Owns the bounds of a session that the kernel's limits cannot give: looks from outside, says what is over.

Memory (the limits of a process count address space, not memory), threads and processor time of the whole
process tree, bytes and entries on disk. A look never raises and takes some milliseconds at most.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from . import usage
from .policy import MIB, Bounds
from .usage import children
from .watch_disk import Count

__all__ = ["Watch", "children"]

CALM_S = 0.5
ALARMED_S = 0.1
"""Seconds between looks: memory and threads below, and above, half of what is allowed."""
SLACK_S = 0.002
"""A look that comes this much early is on time: timers round."""
TREE_S = 0.5
"""Seconds between two searches for new processes."""
SHARE = 0.01
"""Of one core, at most, for looking at processes."""
SLICES_S = 0.02
"""Between two slices of a count, at least."""
SLICE_S = 0.01
BASELINE_S = 0.2
"""Seconds of counting files in one look, and before the first one."""
BUSY_SHARE = 0.1
IDLE_SHARE = 0.003
URGENT_SHARE = 0.5
"""Of one core, for counting files: while the session computes, while it does not, while the disk fills up."""
IDLE = 0.05
"""Of one core: a session that uses less is idle."""
TORN = 10
"""Counts during which very deep folders were moved away; that often, it is on purpose."""


class Watch:
    """What a session uses, against its bounds.

    `pid`: the process everything of the session descends from; what this process inherits as a subreaper
    counts too. `folders`: what is there at construction is not counted, only growth; in folders too big
    to be counted in `BASELINE_S` the first looks go on with that, and what changes meanwhile is growth.
    `allow_fork`: whether more than one process, besides those called bwrap, is fine.
    """

    def __init__(self, pid: int, bounds: Bounds, folders: Sequence[str], allow_fork: bool) -> None:
        self._bounds = bounds
        self._allow_fork = allow_fork
        self._tree = _Tree(pid)
        self._disk = _Disk(folders, bounds)
        self._shared_key: tuple[tuple[int, int], ...] = ()
        self._shared = 0
        self._due = 0.0
        self.next_in = 0.0
        """Seconds until there is something to look at again; earlier looks return at once."""

    def look(self, now: float) -> str | None:
        """None when all is well, else why the session must end. `now`: monotonic, in seconds."""
        if now < self._due - SLACK_S:
            self.next_in = self._due - now
            return None
        began = time.thread_time()
        processes = self._tree.look(now)
        threads = sum(process.threads for process in processes)
        memory = self._memory(processes)
        reason = self._over(processes, threads, memory)
        half = memory * 2 > self._bounds.memory_bytes or threads * 2 > self._bounds.threads
        cost = time.thread_time() - began
        wait = max(ALARMED_S if half else CALM_S, cost / SHARE)
        reason = reason or self._disk.look(now, self._tree)
        self.next_in = max(min(wait, self._disk.due - now), SLICES_S)
        self._due = now + self.next_in
        return reason

    def _over(self, processes: list[usage.Process], threads: int, memory: int) -> str | None:
        bounds = self._bounds
        if memory > bounds.memory_bytes:
            return f"out of memory (limit {size(bounds.memory_bytes)})"
        if threads > bounds.threads:
            return f"too many threads (limit {bounds.threads})"
        if not self._allow_fork and sum(process.name != b"bwrap" for process in processes) > 1:
            return "it started another process (allow_fork is off)"
        if bounds.cpu_seconds is not None and self._tree.seconds > bounds.cpu_seconds:
            return f"out of processor time (limit {duration(bounds.cpu_seconds)})"
        return None

    def _memory(self, processes: list[usage.Process]) -> int:
        """Bytes. Counted more exactly, and dearly, only as far as it decides something."""
        limit = self._bounds.memory_bytes
        private = sum(process.private for process in processes)
        shared = sum(process.shared for process in processes)
        if private + sum(process.room for process in processes) > limit:
            shared = self._hidden(processes) or shared
        if private + shared > limit and len(processes) > 1:
            private = sum(usage.private_share(process) for process in processes)
        return private + shared

    def _hidden(self, processes: list[usage.Process]) -> int:
        key = tuple((process.pid, process.room) for process in processes)
        if key != self._shared_key:
            self._shared_key = key
            self._shared = usage.shared_anonymous(process.pid for process in processes)
        return self._shared


class _Tree:
    """The processes of a session, and the processor time they have used since it began."""

    def __init__(self, pid: int) -> None:
        self._root = pid
        self._strangers = {pid, *children(os.getpid())}
        self.pids = [pid]
        self._due = 0.0
        self._ticks: dict[tuple[int, int], int] = {}
        self._spent = 0
        self.seconds = 0.0

    def look(self, now: float) -> list[usage.Process]:
        if now >= self._due:
            # What loses its parent becomes a child of this process.
            orphans = set(children(os.getpid())) - self._strangers
            self.pids = usage.tree([self._root, *orphans])
            self._due = now + TREE_S
        processes = [process for pid in self.pids if (process := usage.look_at(pid))]
        self._add_up(processes)
        return processes

    def _add_up(self, processes: list[usage.Process]) -> None:
        """Two sums, each short of something else: of a child never waited for, of one never seen."""
        seen = {(process.pid, process.started): process.ticks for process in processes}
        self._spent += sum(ticks - self._ticks.get(key, 0) for key, ticks in seen.items())
        self._ticks = seen
        alive = sum(process.ticks + process.waited for process in processes)
        self.seconds = max(self.seconds, self._spent / usage.TICKS_PER_S, alive / usage.TICKS_PER_S)


class _Disk:
    """How much more there is in some folders than there was, a slice of a count at a time."""

    def __init__(self, folders: Sequence[str], bounds: Bounds) -> None:
        self._folders = [os.path.realpath(folder) for folder in folders]
        self._bounds = bounds
        self._since = time.time_ns()
        self._baseline = Count(self._folders, self._since, before=True)
        self._baseline.go_on(BASELINE_S)
        self._count: Count | None = None
        self._torn = 0
        self._free = self._free_at_first = self._free_now()
        self._looked_at = 0.0
        self._cost = 0.0
        self._cpu = 0.0
        self.due = 0.0

    def look(self, now: float, tree: _Tree) -> str | None:
        urgent = self._fills_up()
        idle = tree.seconds - self._cpu < IDLE * (now - self._looked_at)
        share = URGENT_SHARE if urgent else IDLE_SHARE if idle else BUSY_SHARE
        self.due = self._looked_at + self._pause(share)
        if now < self.due:
            return None
        began = time.thread_time()
        reason = self._go_on(tree)
        self._cost = time.thread_time() - began
        self._looked_at, self._cpu = now, tree.seconds
        self.due = now + self._pause(share)
        return reason

    def _pause(self, share: float) -> float:
        """Seconds from one slice to the next, by the share of a core that is allowed now."""
        between_counts = self._count is None and share < URGENT_SHARE
        return max(CALM_S if between_counts else SLICES_S, self._cost / share)

    def _fills_up(self) -> bool:
        """Since the count began. A whole limit can be allocated in no time, by a session that seems idle."""
        space, entries = (was - now for was, now in zip(self._free, self._free_now(), strict=True))
        return space * 8 > self._bounds.disk_bytes or entries * 8 > self._bounds.disk_files

    def _go_on(self, tree: _Tree) -> str | None:
        if not self._baseline.done:
            self._baseline.go_on(SLICE_S)
            return None
        if self._count is None:
            self._free = self._free_now()
            # Files that are only mapped are dear to find: only when the disk did fill up.
            mapped = (self._free_at_first[0] - self._free[0]) * 2 > self._bounds.disk_bytes
            self._count = Count(self._folders, self._since, pids=tree.pids, mapped=mapped)
        count = self._count
        count.go_on(SLICE_S)
        if count.done:
            self._count = None
            self._torn += count.torn
        return self._over(count)

    def _over(self, count: Count) -> str | None:
        bounds = self._bounds
        if count.bytes - self._baseline.bytes > bounds.disk_bytes:
            return f"too much on disk (limit {size(bounds.disk_bytes)})"
        if count.files - self._baseline.files > bounds.disk_files:
            return f"too many files (limit {bounds.disk_files})"
        if self._torn >= TORN:
            return "it moved its folders about faster than what is in them can be counted"
        return None

    def _free_now(self) -> tuple[int, int]:
        """Bytes and entries that fit on the file systems of the folders."""
        free = {}
        for folder in self._folders:
            try:
                info = os.statvfs(folder)
            except OSError:
                continue  # Gone: then nothing can be put there.
            free[info.f_fsid] = info.f_bfree * info.f_frsize, info.f_ffree
        return sum(space for space, _ in free.values()), sum(entries for _, entries in free.values())


def size(count: int) -> str:
    """As in "4.0 GiB"."""
    return f"{count / MIB / 1024:.1f} GiB" if count >= 1024 * MIB else f"{count / MIB:.0f} MiB"


def duration(seconds: float) -> str:
    """As in "6 h"."""
    return f"{seconds / 3600:.3g} h" if seconds >= 3600 else f"{seconds:.3g} s"
