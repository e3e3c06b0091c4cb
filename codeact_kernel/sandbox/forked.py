"""Owns one kernel that was ordered from a launcher: its sockets, what is heard of it, and its end."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import socket
from collections.abc import Mapping
from typing import Any

from jupyter_client.connect import write_connection_file

from ..config import SandboxProfile
from .confine.policy import Report, load_report
from .folders import SessionFolder
from .request import environment

MESSAGE_BYTES = 256 * 1024
STOP_S = 3.0
KILLED = -int(signal.SIGKILL)


class Order:
    """A `process.Supervised`, made by `Launcher`. Bound to no event loop until it is waited for.

    `folder` of its session; `channel`: our end of its tool channel; `files`: see `files_of`.
    """

    def __init__(self, folder: SessionFolder, profile: SandboxProfile) -> None:
        self.folder = folder
        self.spare = False
        self.files = files_of(profile)
        runtime = folder.runtime()
        path, info = write_connection_file(
            str(runtime / "c.json"),
            ip=str(runtime / "k"),
            transport="ipc",
            key=os.urandom(32).hex().encode(),
        )
        self.connection: Mapping[str, Any] = {**info, "key": str(info["key"]).encode()}
        self._request = {"connection_file": path, "environment": environment(profile, folder)}
        self._sock, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._sock.setblocking(False)  # `recv_fds` passes no flags on.
        self.channel, self._kernel_end = socket.socketpair()
        self.pid = 0
        self._pidfd = -1
        self._report: Report | None = None
        self._code: int | None = None
        self._words = ""

    def send(self, control: socket.socket) -> None:
        """Orders it. Raises OSError."""
        request = json.dumps(self._request).encode()
        socket.send_fds(self._sock, [request], [self._kernel_end.fileno()])
        socket.send_fds(control, [b"\n"], [self._theirs.fileno()])
        self._kernel_end.close()  # Only the kernel's side may keep it open, so that its end is noticed.
        self._theirs.close()

    # --- a `Supervised` ---

    def pidfd(self) -> int:
        """The caller's to close."""
        return os.dup(self._pidfd)

    def poll(self) -> int | None:
        self._hear()
        return self._code

    def words(self) -> str:
        self._hear()
        return self._words

    async def report(self) -> Report | None:
        while self.poll() is None and self._report is None:
            await _readable(self._sock.fileno(), None)
        if self._report is None:
            return None
        return self._report._replace(start="spare") if self.spare else self._report

    async def stop(self) -> None:
        self._hear()
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self._signal(number) and await _readable(self._pidfd, STOP_S):
                break
        self._close()

    # --- without an event loop ---

    def close(self, *, folder: bool = True) -> None:
        """Ends what was ordered, and waits for it. `folder`: whether that goes as well."""
        self._hear()
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self._signal(number) and readable(self._pidfd, STOP_S):
                break
        self._close()
        self.channel.close()
        if folder:
            self.folder.remove()

    def _close(self) -> None:
        for sock in (self._sock, self._theirs, self._kernel_end):
            sock.close()  # If it has not begun, it finds that nobody asks.
        if self._pidfd >= 0:
            try:  # Where the launcher has ended, and we are who inherits: the first process of a container.
                os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOHANG)
            except ChildProcessError:
                pass
            os.close(self._pidfd)
            self._pidfd = -1

    def _signal(self, number: int) -> bool:
        if self._pidfd < 0:
            return False
        try:
            signal.pidfd_send_signal(self._pidfd, number)
        except ProcessLookupError:
            pass  # It has ended.
        return True

    def _hear(self) -> None:
        """What has been said so far. The end of it without an exit code: it was killed."""
        ended = False
        while self._code is None and self._sock.fileno() >= 0:
            try:
                data, descriptors, _, _ = socket.recv_fds(self._sock, MESSAGE_BYTES, 1)
            except BlockingIOError:
                if not ended and (self._pidfd < 0 or not readable(self._pidfd, 0)):
                    return
                if not ended:
                    ended = True
                    continue  # What it said last may have come meanwhile.
                data, descriptors = b"", []  # A child of its still has its end of the socket.
            except OSError:
                data, descriptors = b"", []
            match json.loads(data) if data else None:
                case {"pid": int(pid)} if descriptors:
                    self.pid, self._pidfd = pid, descriptors[0]
                    os.set_inheritable(self._pidfd, False)
                case {"report": str(report)}:
                    self._report = load_report(report)
                case {"exit": int(code), "words": str(words)}:
                    self._code, self._words = code, words
                case _:
                    self._code = KILLED


def files_of(profile: SandboxProfile) -> tuple[tuple[str, int, int], ...]:
    """Which files the names of a profile stand for now. A cage that was made before has those of before."""
    return tuple(map(_file, (*profile.data, *profile.readable)))


def _file(path: str | os.PathLike[str]) -> tuple[str, int, int]:
    real = os.path.realpath(path)
    try:
        info = os.stat(real)
    except OSError:
        return real, 0, 0
    return real, info.st_dev, info.st_ino


def readable(descriptor: int, seconds: float) -> bool:
    """Waits until something is to be read, without an event loop; False when that takes longer."""
    waiting = select.poll()  # Not `select.select`, which ends at descriptor 1023.
    waiting.register(descriptor, select.POLLIN)
    return bool(waiting.poll(seconds * 1000))


async def _readable(descriptor: int, seconds: float | None) -> bool:
    """As `readable`, on the event loop."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(descriptor, ready.set)
    try:
        async with asyncio.timeout(seconds):
            await ready.wait()
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(descriptor)
    return True
