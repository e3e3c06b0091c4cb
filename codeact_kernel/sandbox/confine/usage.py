"""Owns reading, from outside, what the processes of a session use: memory, threads, processor time.

Everything comes from /proc and may vanish while it is read: then it counts as nothing, and nothing is raised.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import NamedTuple

PROCESSES = 4096
"""Looked at, at most: far beyond any limit on threads, and still quick."""
MAPS_BYTES = 8 * 1024 * 1024
"""As much of a list of mappings as is read; the kernel allows 65,530 of them."""
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Process(NamedTuple):
    """One process.

    `started`: tells a reused pid apart. `ticks`: processor time of its own, `waited`: of children it has
    reaped, both in 1 / `TICKS_PER_S` seconds. `private`: bytes only it can give back, swapped or not.
    `shared`: bytes of shared anonymous memory it has touched. `room`: bytes of address space that
    could hold more of that, unseen.
    """

    pid: int
    started: int
    name: bytes
    threads: int
    ticks: int
    waited: int
    private: int
    shared: int
    room: int


class Mapping(NamedTuple):
    """A mapping of something that has no name any more. `span`: its address range as /proc writes it."""

    span: str
    device: int
    inode: int
    size: int
    anonymous: bool


def read(path: str, limit: int = 65536) -> bytes:
    """At most `limit` bytes of a file of /proc; empty when it is gone or forbidden."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    parts = []
    try:
        while limit > 0 and (part := os.read(fd, min(limit, 65536))):
            parts.append(part)
            limit -= len(part)
    except OSError:
        pass  # The process ended meanwhile.
    finally:
        os.close(fd)
    return b"".join(parts)


def children(pid: int) -> list[int]:
    """Of all its threads."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
    return [int(child) for thread in threads for child in read(f"/proc/{pid}/task/{thread}/children").split()]


def tree(roots: Iterable[int]) -> list[int]:
    """The pids `roots` and everything below them, each once."""
    found = dict.fromkeys(roots)
    waiting = list(found)
    while waiting and len(found) < PROCESSES:
        fresh = [pid for pid in children(waiting.pop()) if pid not in found]
        found.update(dict.fromkeys(fresh))
        waiting += fresh
    return list(found)


def look_at(pid: int) -> Process | None:
    """What a process uses now; None when there is none."""
    # The name stands in parentheses and may hold any, so the fields are counted from the last one.
    _, _, after = read(f"/proc/{pid}/stat").rpartition(b")")
    fields = after.split()
    status = read(f"/proc/{pid}/status")
    if len(fields) < 21 or not status:
        return None
    user, system, waited_user, waited_system = (int(field) for field in fields[11:15])
    swap, huge, tables = (_kib(status, key) for key in (b"VmSwap", b"HugetlbPages", b"VmPTE"))
    return Process(
        pid=pid,
        started=int(fields[19]),
        name=status[: status.find(b"\n")].partition(b"\t")[2],
        threads=int(fields[17]),
        ticks=user + system,
        waited=waited_user + waited_system,
        # gVisor and kernels before 4.5 do not tell memory from page cache.
        private=_kib(status, b"RssAnon" if b"\nRssAnon:" in status else b"VmRSS") + swap + huge + tables,
        shared=_kib(status, b"RssShmem"),
        room=max(0, _kib(status, b"VmSize") - _kib(status, b"VmData")),
    )


def private_share(process: Process) -> int:
    """Like `private`, but of a page that forked processes share only this one's part. Slow: milliseconds."""
    rollup = read(f"/proc/{process.pid}/smaps_rollup")
    if b"\nPss_Anon:" not in rollup:
        return process.private
    return _kib(rollup, b"Pss_Anon") + _kib(rollup, b"SwapPss")


def shared_anonymous(pids: Iterable[int]) -> int:
    """Bytes that shared anonymous mappings may hold. Their whole size: pages that `madvise` took out of
    the page table are still there, and no counter of the process shows them."""
    sizes: dict[tuple[int, int], int] = {}
    for pid in pids:
        own: dict[tuple[int, int], int] = {}
        for mapping in nameless(pid):
            if mapping.anonymous:
                key = (mapping.device, mapping.inode)
                own[key] = own.get(key, 0) + mapping.size
        sizes |= {key: max(size, sizes.get(key, 0)) for key, size in own.items()}
    return sum(sizes.values())


def nameless(pid: int) -> list[Mapping]:
    """Mappings of deleted files and of shared anonymous memory."""
    found = []
    for line in read(f"/proc/{pid}/maps", MAPS_BYTES).split(b"\n"):
        if not line.endswith(b" (deleted)"):
            continue
        span, _, _, device, inode, path = line.split(None, 5)
        low, _, high = span.partition(b"-")
        major, _, minor = device.partition(b":")
        found.append(
            Mapping(
                span=span.decode("ascii"),
                device=os.makedev(int(major, 16), int(minor, 16)),
                inode=int(inode),
                size=int(high, 16) - int(low, 16),
                anonymous=path in (b"/dev/zero (deleted)", b"/SYSV00000000 (deleted)"),
            )
        )
    return found


def _kib(text: bytes, key: bytes) -> int:
    """The bytes of a line `KEY:   123 kB`; 0 without one."""
    at = text.find(b"\n" + key + b":")
    if at < 0:
        return 0
    return int(text[at + len(key) + 2 : text.find(b" kB", at)]) * 1024
