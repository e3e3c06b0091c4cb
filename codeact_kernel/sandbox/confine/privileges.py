"""Owns what the launcher gives up for good: descriptors, resources, capabilities, a life of its own.

Linux, as root or as an ordinary user. Each function raises OSError when the system refuses.
"""

from __future__ import annotations

import ctypes
import math
import os
import resource
import signal
import sys
from collections.abc import Iterable

from .libc import call
from .policy import MIB, Bounds

PR_SET_PDEATHSIG = 1
PR_CAPBSET_READ = 23
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38
PR_GET_NO_NEW_PRIVS = 39
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4
CAPABILITY_VERSION_3 = 0x20080522

RESERVED = 8192 * MIB
"""Address space for code, mapped files, and what is set aside and not used: RLIMIT_DATA counts none of it."""
SIGNALS_QUEUED = 64
WATCHDOG_S = 10
"""Seconds of processor time that the watchdog is given to stop a kernel and say why; then Linux does."""
REAPERS = 4
"""Processes of bubblewrap in the sandbox."""
STORM = 16_384
"""Processes and threads that a user may have besides, where Linux counts them all together: a session that
starts threads faster than the watchdog looks leaves the others of the machine some process ids."""

Words = ctypes.c_uint32 * 6
"""Effective, permitted, inheritable capabilities 0-31, then 32-63."""


def close_descriptors(keep: Iterable[int]) -> None:
    """Closes every descriptor but standard input, output, error and those in `keep`."""
    kept = {0, 1, 2, *keep}
    for descriptor in {
        int(name) for name in os.listdir("/proc/self/fd" if sys.platform == "linux" else "/dev/fd")
    } - kept:
        try:
            os.close(descriptor)
        except OSError:
            pass  # The one that the listing itself had open.


def set_limits(bounds: Bounds, *, own_user_namespace: bool = False) -> tuple[str, ...]:
    """Sets the resource limits, hard and soft alike; never above those in force.

    The number of threads is only limited in a user namespace of one's own and for users other than root:
    anywhere else the kernel counts all processes of the user, and none of root's.

    Returns:
        Names of the fields of `bounds` that the kernel enforces from now on.
    """
    data = bounds.memory_bytes  # 116 MiB of it are in use at the start, 280 with pandas and matplotlib.
    limits = {
        "memory_bytes": (resource.RLIMIT_DATA, data),
        "": (resource.RLIMIT_AS, data + RESERVED),
        "file_bytes": (resource.RLIMIT_FSIZE, bounds.file_bytes),
        "open_files": (resource.RLIMIT_NOFILE, bounds.open_files),
    }
    if own_user_namespace and not _is_root_outside():
        limits["threads"] = (resource.RLIMIT_NPROC, bounds.threads + REAPERS)
    elif os.getuid() != 0:
        _limit(resource.RLIMIT_NPROC, bounds.threads + STORM)
    for kind, most in limits.values():
        _limit(kind, most)
    _limit(resource.RLIMIT_CORE, 1)  # With 0, a core file may still be piped to a program of root's.
    for kind in (
        resource.RLIMIT_MEMLOCK,
        resource.RLIMIT_MSGQUEUE,
        resource.RLIMIT_NICE,
        resource.RLIMIT_RTPRIO,
    ):
        _limit(kind, 0)
    _limit(resource.RLIMIT_SIGPENDING, SIGNALS_QUEUED)
    if bounds.cpu_seconds is not None:
        _limit(resource.RLIMIT_CPU, math.ceil(bounds.cpu_seconds) + WATCHDOG_S)
    return tuple(filter(None, limits))


def _limit(kind: int, most: int) -> None:
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(kind, (most, most))


def _is_root_outside() -> bool:
    """Whether our user is root in the namespace around ours."""
    with open("/proc/self/uid_map", encoding="ascii") as file:
        for line in file:
            inside, outside, count = map(int, line.split())
            if inside <= os.getuid() < inside + count:
                return outside + os.getuid() - inside == 0
    return False


def drop_capabilities() -> None:
    """Gives up all capabilities, in every set, and looks whether they are gone.

    The bounding set can only be emptied by who has CAP_SETPCAP; for others it means nothing together with
    `no_new_privileges`.
    """
    call("prctl", PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    for number in range(64):
        try:
            call("prctl", PR_CAPBSET_READ, number, 0, 0, 0)
        except OSError:
            break  # The kernel knows no more of them.
        try:
            call("prctl", PR_CAPBSET_DROP, number, 0, 0, 0)
        except PermissionError:
            break
    call("capset", _capability_header(), Words())
    left = capabilities()
    if left:
        raise OSError(f"capabilities {left:#x} are still there after they were dropped; run `codeact doctor`")


def capabilities() -> int:
    """Those in the effective, permitted or inheritable set, as a bit mask."""
    found = 0
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith(("CapInh:", "CapPrm:", "CapEff:")):
                found |= int(line.split()[1], 16)
    return found


def _capability_header() -> ctypes.Array[ctypes.c_uint32]:
    return (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)


def no_new_privileges() -> None:
    """From now on no program that is executed can have more rights than this process."""
    call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def has_no_new_privileges() -> bool:
    """Whether `no_new_privileges` is in force."""
    return call("prctl", PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1


def die_with_parent(expected: int) -> None:
    """Has the kernel kill this process when the thread that started it ends.

    Args:
        expected: process id of the parent; 0 where it cannot be seen (a pid namespace).

    Raises:
        ProcessLookupError: the parent has ended already.
    """
    call("prctl", PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if expected and os.getppid() != expected:
        raise ProcessLookupError(
            f"process {expected} that started this one has ended: nobody waits for a kernel"
        )


def private_files() -> None:
    """What is made from now on belongs to this user alone."""
    os.umask(0o077)
