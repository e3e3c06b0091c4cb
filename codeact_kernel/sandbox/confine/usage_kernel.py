"""Owns reading, from outside, what the kernel keeps for the processes of a session and counts for no limit:
locks on files, buffers of sockets and pipes, files in the shared memory of a cage.

As in `usage`, nothing is raised, and what is gone counts as nothing.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from typing import NamedTuple

from .usage import MAPS_BYTES, read

LOCKS_BYTES = 2 * 1024 * 1024
"""As much of the machine's locks as is read: 30,000. New ones come first."""
SHARED_MEMORY = "/dev/shm"


class Held(NamedTuple):
    """What the shared memory of a cage holds."""

    bytes: int = 0
    files: int = 0


def locks(pids: Collection[int], enough: int) -> int:
    """Locks on files that these processes hold. Of more than `enough`, not all may be counted."""
    text = read("/proc/locks", LOCKS_BYTES)
    if text.count(b"\n") <= enough:
        return 0  # Of anybody; mostly there are a few dozen, and nobody has to look whose.
    holders = {str(pid).encode() for pid in pids}
    count, of_files = 0, []
    for line in text.split(b"\n"):
        fields = line.split()  # 1: POSIX ADVISORY WRITE PID MAJOR:MINOR:INODE START END; "->" if it waits
        if len(fields) < 6 or fields[1] == b"->":
            continue
        if fields[4] in holders:
            count += 1
        elif fields[4] == b"-1":
            of_files.append(fields[5].rpartition(b":")[2])
    if len(of_files) > enough:  # Held by an open file, not by a process.
        own = _inodes(pids)
        count += sum(inode in own for inode in of_files)
    return count


def _inodes(pids: Iterable[int]) -> set[bytes]:
    """Numbers of all files that are open or mapped."""
    found = set()
    for pid in pids:
        for number in _listed(f"/proc/{pid}/fd"):
            try:
                found.add(str(os.stat(f"/proc/{pid}/fd/{number}").st_ino).encode())
            except OSError:
                continue
        for line in read(f"/proc/{pid}/maps", MAPS_BYTES).split(b"\n"):
            found.update(line.split(None, 5)[4:5])
    return found


def open_files(pids: Iterable[int]) -> int:
    """Descriptors of all these processes: those of a fork count again."""
    return sum(map(_descriptors, pids))


def _descriptors(pid: int) -> int:
    try:
        size = os.stat(f"/proc/{pid}/fd").st_size
    except OSError:
        return 0
    return size or len(_listed(f"/proc/{pid}/fd"))  # The size is their number since Linux 6.2.


def buffers(pids: Iterable[int], enough: int) -> int:
    """Sockets and pipes that these processes have open, each once. Stops beyond `enough`. Slow."""
    found: set[str] = set()
    for pid in pids:
        for number in _listed(f"/proc/{pid}/fd"):
            try:
                target = os.readlink(f"/proc/{pid}/fd/{number}")
            except OSError:
                continue
            if target.startswith(("socket:", "pipe:")):
                found.add(target)
        if len(found) > enough:
            break
    return len(found)


def shared_memory(pids: Iterable[int]) -> Held:
    """What is in the /dev/shm of these processes, if it is one of their own and not the host's."""
    ours = {_file_system(path) for path in (SHARED_MEMORY, "/dev", "/")}
    for pid in pids:
        path = f"/proc/{pid}/root{SHARED_MEMORY}"
        if _file_system(path) in ours:
            continue
        try:
            info = os.statvfs(path)
        except OSError:
            continue
        return Held((info.f_blocks - info.f_bfree) * info.f_frsize, info.f_files - info.f_ffree)
    return Held()


def _file_system(path: str) -> int:
    try:
        return os.stat(path).st_dev
    except OSError:
        return 0


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []
