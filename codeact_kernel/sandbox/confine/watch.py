"""Owns the bounds of a session that the kernel's limits cannot give: looks from outside, says what is over.

Memory (the limits of a process count address space, not memory), threads and processor time of the whole
process tree, what the kernel keeps for it, bytes and entries on disk. A look never raises and takes some
milliseconds at most. A session that makes looks dear, or impossible, is looked at less often, or ended. What
nothing of it has run since is not looked at again: it has not grown.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from . import usage, usage_kernel
from .policy import Bounds
from .usage import children
from .usage_kernel import Held
from .watch_space import SHORT_S, Space, size
from .watch_tree import Tree

__all__ = ["Watch", "children", "size"]

CALM_S = 0.5
ALARMED_S = 0.05
LONGEST_S = 1.0
"""Seconds between looks at processes: while all is calm; above half of the memory or threads allowed, and
while the session computes; at most."""
BUSY = 0.05
"""Of one core, since the last look: a session that uses more computes."""
SLACK_S = 0.002
"""A look that comes this much early is on time: timers round."""
SHARE = 0.01
"""Of one core, for looking at processes, as far as `LONGEST_S` leaves it."""
MAPS_SHARE = 0.1
KERNEL_S = 1.0
KERNEL_SHARE = 0.02
"""Of one core, at most: for lists of mappings, for what the kernel keeps; seconds between looks at that."""
LOCKS = 10_000
"""On files. Each takes 200 bytes that no limit counts; programs hold a few dozen."""
BUFFERS_PER_FILE = 4
"""Sockets and pipes that all processes may have open, times what one may: each has buffers."""


class Watch:
    """What a session uses, against its bounds.

    `pid`: the process everything of the session descends from; what this process inherits as a subreaper
    counts too. `folders`: what is there at construction is not counted, only growth. Until that is counted
    (`watch_space.BASELINE_S` at most) the session stands still. `allow_fork`: whether more than one process,
    besides those called bwrap, is fine.
    """

    def __init__(self, pid: int, bounds: Bounds, folders: Sequence[str], allow_fork: bool) -> None:
        self._bounds = bounds
        self._allow_fork = allow_fork
        self._tree = Tree(pid)
        self._space = Space(folders, bounds, self._tree)
        self._held = Held()
        self._hidden_of: tuple[tuple[int, int], ...] = ()
        self._hidden = usage.Shared(0, True)
        self._hidden_due = self._kernel_due = self._processes_due = self._due = 0.0
        self._looked_at = self._seconds = 0.0
        self._half = False
        """Whether more than half of the memory or threads allowed is used."""
        self._kernel_at = -math.inf
        self.next_in = 0.0
        """Seconds until there is something to look at again; earlier looks return at once."""

    def look(self, now: float) -> str | None:
        """None when all is well, else why the session must end. `now`: monotonic, in seconds."""
        if now < self._due - SLACK_S:
            self.next_in = self._due - now
            return None
        self._tree.feel(now)
        reason = None
        if now >= self._processes_due - SLACK_S:
            wait, reason = self._pace_and_reason(now)
            self._processes_due = now + wait
        reason = reason or self._look_at_kernel(now) or self._space.look(now, self._held.files)
        # A count that has time comes with the next look at processes: waking up costs as much as a look.
        due = min(self._processes_due, self._space.due if self._space.hurried else math.inf)
        self.next_in = max(due - now, SHORT_S)
        self._due = now + self.next_in
        return reason

    def _pace_and_reason(self, now: float) -> tuple[float, str | None]:
        """Seconds until the next look at processes, and why the session must end."""
        if self._tree.stood(self._tree.searched_at, self._tree.searched_at, now):
            self._looked_at = now  # As if it had: it would have found the same.
            return ALARMED_S if self._half else CALM_S, None
        began = time.thread_time()
        alarmed, reason = self._look_at_processes(now)
        cost = time.thread_time() - began
        return min(max(ALARMED_S if alarmed else CALM_S, cost / SHARE), LONGEST_S), reason

    def _look_at_processes(self, now: float) -> tuple[bool, str | None]:
        """Whether there is reason to look again soon, and why the session must end."""
        bounds = self._bounds
        processes = self._tree.look(now, bounds.threads)
        threads = sum(process.threads for process in processes)
        if self._allow_fork:
            self._held = usage_kernel.shared_memory(reversed(self._tree.pids))
        # Storms of threads are found while they are made: nothing that takes time comes before this.
        memory = self._memory(processes, now) if threads <= bounds.threads else 0
        self._half = memory * 2 > bounds.memory_bytes or threads * 2 > bounds.threads
        return self._half or self._computes(now), self._over(processes, threads, memory)

    def _computes(self, now: float) -> bool:
        spent, passed = self._tree.seconds - self._seconds, now - self._looked_at
        self._seconds, self._looked_at = self._tree.seconds, now
        return spent > BUSY * passed

    def _over(self, processes: list[usage.Process], threads: int, memory: int) -> str | None:
        bounds = self._bounds
        if threads > bounds.threads:
            return f"too many threads (limit {bounds.threads})"
        if any(process.headless for process in processes):
            return "its main thread has ended and others go on, so that it cannot be looked at any more"
        if memory > bounds.memory_bytes:
            return f"out of memory (limit {size(bounds.memory_bytes)})"
        if not self._hidden.whole:
            return "it has mapped more than can be looked at"
        if not self._allow_fork and sum(process.name != b"bwrap" for process in processes) > 1:
            return "it started another process (allow_fork is off)"
        if bounds.cpu_seconds is not None and self._tree.seconds > bounds.cpu_seconds:
            return f"out of processor time (limit {duration(bounds.cpu_seconds)})"
        return None

    def _memory(self, processes: list[usage.Process], now: float) -> int:
        """Bytes. Counted more exactly, and dearly, only as far as it decides something."""
        limit = self._bounds.memory_bytes
        private = sum(process.private for process in processes)
        shared = max(sum(process.shared for process in processes), self._held.bytes)
        if private + sum(process.room for process in processes) > limit:
            shared = max(self._hidden_memory(processes, now), self._held.bytes) or shared
        if private + shared > limit and len(processes) > 1:
            private = sum(usage.private_share(process) for process in processes)
        return private + shared

    def _hidden_memory(self, processes: list[usage.Process], now: float) -> int:
        of = tuple((process.pid, process.room) for process in processes)
        if of != self._hidden_of and now >= self._hidden_due:
            began = time.thread_time()
            self._hidden_of = of
            self._hidden = usage.shared_anonymous(process.pid for process in processes)
            self._hidden_due = now + (time.thread_time() - began) / MAPS_SHARE
        return self._hidden.bytes

    def _look_at_kernel(self, now: float) -> str | None:
        """Why the session must end for what the kernel keeps for it."""
        if now < self._kernel_due or self._tree.stood(self._kernel_at, self._kernel_at, now):
            return None
        began, self._kernel_at = time.thread_time(), now
        pids, reason = self._tree.pids, None
        most = BUFFERS_PER_FILE * self._bounds.open_files
        if usage_kernel.locks(pids, LOCKS) > LOCKS:
            reason = f"too many locks on files (limit {LOCKS})"
        # A fork shares what it inherits: only beyond the bound does it matter how much of it is the same.
        elif self._allow_fork and usage_kernel.open_files(pids) > most < usage_kernel.buffers(pids, most):
            reason = f"too many open sockets and pipes in all its processes (limit {most})"
        self._kernel_due = now + max(KERNEL_S, (time.thread_time() - began) / KERNEL_SHARE)
        return reason


def duration(seconds: float) -> str:
    """As in "6 h"."""
    return f"{seconds / 3600:.3g} h" if seconds >= 3600 else f"{seconds:.3g} s"
