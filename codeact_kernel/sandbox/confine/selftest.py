"""Owns the proof that the cage is shut: tries, from inside, what must not work.

It runs in the confined launcher, before any code of the kernel, in about a millisecond. Nothing it tries
leaves a trace when it succeeds.
"""

from __future__ import annotations

import errno
import mmap
import os
import socket
from collections.abc import Callable

from . import privileges
from .libc import call
from .policy import MIB, Policy

HELD = "held"
ALLOWED = "allowed"
DENIED = (errno.EPERM, errno.EACCES)
HIDDEN = (*DENIED, errno.ENOENT, errno.EROFS)
"""In a mount namespace a path of the host is not there, and one that is there cannot be written."""
CLONE3 = 435
PTRACE_SEIZE = 0x4206
NO_PROCESS = 1 << 30
"""Above the highest process id of any Linux."""
MISSING_PROGRAM = "/codeact-selftest"
MAP_NORESERVE = 0x4000
"""So that it is the limit which says no, and not the size of the machine."""


def selftest(policy: Policy) -> dict[str, str]:
    """What was tried, and "held", "allowed" (the policy permits it) or what happened instead."""
    hidden = HIDDEN if policy.namespaces else DENIED
    return {
        "read": _try(lambda: _open(policy.canary, os.O_RDONLY), hidden),
        "write": _try(lambda: _open(policy.canary, os.O_WRONLY), hidden),
        "create": _try(lambda: _make(policy.canary + ".new"), hidden),
        "network": _try(lambda: _socket(socket.AF_INET), DENIED),
        "unix socket": _try(lambda: _socket(socket.AF_UNIX), DENIED),
        "exec": _try(lambda: os.execv(MISSING_PROGRAM, [MISSING_PROGRAM]), DENIED),
        "fork": ALLOWED if policy.fork else _try(_fork, DENIED),
        "clone3": _try(lambda: call("syscall", CLONE3, None, 0), (errno.ENOSYS, *DENIED)),
        # With processes of its own, a kernel may signal any it sees; in a pid namespace all are its own.
        "signal": ALLOWED
        if policy.fork and policy.namespaces
        else _try(lambda: os.kill(policy.parent or 1, 0), DENIED),
        "ptrace": _try(lambda: call("ptrace", PTRACE_SEIZE, NO_PROCESS, None, None), DENIED),
        "memory": _try(lambda: _map(_data_bytes(policy), mmap.MAP_PRIVATE), (errno.ENOMEM,)),
        "shared memory": _try(lambda: _map(mmap.PAGESIZE, mmap.MAP_SHARED), DENIED),
        "new privileges": HELD if privileges.has_no_new_privileges() else "not held: no_new_privs is not set",
        "capabilities": HELD if not privileges.capabilities() else "not held: some are left",
    }


def _try(attempt: Callable[[], object], denials: tuple[int, ...]) -> str:
    try:
        attempt()
    except OSError as problem:
        return HELD if problem.errno in denials else f"not held: it got as far as {problem.strerror!r}"
    return "not held: it worked"


def _open(path: str, flags: int) -> None:
    os.close(os.open(path, flags))


def _make(path: str) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    os.unlink(path)


def _socket(family: int) -> None:
    socket.socket(family, socket.SOCK_STREAM).close()


def _fork() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def _data_bytes(policy: Policy) -> int:
    return policy.limits.memory_bytes + MIB


def _map(size: int, kind: int) -> None:
    mmap.mmap(-1, size, kind | mmap.MAP_ANONYMOUS | MAP_NORESERVE).close()
