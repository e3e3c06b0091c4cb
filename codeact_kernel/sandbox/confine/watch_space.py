"""Owns comparing what a session has put on disk with what it may, at a cost that is bounded.

A count takes its time, and the session can move things meanwhile to where the count has been. What it cannot
hide is that the file system has less room. So when more is gone than the counts explain, the session is
stopped, counted, and goes on: other programs use room too, so that alone is no reason to end it.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from typing import NamedTuple

from .policy import MIB, Bounds
from .watch_disk import Count
from .watch_tree import Tree

CALM_S = 0.5
"""Between two counts, at least, when the disk does not fill up."""
SLICES_S = 0.02
"""Between two slices of a count, at least."""
SHORT_S = 0.005
"""The same while the session stands still."""
SLICE_S = 0.01
IDLE_SLICE_S = 0.003
STILL_SLICE_S = 0.02
"""Seconds of counting files in one look: mostly, of a session that does little, of one that is stopped."""
BASELINE_S = 1.0
"""Of counting what is there before the kernel goes on to start: 250,000 files."""
BUSY_SHARE = 0.1
IDLE_SHARE = 0.001
URGENT_SHARE = 0.5
"""Of one core, for counting files: while the session computes or has used half of what it may, while it does
neither, while the disk fills up. Little is enough for the second: what is written shows in the room that is
left, at each look, and an eighth of a limit makes it the last."""
IDLE = 0.05
"""Of one core: a session that uses less is idle."""
EARLY = 0.2
"""Part of a pause: a look that comes this much early is on time, and spares one that would come alone."""
TORN = 10
"""Counts during which very deep folders were moved away; that often, it is on purpose."""
APART = 4
"""Times as long as a session was stopped, it goes on at least before it is stopped again."""


class Room(NamedTuple):
    """Bytes, and files and folders: that are there, or that a disk has room for."""

    bytes: int = 0
    files: int = 0

    def plus(self, other: Room) -> Room:
        return Room(self.bytes + other.bytes, self.files + other.files)

    def minus(self, other: Room) -> Room:
        return Room(self.bytes - other.bytes, self.files - other.files)

    def most(self, other: Room) -> Room:
        return Room(max(self.bytes, other.bytes), max(self.files, other.files))

    def beyond(self, bounds: Bounds, times: int = 1) -> bool:
        return self.bytes * times > bounds.disk_bytes or self.files * times > bounds.disk_files


class Space:
    """How much more there is in some folders than there was, a slice of a count at a time.

    What is there is counted while the processes are stopped, for `still_s`; of larger folders the rest
    while they run, and then what changes meanwhile is growth.
    """

    def __init__(
        self, folders: Sequence[str], bounds: Bounds, tree: Tree, *, still_s: float = BASELINE_S
    ) -> None:
        # A file that is only mapped goes by the name by which it was opened, and a folder may have two.
        names = [path(folder) for folder in folders for path in (os.path.realpath, os.path.abspath)]
        self._folders = list(dict.fromkeys(names))
        self._bounds = bounds
        self._tree = tree
        self._since = time.time_ns()
        self._baseline = Count(self._folders, self._since, before=True)
        tree.freeze()
        try:
            self._baseline.go_on(still_s)
        finally:
            tree.thaw()
        # Whether a folder was closed before is only known when nothing could be moved before it was seen.
        self._closed = self._baseline.closed if self._baseline.done else None
        self._count: Count | None = None
        self._began_at = -math.inf
        self._counted = -math.inf, -math.inf
        """When the count began, and the last whole one began and ended."""
        self._torn = 0
        self._free = self._begin_free = self._free_now()
        self._without = self._free
        """What would be free without the session, at most; less when others have used some."""
        self._growth = Room()
        """Of the last count."""
        self._stopped_at = self._may_stop = 0.0
        self._looked_at = 0.0
        self._cost = 0.0
        self._cpu = 0.0
        self.due = 0.0
        self.hurried = True
        """Whether it must be looked at when it is `due`, not some tenths of a second later."""

    def look(self, now: float, besides: int = 0) -> str | None:
        """Why the session must end, if it must. `besides`: files of it that are elsewhere."""
        self._free = self._free_now()
        if not self._tree.frozen and now >= self._may_stop and self._unexplained().beyond(self._bounds):
            self._tree.freeze()
            self._count = None
            self._stopped_at = now
        share = self._share(now)
        pause = self._pause(share)
        self.due, self.hurried = self._looked_at + pause, pause < CALM_S
        if now < self.due - EARLY * pause:
            return None
        reason = None
        if not self._stood(now):
            began = time.thread_time()
            reason = self._go_on(now, share, besides)
            self._cost = time.thread_time() - began
        self._looked_at, self._cpu = now, self._tree.seconds
        pause = self._pause(share)
        self.due, self.hurried = now + pause, pause < CALM_S
        return reason

    def _stood(self, now: float) -> bool:
        """Whether another count would find the same."""
        counted = self._count is None and not self._tree.frozen
        return counted and self._tree.stood(*self._counted, now)

    def _share(self, now: float) -> float:
        # Since the count began. A whole limit can be allocated in no time, by a session that seems idle.
        if self._tree.frozen or self._begin_free.minus(self._free).beyond(self._bounds, 8):
            return URGENT_SHARE
        idle = self._tree.seconds - self._cpu < IDLE * (now - self._looked_at)
        return IDLE_SHARE if idle and not self._growth.beyond(self._bounds, 2) else BUSY_SHARE

    def _pause(self, share: float) -> float:
        """Seconds from one slice to the next, by the share of a core that is allowed now."""
        if self._tree.frozen:
            return SHORT_S
        between_counts = self._count is None and share < URGENT_SHARE
        return max(CALM_S if between_counts else SLICES_S, self._cost / share)

    def _unexplained(self) -> Room:
        """What is gone on the disk, and was not in the last count."""
        return self._without.minus(self._free.plus(self._growth)).most(Room())

    def _go_on(self, now: float, share: float, besides: int) -> str | None:
        seconds = STILL_SLICE_S if self._tree.frozen else IDLE_SLICE_S if share == IDLE_SHARE else SLICE_S
        if not self._baseline.done:
            self._baseline.go_on(seconds)
            return None
        if self._count is None:
            self._begin_free, self._began_at = self._free, now
            self._count = Count(self._folders, self._since, pids=self._tree.pids, closed=self._closed)
        count = self._count
        count.go_on(seconds)
        growth = Room(count.bytes - self._baseline.bytes, count.files - self._baseline.files)
        if count.done:
            self._finish(count, growth, now)
            growth = growth.plus(self._invisible(count))
        return self._over(growth.plus(Room(0, besides)), count)

    def _finish(self, count: Count, growth: Room, now: float) -> None:
        """Takes a whole count. After one of a session that stood still, what is gone besides is others'."""
        self._count, self._counted = None, (self._began_at, now)
        self._growth = growth
        self._free = self._free_now()
        explained = self._free.plus(growth)
        if not self._tree.frozen:
            self._torn += count.torn
            self._without = self._without.most(explained)
            return
        invisible = self._invisible(count)
        if not growth.plus(invisible).beyond(self._bounds):
            self._without = explained.plus(invisible)
            self._may_stop = now + APART * (now - self._stopped_at)
            self._tree.thaw()

    def _invisible(self, count: Count) -> Room:
        """As much of what is gone as can be where a count does not see how much there is."""
        if not count.blind and not count.unsized:
            return Room()
        gone = self._unexplained()
        if count.blind:
            return gone
        # A mapping may be of holes only, if the disk did not fill up.
        filled = (self._without.bytes - self._free.bytes) * 2 > self._bounds.disk_bytes
        bytes_ = max(gone.bytes, count.mapped if filled else 0)
        return Room(min(bytes_, count.unsized * self._bounds.file_bytes), 0)

    def _over(self, growth: Room, count: Count) -> str | None:
        bounds = self._bounds
        if growth.bytes > bounds.disk_bytes:
            return f"too much on disk (limit {size(bounds.disk_bytes)})"
        if growth.files > bounds.disk_files:
            return f"too many files (limit {bounds.disk_files})"
        if not count.whole:
            return "it has mapped more than can be looked at"
        if self._torn >= TORN:
            return "it moved its folders about faster than what is in them can be counted"
        return None

    def _free_now(self) -> Room:
        """On the file systems of the folders: bytes that fit, and minus the files that are there."""
        free = {}
        for folder in self._folders:
            try:
                info = os.statvfs(folder)
            except OSError:
                continue  # Gone: then nothing can be put there.
            # Minus what is used: on some file systems every byte written costs a file that could be made.
            free[info.f_fsid] = Room(info.f_bfree * info.f_frsize, info.f_ffree - info.f_files)
        return Room(sum(room.bytes for room in free.values()), sum(room.files for room in free.values()))


def size(count: int) -> str:
    """As in "4.0 GiB"."""
    return f"{count / MIB / 1024:.1f} GiB" if count >= 1024 * MIB else f"{count / MIB:.0f} MiB"
