"""Owns Landlock: which paths the kernel process may open, and how, from now on and for good.

Raw system calls; their numbers are the same on every architecture. Nothing may be executed, no device
controlled, no TCP port bound or connected to; since ABI 6 no process outside can be signalled and no
abstract socket outside connected to. What ABI 9 and 10 add (socket paths, UDP) the system-call filter
denies on every Linux, so the rights of ABI 8 are the newest that are named here.
Source: https://docs.kernel.org/userspace-api/landlock.html
"""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Iterable

from .libc import call

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
CREATE_RULESET_VERSION = 1
RULE_PATH_BENEATH = 1
LOG_SAME_EXEC_OFF = 1
"""Denials are frequent here; they must not fill the audit log of the host."""

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, REMOVE_DIR, REMOVE_FILE = (1 << bit for bit in range(6))
MAKE_CHAR, MAKE_DIR, MAKE_REG, MAKE_SOCK, MAKE_FIFO, MAKE_BLOCK, MAKE_SYM = (1 << bit for bit in range(6, 13))
REFER, TRUNCATE, IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
FILE_RIGHTS = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
"""What can be allowed on something that is no folder; more is EINVAL."""
READ = READ_FILE | READ_DIR
WRITE = READ | WRITE_FILE | TRUNCATE | MAKE_DIR | MAKE_REG | REMOVE_FILE | REMOVE_DIR | REFER
RIGHTS_SINCE = {1: (1 << 13) - 1, 2: REFER, 3: TRUNCATE, 5: IOCTL_DEV}
TCP_SINCE, SCOPES_SINCE, LOG_FLAGS_SINCE = 4, 6, 7
BIND_AND_CONNECT_TCP = 0b11
ABSTRACT_SOCKETS_AND_SIGNALS = 0b11


class RulesetAttr(ctypes.Structure):
    """`struct landlock_ruleset_attr`. An older kernel takes the longer one when the rest is zero."""

    _fields_ = (
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class PathBeneathAttr(ctypes.Structure):
    """`struct landlock_path_beneath_attr`."""

    _pack_ = 1
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


def abi() -> int:
    """Version of Landlock that the running kernel speaks; 0 where there is none, or a filter hides it."""
    try:
        return call("syscall", CREATE_RULESET, None, 0, CREATE_RULESET_VERSION)
    except OSError:
        return 0


def restrict(
    read: Iterable[str], write: Iterable[str], devices: Iterable[str] = ("/dev/null",), *, version: int = 0
) -> int:
    """Confines the calling thread and what it will start. Needs `no_new_privs`.

    Args:
        read: files and folders to read, with all below them. One that is not there is passed over.
        write: files and folders to read and write; no links, sockets, pipes or devices can be made in them.
        devices: files to read and write.
        version: ABI to keep to; 0: that of the running kernel.

    Returns:
        The ABI in use.

    Raises:
        OSError: nothing is confined, and the caller must not go on.
    """
    version = version or abi()
    if version < 1:
        raise OSError("Landlock is not there: needs Linux 5.13 with `landlock` in its list of LSMs (lsm=...)")
    rights = sum(bits for since, bits in RIGHTS_SINCE.items() if version >= since)
    ruleset = _create(version, rights)
    try:
        for path in read:
            _allow(ruleset, path, READ, may_miss=True)
        for path in (*write, *devices):
            _allow(ruleset, path, WRITE & rights)
        flags = LOG_SAME_EXEC_OFF if version >= LOG_FLAGS_SINCE else 0
        _step(f"apply the rules (ABI {version})", "syscall", RESTRICT_SELF, ruleset, flags)
    finally:
        os.close(ruleset)
    return version


def _create(version: int, rights: int) -> int:
    attributes = RulesetAttr(
        rights,
        BIND_AND_CONNECT_TCP if version >= TCP_SINCE else 0,
        ABSTRACT_SOCKETS_AND_SIGNALS if version >= SCOPES_SINCE else 0,
    )
    size = ctypes.sizeof(attributes)
    return _step(f"make rules (ABI {version})", "syscall", CREATE_RULESET, ctypes.byref(attributes), size, 0)


def _allow(ruleset: int, path: str, rights: int, *, may_miss: bool = False) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        if may_miss:
            return  # Not to be had without rules either.
        raise
    try:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            rights &= FILE_RIGHTS
        rule = PathBeneathAttr(rights, descriptor)
        _step(f"allow {path!r}", "syscall", ADD_RULE, ruleset, RULE_PATH_BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(descriptor)


def _step(what: str, name: str, *args: object) -> int:
    try:
        return call(name, *args)
    except OSError as problem:
        number = problem.errno or 0
        raise OSError(
            number,
            f"Landlock could not {what}: {os.strerror(number)}; run `codeact doctor`, "
            "or do without this layer (without=['landlock'])",
        ) from problem
