"""Owns the small process between a Jupyter client and the sandbox kernel: starts, watches, cleans up.

Standard library only, and no import of this package, so that it can be started by path, fast. It
outlives the kernel: whatever ends first (kernel, client, a signal), no process of the session and
no file of its folder stays behind. Run as `supervisor.py -f CONNECTION_FILE`.

Environment it reads (all optional; a stock Jupyter sets none of them):
    CODEACT_SESSION_DIR   folder of the session; removed when the client vanished
    CODEACT_LIFELINE_FD   a pipe whose other end only the client holds: end of file means it is gone
    CODEACT_CHANNEL_FD    the tool channel, passed on to the kernel
    CODEACT_WORKSPACE     working folder of the kernel; default: `work` in the session folder
    CODEACT_ENV           names of variables, comma separated, that are passed on besides LANG and its like
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import tempfile
from collections import deque

PASSED_ON = ("LANG", "LC_ALL", "LC_CTYPE", "TZ")
TAIL_BYTES = 48 * 1024  # Less than a pipe holds, so that writing it never blocks.
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
PARENT_CHECK_MS = 1000
PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PACKAGE_ROOT = os.path.dirname(PACKAGE)
KERNEL = os.path.join(PACKAGE, "in_kernel", "__main__.py")


def remove_tree(path: str) -> None:
    """Removes a folder that hostile code has filled: any depth, any permissions. Never raises."""
    for command in (
        ["rm", "-rf", "--", path],
        ["chmod", "-R", "u+rwX", "--", path],
        ["rm", "-rf", "--", path],
    ):
        if not os.path.lexists(path):
            return
        subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )


def prctl(option: int, value: int) -> None:
    """`prctl(2)`; Linux only, and only for options that may fail silently."""
    if sys.platform != "linux":
        return
    import ctypes  # 8 ms: after the fork, where it runs beside the start of the kernel

    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def kernel_environment(session: str, host: dict[str, str]) -> dict[str, str]:
    """The whole environment of the kernel, made from an allow-list."""
    names = (*PASSED_ON, *filter(None, host.get("CODEACT_ENV", "").split(",")))
    home = os.path.join(session, "home")
    env = {name: host[name] for name in names if name in host}
    env.setdefault("LANG", "C.UTF-8")
    env |= {
        "PATH": "/usr/bin:/bin",
        "USER": "sandbox",
        "LOGNAME": "sandbox",
        "HOME": home,
        "TMPDIR": os.path.join(session, "tmp"),
        "IPYTHONDIR": os.path.join(home, "ipython"),
        "JUPYTER_CONFIG_DIR": os.path.join(home, "jupyter"),
        "MPLCONFIGDIR": os.path.join(home, "matplotlib"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }
    if "CODEACT_CHANNEL_FD" in host:
        env["CODEACT_CHANNEL_FD"] = host["CODEACT_CHANNEL_FD"]
    return env


class Supervisor:
    """One kernel process, its output, and the end of both."""

    def __init__(self, connection_file: str) -> None:
        self._connection_file = os.path.abspath(connection_file)
        given = os.environ.get("CODEACT_SESSION_DIR")
        self._session = given or tempfile.mkdtemp(prefix="codeact-")
        self._owns_session = given is None
        self._tail: deque[bytes] = deque()
        self._tail_size = 0
        self._parent = os.getppid()
        self._pid = 0
        self._output = -1

    def run(self) -> int:
        """Starts the kernel, waits for the first end of anything, returns an exit code."""
        client_gone = False
        try:
            self._start()
            client_gone = self._watch()
        finally:
            code = self._stop()
            if client_gone or self._owns_session:
                remove_tree(self._session)
        if code not in (0, 128 + signal.SIGKILL, 128 + signal.SIGTERM):
            os.write(2, b"".join(self._tail))
        return code

    def _start(self) -> None:
        workspace = os.environ.get("CODEACT_WORKSPACE") or os.path.join(self._session, "work")
        for folder in (workspace, os.path.join(self._session, "home"), os.path.join(self._session, "tmp")):
            os.makedirs(folder, mode=0o700, exist_ok=True)
        self._output, write_end = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                self._become_kernel(workspace, write_end)
            finally:
                os._exit(127)
        os.close(write_end)
        if "CODEACT_CHANNEL_FD" in os.environ:
            os.close(int(os.environ["CODEACT_CHANNEL_FD"]))  # Only the kernel's end may keep it open.
        prctl(PR_SET_CHILD_SUBREAPER, 1)

    def _become_kernel(self, workspace: str, output: int) -> None:
        supervisor = os.getppid()
        os.setsid()
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != supervisor:
            os._exit(1)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        channel = int(os.environ.get("CODEACT_CHANNEL_FD", "-1"))
        keep = sorted({0, 1, 2, channel} - {-1})
        for low, high in zip(keep, [*keep[1:], 65536], strict=True):
            os.closerange(low + 1, high)
        if channel >= 0:
            os.set_inheritable(channel, True)
        os.chdir(workspace)
        # What this interpreter imports from, and `-I` would not: user site-packages, mostly.
        roots = [*filter(os.path.isabs, sys.path), PACKAGE_ROOT]
        paths = [arg for root in roots if os.path.isdir(root) for arg in ("--path", root)]
        command = [sys.executable, "-I", KERNEL, "-f", self._connection_file, *paths]
        os.execve(sys.executable, command, kernel_environment(self._session, dict(os.environ)))

    def _watch(self) -> bool:
        """Waits; True when it was the client that went away."""
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_read, False)
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: None)
        poll = select.poll()
        poll.register(self._output, select.POLLIN)
        poll.register(wake_read, select.POLLIN)
        lifeline = int(os.environ.get("CODEACT_LIFELINE_FD", "-1"))
        if lifeline >= 0:
            poll.register(lifeline, select.POLLIN)
        while True:
            ready = {fd for fd, _ in poll.poll(None if lifeline >= 0 else PARENT_CHECK_MS)}
            if lifeline in ready or (lifeline < 0 and os.getppid() != self._parent):
                return True
            if self._output in ready and not self._drain():
                poll.unregister(self._output)
            if wake_read in ready and self._on_signals(os.read(wake_read, 1024)):
                return False

    def _on_signals(self, numbers: bytes) -> bool:
        """True when it is time to stop."""
        if signal.SIGINT in numbers:
            os.kill(self._pid, signal.SIGINT)
        if signal.SIGTERM in numbers or signal.SIGHUP in numbers:
            return True
        # WNOWAIT: `_stop` reaps, and until then the pid cannot become somebody else's.
        return os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def _drain(self) -> bool:
        data = os.read(self._output, 65536)
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
        try:
            os.killpg(self._pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        _, status = os.waitpid(self._pid, 0)
        self._kill_orphans()
        poll = select.poll()
        poll.register(self._output, select.POLLIN)
        while poll.poll(0) and self._drain():
            pass
        code = os.waitstatus_to_exitcode(status)
        return code if code >= 0 else 128 - code

    def _kill_orphans(self) -> None:
        """As a subreaper, this process inherits whatever the kernel left running."""
        while True:
            try:
                with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
                    children = [int(pid) for pid in file.read().split()]
            except OSError:
                return
            for pid in children:
                try:
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
                except (ProcessLookupError, ChildProcessError):
                    pass
            if not children:
                return


def main(argv: list[str]) -> int:
    """Entry point of the kernelspec `codeact-python`."""
    if len(argv) != 2 or argv[0] != "-f":
        sys.stderr.write(
            "usage: supervisor.py -f CONNECTION_FILE (Jupyter starts this; see `codeact --help`)\n"
        )
        return 2
    return Supervisor(argv[1]).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
