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


class Holder(NamedTuple):
    """A bubblewrap whose namespaces are there until this process ends, or kills its children. `ready`: a
    descriptor that brings a byte when they are there, and nothing when they are not to be had. `keep`: one at
    whose end `cat` ends, and all that is in there."""

    pid: int
    ready: int
    keep: int


def start(body: Callable[[], None], holder: Holder | None = None) -> int:
    """A child that runs `body` and ends, in the namespaces of `holder` where there is one; its pid.

    Raises OSError when these cannot be entered.
    """
    if holder is not None:
        return _start_in(holder, body)
    pid = os.fork()
    if pid == 0:
        _run(body)
    return pid


def hold(around: str, policy: Policy, output: int) -> Holder:
    """Begins to make the namespaces of a policy. Raises OSError.

    Args:
        around: bubblewrap.
        output: takes what that says when it fails.
    """
    paths = [os.path.join(folder, "cat") for folder in os.get_exec_path() if os.path.isabs(folder)]
    cat = next((path for path in paths if os.access(path, os.X_OK)), "")
    if not cat:
        raise OSError("there is no `cat` on the path, which would keep the namespaces")
    command = bwrap.arguments(around, policy._replace(read=(*policy.read, cat)), [cat])
    read_in, write_in = os.pipe()
    read_out, write_out = os.pipe()
    ends = [(os.POSIX_SPAWN_DUP2, end, to) for end, to in ((read_in, 0), (write_out, 1), (output, 2))]
    try:
        pid = os.posix_spawn(command[0], command, dict(os.environ), file_actions=ends)
        os.write(write_in, b"\n")
    except BaseException:
        os.close(write_in)
        os.close(read_out)
        raise
    finally:
        os.close(read_in)
        os.close(write_out)
    return Holder(pid, read_out, write_in)


def _start_in(holder: Holder, body: Callable[[], None]) -> int:
    """Only a child of whoever enters is in the namespace of processes: so a child of a child. It must not
    begin before it has become ours, or it would end with the one in between."""
    said, say = os.pipe()
    go, let_go = os.pipe()
    told, tell = os.pipe()
    between = os.fork()  # While bubblewrap is at work: it takes a while with much memory.
    if between == 0:
        for descriptor in (said, let_go, tell):
            os.close(descriptor)
        _run(lambda: _enter(told, say, go, body))
    for descriptor in (say, go, told):
        os.close(descriptor)
    try:
        try:
            os.write(tell, _inside(holder).encode())
        finally:
            os.close(tell)
            words = os.read(said, 1000).decode("utf-8", "replace")
            os.waitpid(between, 0)
        if not words.isdigit():
            raise OSError(f"the namespaces cannot be entered: {words or 'no word of who tried'}")
        os.write(let_go, b"\n")
        return int(words)
    finally:
        os.close(said)
        os.close(let_go)


def _inside(holder: Holder) -> str:
    """The pid of a process in the namespaces, once they are there, and flags of those it does not share with
    us. Raises OSError."""
    try:
        ready = os.read(holder.ready, 1)
    finally:
        os.close(holder.ready)
    if not ready:
        raise OSError("bubblewrap has ended")  # Why, it has said itself.
    with open(f"/proc/{holder.pid}/task/{holder.pid}/children", encoding="ascii") as file:
        pid = int(file.read().split()[0])
    flags = sum(
        flag
        for name, flag in SPACES.items()
        if os.readlink(f"/proc/self/ns/{name}") != os.readlink(f"/proc/{pid}/ns/{name}")
    )
    return f"{pid} {flags}"


def _enter(told: int, say: int, go: int, body: Callable[[], None]) -> None:
    """In between: enters, starts the child, says its pid or what went wrong, and ends."""
    from .libc import call  # It takes 8 ms to import, which a supervisor that starts a program saves.

    if not (words := os.read(told, 100).split()):
        return  # They are not to be had.
    try:
        call("setns", os.pidfd_open(int(words[0])), int(words[1]))
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
