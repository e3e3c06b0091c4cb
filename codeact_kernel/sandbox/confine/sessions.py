"""Owns the folders of sessions by name: who made one, whether that process still lives, and their end.

codeact-<pid namespace>-<pid>-<random>/
    rt-N/   of the host: connection file, sockets and report of the N-th kernel
    canary  of the host: what a kernel must not be able to read
    home/ tmp/   of the kernel
    work/   the workspace, unless the user named one
"""

from __future__ import annotations

import os
import re

_NAME = re.compile(r"codeact-(\d+)-(\d+)-\w+")
OWN = ("home", "tmp")
"""Folders of the kernel that are new for each one: what action code planted meets no other kernel."""


def namespace() -> str:
    """Of process ids: another container may share our temporary folder, but not our pids."""
    try:
        return str(os.stat("/proc/self/ns/pid").st_ino)
    except OSError:
        return "0"


def make(base: str) -> str:
    """A new session folder in `base`, for this process. Raises OSError."""
    path = os.path.join(base, f"codeact-{namespace()}-{os.getpid()}-{os.urandom(6).hex()}")
    os.mkdir(path, 0o700)
    return path


def sweep(base: str) -> None:
    """Removes what sessions left in `base` whose host and supervisor were both killed. Never raises."""
    ours = namespace()
    try:
        names = os.listdir(base)
    except OSError:
        return
    for name in names:
        found = _NAME.fullmatch(name)
        path = os.path.join(base, name)
        if found is None or found[1] != ours or os.path.islink(path) or os.path.exists(f"/proc/{found[2]}"):
            continue
        try:
            if os.lstat(path).st_uid == os.geteuid():
                remove_tree(path)
        except FileNotFoundError:
            continue  # Another session sweeps too.


def remove_tree(path: str) -> None:
    """Removes a folder that hostile code has filled: any depth, any permissions. Never raises."""
    for command in (
        ["rm", "-rf", "--", path],
        ["chmod", "-R", "u+rwX", "--", path],
        ["rm", "-rf", "--", path],
    ):
        if not os.path.lexists(path):
            return
        quiet = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in range(3)]
        try:
            pid = os.posix_spawnp(command[0], command, os.environ, file_actions=quiet)
            os.waitpid(pid, 0)
        except OSError:
            return  # No `rm` on the path: nothing that can be done here.
