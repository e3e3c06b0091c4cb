"""Owns the list of what a kernel may read besides its session's folders: the interpreter, its packages,
and what libraries look up about the machine. Never a home folder, an account or another process.

A library that finds a file with `stat` and then cannot open it may give up altogether (duckdb aborts on its
control group's files, `mimetypes` raises): where Landlock is the fence, such files have to be on the list.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import NamedTuple

PACKAGE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PACKAGE_FOLDERS = ("site-packages", "dist-packages")
STORES = ("/nix/store", "/gnu/store")
"""An interpreter from there has its libraries all over it; it is readable to all, and holds no secrets."""

OF_A_PREFIX = ("lib", "lib64", "pyvenv.cfg")
"""Not the prefix itself: the pip.conf of a virtual environment may hold passwords."""
OF_CONDA = (
    "share/zoneinfo",
    "share/locale",
    "share/mime",
    "fonts",
    "share/fonts",
    "etc/fonts",
    "ssl/openssl.cnf",
)
SYSTEM = (
    *("/usr/lib", "/usr/lib64", "/usr/local/lib", "/lib", "/lib64", "/etc/fonts", "/var/cache/fontconfig"),
    *(f"/usr/share/{name}" for name in ("zoneinfo", "fonts", "locale", "i18n", "mime", "misc")),
    "/usr/local/share/fonts",
    *(f"/etc/{name}" for name in ("ld.so.cache", "localtime", "timezone", "nsswitch.conf", "mime.types")),
    *(f"/etc/{name}" for name in ("hosts", "host.conf", "resolv.conf", "os-release", "debian_version")),
    *("/etc/ssl/openssl.cnf", "/etc/pki/tls/openssl.cnf"),
    *("/sys/devices/system/cpu", "/sys/devices/system/node", "/sys/kernel/mm/transparent_hugepage"),
)
DEVICES = ("/dev/random", "/dev/urandom")
"""Not /dev/zero: a shared mapping of it is memory whose size cannot be seen (`seccomp`)."""
PROC = (
    *(f"/proc/{name}" for name in ("cpuinfo", "meminfo", "stat", "loadavg", "uptime", "version")),
    *("/proc/filesystems", "/proc/sys/vm/overcommit_memory"),
    *("/proc/sys/kernel/osrelease", "/proc/sys/kernel/cap_last_cap"),
    *(f"/proc/self/{name}" for name in ("maps", "stat", "status", "statm", "cgroup", "limits", "io")),
    "/proc/self/smaps_rollup",
)
OF_A_CONTROL_GROUP = (
    *("cpu.max", "memory.max", "memory.high"),
    *("cpu.cfs_quota_us", "cpu.cfs_period_us", "memory.limit_in_bytes"),
)


class Interpreter(NamedTuple):
    """What decides where an interpreter imports from; `sys` has all of it under the same names."""

    executable: str
    prefix: str
    base_prefix: str
    path: tuple[str, ...]


def running() -> Interpreter:
    """The interpreter that runs this."""
    return Interpreter(sys.executable, sys.prefix, sys.base_prefix, tuple(sys.path))


def readable(interpreter: Interpreter) -> tuple[str, ...]:
    """Absolute paths, files and folders, that a kernel of this interpreter may read, each once.

    Some may not exist. `/proc/self` is that of whoever opens it.
    """
    prefixes = (interpreter.prefix, interpreter.base_prefix)
    stores = [
        store
        for store in STORES
        if any(os.path.realpath(prefix).startswith(store + os.sep) for prefix in prefixes)
    ]
    found = [
        *_links(interpreter.executable),
        *(os.path.join(prefix, name) for prefix in prefixes for name in (*OF_A_PREFIX, *OF_CONDA)),
        *stores,
        *filter(_holds_packages, interpreter.path),
        PACKAGE,
        *SYSTEM,
        *DEVICES,
        *PROC,
        *_control_groups(),
    ]
    return tuple(dict.fromkeys(map(os.path.abspath, found)))


def roots(interpreter: Interpreter, granted: Iterable[str] = ()) -> tuple[str, ...]:
    """Folders of `interpreter.path` that a kernel can import from, in their order.

    The root of a package in development is none of them, since nobody knows what else lies there, unless
    it is in one of the folders in `granted`.
    """
    libraries = tuple(
        os.path.join(prefix, lib) + os.sep
        for prefix in (interpreter.prefix, interpreter.base_prefix)
        for lib in ("lib", "lib64")
    )
    open_to_it = (*libraries, *(os.path.join(os.path.abspath(path), "") for path in granted))
    return tuple(
        entry
        for entry in interpreter.path
        if os.path.isdir(entry) and (_holds_packages(entry) or os.path.join(entry, "").startswith(open_to_it))
    )


def _holds_packages(entry: str) -> bool:
    return os.path.isabs(entry) and os.path.basename(entry.rstrip(os.sep)) in PACKAGE_FOLDERS


def _links(path: str) -> list[str]:
    """The path, what it is a link to, what that is a link to, and so on."""
    found = [path]
    while os.path.islink(path) and len(found) < 40:
        path = os.path.join(os.path.dirname(path), os.readlink(path))
        found.append(path)
    return [*found, os.path.realpath(path)]


def _control_groups() -> list[str]:
    """Files with the limits of our own control groups, version 1 and 2."""
    try:
        with open("/proc/self/cgroup", encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().splitlines()
    except OSError:
        return []
    folders = []
    for line in lines:
        _, controllers, group = line.split(":", 2)
        mounts = (controllers,) if controllers else ("", "unified")
        folders += [os.path.join("/sys/fs/cgroup", mount, group.lstrip("/")) for mount in mounts]
    return [os.path.join(folder, name) for folder in folders for name in OF_A_CONTROL_GROUP]
