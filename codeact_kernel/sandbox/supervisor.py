"""Owns the small process between a Jupyter client and the sandbox kernel: starts, watches, cleans up.

Standard library only, and of this package only `sandbox.confine`, so that it starts fast. It stays
outside of the cage and outlives the kernel: whatever ends first (kernel, client, a signal), no process
of the session and no file of its folder stays behind. Run by path:

    supervisor.py -f CONNECTION_FILE [--python PATH] [-- KERNEL_OPTION…]

Environment it reads (all optional; a stock Jupyter sets none of them):
    CODEACT_PROFILE       what the kernel gets, as JSON (`confine.policy.Profile`)
    CODEACT_SESSION_DIR   folder of the session; removed when the client vanished
    CODEACT_LIFELINE_FD   a pipe whose other end only the client holds: end of file means it is gone
    CODEACT_CHANNEL_FD    the tool channel, passed on to the kernel
    CODEACT_REPORT        file to write the report of the cage to
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections import deque
from collections.abc import Callable

PACKAGE_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
if __name__ == "__main__":
    sys.path.append(PACKAGE_ROOT)

from codeact_kernel.sandbox.confine import cgroup, preparation, sessions  # noqa: E402  # once the path is set
from codeact_kernel.sandbox.confine.cgroup import Cgroup  # noqa: E402  # as above
from codeact_kernel.sandbox.confine.policy import Policy, Report  # noqa: E402  # as above
from codeact_kernel.sandbox.confine.start import Refused, end, start  # noqa: E402  # as above
from codeact_kernel.sandbox.confine.usage import children, look_at  # noqa: E402  # as above
from codeact_kernel.sandbox.confine.watch import Watch, size  # noqa: E402  # as above

TAIL_BYTES = 48 * 1024
TAIL_LETTERS = 12 * 1024  # Of four bytes at most: less than a pipe holds, so that writing it never blocks.
PR_SET_CHILD_SUBREAPER = 36
PARENT_CHECK_S = 1.0
REFUSED, LIMIT = 98, 97
"""Exit codes: there is no cage; the kernel went over a limit. One sentence on stderr says more."""
BY_GROUP = {"memory_bytes": "cgroup", "threads": "cgroup"}
ORDERLY = (0, 128 + signal.SIGKILL, 128 + signal.SIGTERM)


class Supervisor:
    """One kernel process, its output, and the end of both.

    `enter`: as in `start.Plan`. `tell`: takes the report of the cage.
    """

    def __init__(
        self,
        connection_file: str,
        python: str = "",
        arguments: tuple[str, ...] = (),
        *,
        enter: Callable[[Policy], None] | None = None,
        tell: Callable[[Report], None] = preparation.report,
    ) -> None:
        prepared = preparation.prepare(connection_file, python, arguments)
        self._prepared = prepared._replace(plan=prepared.plan._replace(enter=enter))
        self._tell = tell
        self._tail: deque[bytes] = deque()
        self._tail_size = 0
        self._parent = os.getppid()
        self._pid = 0
        self._watched: Watch | None = None
        self._group: Cgroup | None = None
        self._over = ""
        """Which limit the kernel went over."""

    def run(self) -> int:
        """Starts the kernel, waits for the first end of anything, returns an exit code."""
        client_gone = False
        try:
            self._start()
            client_gone = self._watch()
        except Refused as problem:
            self._tell(Report(problem=str(problem)))
            sys.stderr.write(f"{problem}\n")
            return REFUSED
        finally:
            code = self._stop()
            if self._group is not None:
                self._group.remove()
            if client_gone or self._prepared.owns_session:
                sessions.remove_tree(self._prepared.plan.session)
        if self._over:
            sys.stderr.write(f"{self._over}\n")
            return LIMIT
        if code not in ORDERLY:
            sys.stderr.write(printable(b"".join(self._tail))[-TAIL_LETTERS:])
        return code if code not in (REFUSED, LIMIT) else 1  # These are ours to say.

    def _start(self) -> None:
        subreaper()
        plan = self._prepared.plan
        profile = plan.profile
        if profile.sandbox == "none":
            self._pid, report = start(plan)
        else:
            group = cgroup.enter(profile.limits)
            if isinstance(group, Cgroup):
                self._group = group
                plan = plan._replace(group=group.procs)
            self._pid, report = start(plan)
            if self._group is not None:
                report = report._replace(limits=report.limits | BY_GROUP)
            folders = (plan.workspace, *(os.path.join(plan.session, name) for name in sessions.OWN))
            self._watched = Watch(self._pid, profile.limits, folders, profile.allow_fork)
        os.close(plan.output)
        for descriptor in (plan.channel, *plan.sockets.values()):
            if descriptor >= 0:
                os.close(descriptor)  # Only the kernel's end may keep it open.
        self._tell(report)
        if profile.sandbox == "none" and "CODEACT_REPORT" not in os.environ:  # Our own host says it itself.
            sys.stderr.write("codeact: this kernel runs WITHOUT a sandbox, with all rights of your user.\n")
            sys.stderr.flush()

    def _watch(self) -> bool:
        """Waits; True when it was the client that went away."""
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_read, False)
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: None)
        poll = select.poll()
        output, lifeline = self._prepared.plan.read_output, self._prepared.lifeline
        for descriptor in (output, wake_read, lifeline):
            if descriptor >= 0:
                poll.register(descriptor, select.POLLIN)
        if self._on_signals(b""):
            return False  # It ended before the handler was there.
        while True:
            ready = {fd for fd, _ in poll.poll(self._patience() * 1000)}
            if lifeline in ready or (lifeline < 0 and os.getppid() != self._parent):
                return True
            if output in ready and not self._drain():
                poll.unregister(output)
            if wake_read in ready and self._on_signals(os.read(wake_read, 1024)):
                return False
            if self._watched is not None:
                self._over = self._watched.look(time.monotonic()) or ""
                if self._over:
                    return False

    def _patience(self) -> float:
        """Seconds until somebody has to be looked at."""
        waits = [PARENT_CHECK_S] if self._prepared.lifeline < 0 else []
        waits += [self._watched.next_in] if self._watched is not None else []
        return min(waits, default=3600.0)

    def _on_signals(self, numbers: bytes) -> bool:
        """True when it is time to stop."""
        if signal.SIGINT in numbers:
            try:
                os.kill(self._kernel(), signal.SIGINT)
            except ProcessLookupError:
                pass  # It ends by itself.
        if signal.SIGTERM in numbers or signal.SIGHUP in numbers:
            return True
        # WNOWAIT: `_stop` reaps, and until then the pid cannot become somebody else's.
        return os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def _kernel(self) -> int:
        """The kernel itself, inside the processes of bubblewrap, which would die of a signal."""
        pid = self._pid
        while (process := look_at(pid)) and process.name == b"bwrap" and (below := children(pid)):
            pid = below[0]
        return pid

    def _drain(self) -> bool:
        data = os.read(self._prepared.plan.read_output, 65536)
        self._tail.append(data)
        self._tail_size += len(data)
        while self._tail_size - len(self._tail[0]) > TAIL_BYTES:
            self._tail_size -= len(self._tail.popleft())
        if self._tail_size > TAIL_BYTES:
            only = self._tail[0][self._tail_size - TAIL_BYTES :]
            self._tail_size -= len(self._tail[0]) - len(only)
            self._tail[0] = only
        return bool(data)

    def _stop(self) -> int:
        """Kills what is left of the session; the kernel's exit code, 128 + N for signal N."""
        if self._pid == 0:
            return 1
        status = end(self._pid)
        if self._group is not None:
            self._group.kill()
            if self._group.oom_killed():
                self._over = f"out of memory (limit {size(self._prepared.plan.profile.limits.memory_bytes)})"
        # As a subreaper, this process inherits whatever the kernel left running.
        while left := children(os.getpid()):
            for pid in left:
                try:
                    end(pid)
                except ChildProcessError:
                    pass
        poll = select.poll()
        poll.register(self._prepared.plan.read_output, select.POLLIN)
        while poll.poll(0) and self._drain():
            pass
        code = os.waitstatus_to_exitcode(status)
        return code if code >= 0 else 128 - code


def printable(output: bytes) -> str:
    """For a terminal, or a server's log: what the kernel wrote, without the power to control either."""
    text = output.decode("utf-8", "replace")
    return "".join(
        sign if sign.isprintable() or sign in "\n\t" else "\N{REPLACEMENT CHARACTER}" for sign in text
    )


def subreaper() -> None:
    """Orphans of the session come to this process."""
    if sys.platform != "linux":
        return
    import ctypes  # Only now: it takes 8 ms, and whoever only asks for help does not need it.

    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def main(argv: list[str]) -> int:
    """Entry point of the kernelspec `codeact-python`."""
    options: list[str] = argv
    arguments: tuple[str, ...] = ()
    if "--" in argv:
        at = argv.index("--")
        options, arguments = argv[:at], tuple(argv[at + 1 :])
    match options:
        case ["-f", connection_file]:
            python = ""
        case ["-f", connection_file, "--python", python]:
            pass
        case _:
            sys.stderr.write(
                "usage: supervisor.py -f CONNECTION_FILE (Jupyter starts this; see `codeact --help`)\n"
            )
            return 2
    try:
        supervisor = Supervisor(connection_file, python, arguments)
    except (OSError, ValueError) as problem:
        sys.stderr.write(f"the sandbox kernel cannot be prepared: {problem}\n")
        return REFUSED
    return supervisor.run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
