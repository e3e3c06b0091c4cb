"""Owns the end of a server: a program of the standard library, which starts it and leaves nothing of it.

    python -I -S guardian.py LIFELINE COMMAND [ARGUMENT …]

LIFELINE is a socket whose other end only the host has, which is told the process id of the server. When the
host says something there or its end closes, however the host went, and when the server itself ends, all that
it has started is ended: asked first (SIGTERM), then not. The streams are the server's alone. The exit code is
that of the server, or 128 and the number of its signal.
"""

import os
import select
import signal
import sys
import time

ASK_S = 2.0
"""What is left of a server may take so long after SIGTERM."""
KILL_S = 10.0
LOOK_S = 0.01
CANNOT_START = 127
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


def main() -> int:
    lifeline, command = int(sys.argv[1]), sys.argv[2:]
    os.set_inheritable(lifeline, False)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    woken, wake = os.pipe()
    for pipe in (woken, wake):
        os.set_blocking(pipe, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    stops = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    asked: list[int] = []
    for number in stops:
        signal.signal(number, lambda number, frame: asked.append(number))
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    server = start(command)
    let_go_of_streams()
    try:
        os.write(lifeline, b"%d\n" % server)
    except OSError:
        pass  # The host is gone, as will be seen.
    code = None
    while code is None and not asked:
        ready, _, _ = select.select([lifeline, woken], [], [])
        if lifeline in ready:
            break
        drain(woken)
        code = reaped().get(server)
    codes = end(server)
    return status(codes.get(server) if code is None else code)


def start(command: list[str]) -> int:
    """The process id of the server, in a session and a group of its own."""
    guardian = os.getpid()
    server = os.fork()
    if server:
        return server
    try:
        os.setsid()
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != guardian:
            os._exit(CANNOT_START)
        for number in (signal.SIGPIPE, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        os.execvp(command[0], command)
    except BaseException as problem:
        os.write(2, f"cannot start {command[0]!r}: {problem}\n".encode("utf-8", "replace"))
    os._exit(CANNOT_START)


def let_go_of_streams() -> None:
    """So that the host sees their ends when the server is gone."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)


def end(server: int) -> dict[int, int]:
    """Ends the server and all that came of it. What it gave back of those that were reaped."""
    codes: dict[int, int] = {}
    for number, patience, again in ((signal.SIGTERM, ASK_S, False), (signal.SIGKILL, KILL_S, True)):
        until = time.monotonic() + patience
        told: set[int] = set()
        while True:
            codes.update(reaped())
            left = descendants() if has_proc() else in_group(server)
            if not left:
                return codes
            for process in left if again else left - told:
                tell(process, number)
            told |= left
            if time.monotonic() > until:
                break
            time.sleep(LOOK_S)
    return codes


def reaped() -> dict[int, int]:
    """Wait status of the children that have ended."""
    found: dict[int, int] = {}
    while True:
        try:
            process, state = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if not process:
            return found
        found[process] = state


def has_proc() -> bool:
    return os.path.exists("/proc/self/stat")


def in_group(server: int) -> set[int]:
    """Where there is no /proc: the group of the server, as the negative number that `kill` takes."""
    try:
        os.killpg(server, 0)
    except ProcessLookupError:
        return set()
    except PermissionError:
        pass
    return {-server}


def descendants() -> set[int]:
    """All living processes below this one. Those whose parent has ended are children of this one."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            parent, state = parent_of(name)
            if state not in ("Z", "X", ""):
                children.setdefault(parent, []).append(int(name))
    found: set[int] = set()
    more = [os.getpid()]
    while more:
        for child in children.get(more.pop(), ()):
            if child not in found:
                found.add(child)
                more.append(child)
    return found


def parent_of(name: str) -> tuple[int, str]:
    """The parent's process id, and the state; "": it is gone."""
    try:
        with open(f"/proc/{name}/stat", "rb") as opened:
            after = opened.read().rpartition(b")")[2].split()
        return int(after[1]), after[0].decode()
    except (OSError, IndexError, ValueError):
        return 0, ""


def tell(process: int, number: int) -> None:
    try:
        os.kill(process, number)
    except (ProcessLookupError, PermissionError):
        pass  # It is gone, or has become somebody else's.


def status(state: "int | None") -> int:
    if state is None:
        return 128 + signal.SIGKILL
    code = os.waitstatus_to_exitcode(state)
    return code if code >= 0 else 128 - code


def drain(pipe: int) -> None:
    try:
        while os.read(pipe, 4096):
            pass
    except BlockingIOError:
        pass


def prctl(option: int, value: int) -> None:
    """Where there is none the streams' ends tell a server that the host is gone."""
    if sys.platform != "linux":
        return
    try:
        import ctypes

        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
    except (ImportError, OSError, AttributeError):
        pass


if __name__ == "__main__":
    os._exit(main())
