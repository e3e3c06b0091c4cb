"""Owns reading, from outside, what the processes of a session use: memory, threads, processor time.

Everything comes from /proc and may vanish while it is read: then it counts as nothing, and nothing is raised.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from typing import NamedTuple

PROCESSES = 4096
"""Looked at, at most: far beyond any limit on threads, and still quick."""
MAPS_BYTES = 8 * 1024 * 1024
"""As much of a list of mappings as is read. The kernel allows 65,530 of them, which take 3 MiB when they are
of memory; a longer list is made on purpose."""
DELETED = b" (deleted)\n"
SURE_S = 0.002
PF_EXITING = 0x4
SIGKILL_PENDING = 1 << 8
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Process(NamedTuple):
    """One process.

    `started`: tells a reused pid apart. `ticks`: processor time of its own, `waited`: of children it has
    reaped, both in 1 / `TICKS_PER_S` seconds. `private`: bytes only it can give back, swapped or not.
    `shared`: bytes of shared anonymous memory it has touched. `room`: bytes of address space that
    could hold more of that, unseen. `headless`: its main thread has ended and others go on, so that nothing
    of the above can be seen any more but `threads` and `ticks`.
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
    headless: bool


class Mapping(NamedTuple):
    """All mappings in one process of something that has no name any more. `span`: the address range of the
    first as /proc writes it. `size`: of all together. `path`: what it was called."""

    span: str
    device: int
    inode: int
    size: int
    path: bytes

    @property
    def anonymous(self) -> bool:
        return self.path in (b"/dev/zero", b"/SYSV00000000")


class Nameless(NamedTuple):
    """Of one process. `whole`: False when its list of mappings is longer than what is read of it."""

    mappings: list[Mapping]
    whole: bool


class Shared(NamedTuple):
    """Shared anonymous memory of several processes. `whole`: as in `Nameless`, of all of them."""

    bytes: int
    whole: bool


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
    threads = int(fields[17])
    return Process(
        pid=pid,
        started=int(fields[19]),
        name=status[: status.find(b"\n")].partition(b"\t")[2],
        threads=threads,
        ticks=user + system,
        waited=waited_user + waited_system,
        # gVisor and kernels before 4.5 do not tell memory from page cache.
        private=_kib(status, b"RssAnon" if b"\nRssAnon:" in status else b"VmRSS") + swap + huge + tables,
        shared=_kib(status, b"RssShmem"),
        room=max(0, _kib(status, b"VmSize") - _kib(status, b"VmData")),
        headless=fields[0] == b"Z" and threads > 1 and _others_go_on(pid),
    )


def clocks(pids: Iterable[int]) -> tuple[int, ...] | None:
    """Nanoseconds of processor time that each process has used, its threads that have ended included. None
    when one of them cannot be had.

    Exact: who has the same twice did not run in between. Only what runs at this very moment may show no
    earlier than with the next tick of the system's clock. Source: clock_getcpuclockid(3), CPUCLOCK_SCHED.
    """
    try:
        return tuple(time.clock_gettime_ns(~pid << 3 | 2) for pid in pids)
    except OSError:
        return None


def _others_go_on(pid: int) -> bool:
    """Whether threads of a process go on without the first: looked at twice, as in one that is killed or
    exits each thread is for a moment neither marked nor gone."""
    if not _goes_on(pid):
        return False
    time.sleep(SURE_S)
    return _goes_on(pid)


def _goes_on(pid: int) -> bool:
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return False
    for thread in threads:
        fields = read(f"/proc/{pid}/task/{thread}/stat").rpartition(b")")[2].split()
        if len(fields) < 7 or fields[0] in b"ZX" or int(fields[6]) & PF_EXITING:
            continue
        _, _, pending = read(f"/proc/{pid}/task/{thread}/status").partition(b"\nSigPnd:")
        if pending and not int(pending.split(None, 1)[0], 16) & SIGKILL_PENDING:
            return True
    return False


def private_share(process: Process) -> int:
    """Like `private`, but of a page that forked processes share only this one's part. Slow: milliseconds."""
    rollup = read(f"/proc/{process.pid}/smaps_rollup")
    if b"\nPss_Anon:" not in rollup:
        return process.private
    return _kib(rollup, b"Pss_Anon") + _kib(rollup, b"SwapPss")


def shared_anonymous(pids: Iterable[int]) -> Shared:
    """What shared anonymous mappings may hold. Their whole size: pages that `madvise` took out of
    the page table are still there, and no counter of the process shows them."""
    sizes: dict[tuple[int, int], int] = {}
    whole = True
    for pid in pids:
        found = nameless(pid)
        whole = whole and found.whole
        for mapping in found.mappings:
            if mapping.anonymous:
                key = (mapping.device, mapping.inode)
                sizes[key] = max(mapping.size, sizes.get(key, 0))
    return Shared(sum(sizes.values()), whole)


def nameless(pid: int) -> Nameless:
    """Mappings of deleted files and of shared anonymous memory, by what is mapped."""
    text = read(f"/proc/{pid}/maps", MAPS_BYTES)
    spans: dict[tuple[bytes, bytes], tuple[bytes, bytes]] = {}
    sizes: dict[tuple[bytes, bytes], int] = {}
    end = -1
    # There may be tens of thousands: nothing is done for the others, and little for each.
    while (end := text.find(DELETED, end + 1)) >= 0:
        span, _, _, device, inode, path = text[text.rfind(b"\n", 0, end) + 1 : end].split(None, 5)
        low, _, high = span.partition(b"-")
        key = (device, inode)
        spans.setdefault(key, (span, path))
        sizes[key] = sizes.get(key, 0) + int(high, 16) - int(low, 16)
    mappings = [
        Mapping(span.decode("ascii"), _device(device), int(inode), sizes[(device, inode)], path)
        for (device, inode), (span, path) in spans.items()
    ]
    return Nameless(mappings, len(text) < MAPS_BYTES)


def _device(text: bytes) -> int:
    major, _, minor = text.partition(b":")
    return os.makedev(int(major, 16), int(minor, 16))


def _kib(text: bytes, key: bytes) -> int:
    """The bytes of a line `KEY:   123 kB`; 0 without one."""
    at = text.find(b"\n" + key + b":")
    if at < 0:
        return 0
    return int(text[at + len(key) + 2 : text.find(b" kB", at)]) * 1024
