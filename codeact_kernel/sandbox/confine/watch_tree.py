"""Owns finding the processes of a session, the processor time they have used, and holding them still."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Iterable

from . import usage
from .usage import children

TREE_S = 0.5
"""Seconds between two searches for new processes."""
PATROL_S = 5.0
"""Seconds between looks at a session that does not run. Little grows without it, and slowly: pages that
Linux puts together, what it was asked to write."""
ROUNDS = 50
"""Of stopping what was started meanwhile, at most: who is stopped starts nothing."""


class Tree:
    """The processes of a session, and the processor time they have used since it began.

    `pid`: the one everything descends from; what this process inherits as a subreaper belongs to it too.
    """

    def __init__(self, pid: int) -> None:
        self._root = pid
        self._strangers = {pid, *children(os.getpid())}
        self.pids = [pid]
        self._due = 0.0
        self.searched_at = -math.inf
        """When it last looked at all processes there are."""
        self._clocks: tuple[int, ...] | None = None
        self._ran_at = 0.0
        self._ticks: dict[tuple[int, int], int] = {}
        self._spent = 0
        self.seconds = 0.0
        self._stopped: dict[int, None] = {}

    @property
    def frozen(self) -> bool:
        """Between `freeze` and `thaw`."""
        return bool(self._stopped)

    def feel(self, now: float) -> None:
        """Notes whether something has run. Called before a look: what runs meanwhile the next one notes."""
        clocks = usage.clocks(self.pids)
        if clocks is None or clocks != self._clocks:
            self._clocks, self._ran_at = clocks, now

    def stood(self, began: float, ended: float, now: float) -> bool:
        """Whether nothing has run since a look that began and ended then: what it found still holds."""
        return began >= self._ran_at and now < ended + PATROL_S

    def look(self, now: float, enough: int) -> list[usage.Process]:
        """What the processes use. No new ones are searched for when these have more threads than `enough`:
        that is slow with many, and decides nothing."""
        processes = _look_at(self.pids)
        if now >= self._due and sum(process.threads for process in processes) <= enough:
            known = {process.pid: process for process in processes}
            self._search()
            fresh = _look_at(pid for pid in self.pids if pid not in known)
            processes = [*(known[pid] for pid in self.pids if pid in known), *fresh]
            self._due, self.searched_at = now + TREE_S, now
        self._add_up(processes)
        return processes

    def freeze(self) -> None:
        """Stops every process; each thread ends no more than the call to the system that it is in."""
        for _ in range(ROUNDS):
            self._search()
            fresh = [pid for pid in self.pids if pid not in self._stopped]
            if not fresh:
                return
            for pid in fresh:
                _signal(pid, signal.SIGSTOP)
                self._stopped[pid] = None

    def thaw(self) -> None:
        """All that `freeze` stopped go on."""
        for pid in self._stopped:
            _signal(pid, signal.SIGCONT)
        self._stopped = {}

    def _search(self) -> None:
        # What loses its parent becomes a child of this process.
        orphans = set(children(os.getpid())) - self._strangers
        self.pids = usage.tree([self._root, *orphans])

    def _add_up(self, processes: list[usage.Process]) -> None:
        """Two sums, each short of something else: of a child never waited for, of one never seen."""
        seen = {(process.pid, process.started): process.ticks for process in processes}
        self._spent += sum(ticks - self._ticks.get(key, 0) for key, ticks in seen.items())
        self._ticks = seen
        alive = sum(process.ticks + process.waited for process in processes)
        self.seconds = max(self.seconds, self._spent / usage.TICKS_PER_S, alive / usage.TICKS_PER_S)


def _look_at(pids: Iterable[int]) -> list[usage.Process]:
    return [process for pid in pids if (process := usage.look_at(pid))]


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except OSError:
        pass  # It has ended, or this is a system that does not let us.
