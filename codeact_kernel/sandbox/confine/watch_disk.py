"""Owns counting, from outside, what a session has put on disk, while hostile code changes it.

Folders are entered by descriptor, never by path, never through a link, without recursion; files are only
ever looked at. So neither depth nor names nor what is swapped meanwhile leads the count astray or out.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Collection, Generator, Iterable, Iterator, Sequence
from errno import EPERM

from . import usage

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
UNSEEN = getattr(os, "O_NOATIME", 0)
"""Times of access would tell the session which folder was just counted."""
KEPT_OPEN = 128
"""Levels whose folders stay open during a count. Below, the way back up is `..`, and is checked."""
REMEMBERED = 200_000
"""Inodes known to be counted already, at most: what is moved or linked meanwhile counts once."""
BATCH = 32
"""Entries between two looks at the clock."""


class _Level:
    """One folder on the way down. `fd`: -1 when it had to be closed."""

    def __init__(self, fd: int, names: list[str]) -> None:
        info = os.fstat(fd)
        self.fd, self.names, self.identity = fd, names, (info.st_dev, info.st_ino)


class Count:
    """One count of bytes (allocated, so holes are free) and entries; goes on where it stopped.

    `since`: when the session began (wall clock, nanoseconds). `before`: only what has not changed since
    then. `pids`: whose files without a name, open or only mapped, count too.

    `closed`: folders that the owner could not list before the session, which stay as they are; None when
    that is not known of all: then no folder is unlocked. After a count with `before` it says which.
    `torn`: folders moved away while it was below them, so not all was seen. `unsized`: files without a name
    whose size nobody but root can see; `mapped`: bytes of them that are mapped. `blind`: there are folders
    to which the session can write and which cannot be listed. `whole`: whether all mappings were seen.
    """

    def __init__(
        self,
        folders: Sequence[str],
        since: int,
        *,
        before: bool = False,
        pids: Iterable[int] = (),
        closed: Collection[tuple[int, int]] | None = (),
    ) -> None:
        self.bytes = self.files = self.unsized = self.mapped = 0
        self.done = self.torn = self.blind = False
        self.whole = True
        self.closed = set() if before else closed
        self._since = since
        self._before = before
        self._seen: set[tuple[int, int]] = set()
        # As /proc writes the names of files in there.
        self._inside = tuple(os.fsencode(f"{folder}/").replace(b"\n", b"\\012") for folder in folders)
        self._work = self._all(folders, pids)

    def go_on(self, seconds: float) -> None:
        """Counts for about that long. Stops earlier when there is nothing left: then it is `done`."""
        end = time.perf_counter() + seconds
        for _ in self._work:
            if time.perf_counter() >= end:
                return
        self.done = True

    def _all(self, folders: Sequence[str], pids: Iterable[int]) -> Iterator[None]:
        for folder in folders:
            fd = self._enter(None, folder)
            if fd < 0:
                continue
            if self._add(os.fstat(fd)):
                yield from self._below(fd)
            else:
                os.close(fd)
        for pid in pids:
            yield from self._unlinked(pid)
            yield from self._unlinked_mapped(pid)

    def _below(self, top: int) -> Iterator[None]:
        levels = [_Level(top, [])]
        try:
            levels[0].names = yield from self._entries(top)
            while levels:
                level = levels[-1]
                if not level.names:
                    self._leave(levels)
                    continue
                fd = self._enter(level.fd, level.names.pop())
                if fd < 0:
                    continue
                if len(levels) > KEPT_OPEN:
                    os.close(level.fd)
                    level.fd = -1
                levels.append(_Level(fd, []))
                levels[-1].names = yield from self._entries(fd)
        finally:
            for level in levels:
                if level.fd >= 0:
                    os.close(level.fd)

    def _entries(self, fd: int) -> Generator[None, None, list[str]]:
        """Counts the entries of one folder; the names of the folders among them."""
        names = []
        try:
            with os.scandir(fd) as entries:
                for number, entry in enumerate(entries, 1):
                    if number % BATCH == 0:
                        yield
                    try:
                        info = entry.stat(follow_symlinks=False)
                    except OSError:
                        continue  # Gone meanwhile.
                    if self._add(info) and stat.S_ISDIR(info.st_mode):
                        names.append(entry.name)
        except OSError:
            pass
        yield
        return names

    def _enter(self, parent: int | None, name: str) -> int:
        """A descriptor of that folder, or -1 when it is gone, or something else by now."""
        try:
            fd = _open(name, parent)
        except PermissionError:
            return self._closed(parent, name)
        except OSError:
            return -1
        if os.fstat(fd).st_mode & stat.S_IXUSR or os.geteuid() == 0:
            return fd
        os.close(fd)
        return self._closed(parent, name)

    def _closed(self, parent: int | None, name: str) -> int:
        """A descriptor of a folder that its owner cannot list, if that is the session's doing; else -1.

        By descriptor, so that no link put in its place can make this change the mode of anything else.
        """
        try:
            fd = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        except OSError:
            return -1
        try:
            info, path = os.fstat(fd), f"/proc/self/fd/{fd}"
            key = (info.st_dev, info.st_ino)
            if self._before and isinstance(self.closed, set):
                self.closed.add(key)
            elif self.closed is not None and key not in self.closed and info.st_ctime_ns >= self._since:
                os.chmod(path, stat.S_IMODE(info.st_mode) | stat.S_IRWXU)
                return os.open(path, FOLDER & ~os.O_NOFOLLOW)
            self.blind = self.blind or os.access(path, os.X_OK)
        except OSError:
            pass  # It belongs to somebody else.
        finally:
            os.close(fd)
        return -1

    def _leave(self, levels: list[_Level]) -> None:
        """One level up; several when the folder was moved away, which cannot be helped from here."""
        below = levels.pop()
        try:
            if levels and levels[-1].fd < 0:
                levels[-1].fd = _parent(below.fd, levels[-1].identity)
        finally:
            os.close(below.fd)
        while levels and levels[-1].fd < 0:
            self.torn = True
            levels.pop()

    def _unlinked(self, pid: int) -> Iterator[None]:
        """Files without a name that are still open."""
        try:
            numbers = os.listdir(f"/proc/{pid}/fd")
        except OSError:
            return
        for number in numbers:
            self._add_unlinked(f"/proc/{pid}/fd/{number}")
        yield

    def _unlinked_mapped(self, pid: int) -> Iterator[None]:
        """Files without a name that are only mapped. They count wherever the session could have made them:
        those of libraries that were renewed on the host do not."""
        found = usage.nameless(pid)
        self.whole = self.whole and found.whole
        for number, mapping in enumerate(found.mappings, 1):
            if number % BATCH == 0:
                yield
            key = (mapping.device, mapping.inode)
            if key in self._seen or not mapping.path.startswith(self._inside):
                continue
            if not self._add_unlinked(f"/proc/{pid}/map_files/{mapping.span}"):
                self._seen.add(key)
                self.files += 1
                self.unsized += 1
                self.mapped += mapping.size
        yield

    def _add_unlinked(self, path: str) -> bool:
        """False when it cannot be looked at."""
        try:
            info = os.stat(path)
        except OSError:
            return False
        if stat.S_ISREG(info.st_mode) and info.st_nlink == 0:
            self._add(info)
        return True

    def _add(self, info: os.stat_result) -> bool:
        """False when this one was counted before."""
        key = (info.st_dev, info.st_ino)
        if key in self._seen:
            return False
        if len(self._seen) < REMEMBERED:
            self._seen.add(key)
        if not self._before or info.st_ctime_ns < self._since:
            self.bytes += info.st_blocks * 512
            self.files += 1
        return True


def _open(name: str, parent: int | None) -> int:
    """A folder by its name. Raises OSError."""
    try:
        return os.open(name, FOLDER | UNSEEN, dir_fd=parent)
    except PermissionError as problem:
        if problem.errno != EPERM:
            raise
        return os.open(name, FOLDER, dir_fd=parent)  # Of another owner: its time of access is renewed.


def _parent(fd: int, identity: tuple[int, int]) -> int:
    """The folder above, if it is still that one; else -1."""
    try:
        up = _open("..", fd)
    except OSError:
        return -1
    info = os.fstat(up)
    if (info.st_dev, info.st_ino) == identity:
        return up
    os.close(up)
    return -1
