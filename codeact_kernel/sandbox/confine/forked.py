"""Owns processes that go on as a fork of this one, where asked for in namespaces that bubblewrap has made.

Bubblewrap can only run a program. So it runs one that waits (`cat`), in the same namespaces as it would the
launcher, and the fork enters these: user, mounts, processes, network and the rest, as `nsenter` does.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import NamedTuple

from . import bwrap
from .policy import Policy

FAILED = 127
PR_SET_DUMPABLE = 4
SPACES = {
    "user": 0x10000000,
    "mnt": 0x00020000,
    "pid": 0x20000000,
    "net": 0x40000000,
    "ipc": 0x08000000,
    "uts": 0x04000000,
    "cgroup": 0x02000000,
}
"""Names in /proc/PID/ns, and flags of setns(2)."""


class Spaces(NamedTuple):
    """Namespaces to enter. `member`: descriptor of a process in them; `flags`: those that it does not share
    with this one."""

    member: int
    flags: int


def start(body: Callable[[], None], spaces: Spaces | None = None) -> int:
    """A child that runs `body` and ends; its pid. Raises OSError when `spaces` cannot be entered."""
    if spaces is not None:
        return _start_in(spaces, body)
    pid = os.fork()
    if pid == 0:
        _run(body)
    return pid


def hold(around: str, policy: Policy, output: int) -> Spaces:
    """The namespaces of a policy. They are there until this process ends, or kills its children.

    Args:
        around: bubblewrap.
        output: takes what that says when it fails.

    Raises:
        OSError: they are not to be had.
    """
    paths = [os.path.join(folder, "cat") for folder in os.get_exec_path() if os.path.isabs(folder)]
    cat = next((path for path in paths if os.access(path, os.X_OK)), "")
    if not cat:
        raise OSError("there is no `cat` on the path, which would keep the namespaces")
    command = bwrap.arguments(around, policy._replace(read=(*policy.read, cat)), [cat])
    read_in, write_in = os.pipe()
    read_out, write_out = os.pipe()
    try:
        ends = [(os.POSIX_SPAWN_DUP2, end, to) for end, to in ((read_in, 0), (write_out, 1), (output, 2))]
        pid = os.posix_spawn(command[0], command, dict(os.environ), file_actions=ends)
        os.close(write_out)
        write_out = -1
        os.write(write_in, b"\n")
        if not os.read(read_out, 1):
            raise OSError("bubblewrap has ended")  # Why, it has said itself.
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            inside = int(file.read().split()[0])
        own, its = _spaces_of(os.getpid()), _spaces_of(inside)
        flags = sum(flag for name, flag in SPACES.items() if own[name] != its[name])
        return Spaces(os.pidfd_open(inside), flags)
    except BaseException:
        os.close(write_in)
        raise
    finally:
        # `write_in` stays open: when it is closed, `cat` ends, and all that is in its namespaces.
        for descriptor in {read_in, read_out, write_out} - {-1}:
            os.close(descriptor)


def _spaces_of(pid: int) -> dict[str, str]:
    return {name: os.readlink(f"/proc/{pid}/ns/{name}") for name in SPACES}


def _start_in(spaces: Spaces, body: Callable[[], None]) -> int:
    """Only a child of whoever enters is in the namespace of processes: so a child of a child. It must not
    begin before it has become ours, or it would end with the one in between."""
    said, say = os.pipe()
    go, let_go = os.pipe()
    try:
        between = os.fork()
        if between == 0:
            os.close(let_go)
            _run(lambda: _enter(spaces, say, go, body))
        os.close(say)
        say = -1
        words = os.read(said, 1000).decode("utf-8", "replace")
        os.waitpid(between, 0)
        if not words.isdigit():
            raise OSError(f"the namespaces cannot be entered: {words or 'no word of who tried'}")
        os.write(let_go, b"\n")
        return int(words)
    finally:
        for descriptor in {said, say, go, let_go, spaces.member} - {-1}:
            os.close(descriptor)


def _enter(spaces: Spaces, say: int, go: int, body: Callable[[], None]) -> None:
    """In between: enters, starts the child, says its pid or what went wrong, and ends."""
    from .libc import call  # It takes 8 ms to import, which a supervisor that starts a program saves.

    try:
        call("setns", spaces.member, spaces.flags)
        # Who enters a user namespace is as hidden from itself as a program with privileges, files of its own
        # in /proc included. One that was executed there is not.
        call("prctl", PR_SET_DUMPABLE, 1, 0, 0, 0)
        pid = os.fork()
    except OSError as problem:
        os.write(say, str(problem).encode())
        return
    if pid == 0:
        os.close(say)
        if os.read(go, 1):
            body()
        return
    os.write(say, str(pid).encode())


def _run(body: Callable[[], None]) -> None:
    """`body`, and never back to the code that forked."""
    try:
        body()
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(FAILED)
