"""Owns one kernel process, however it was started: connected to, watched, and stopped without a trace."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping
from typing import Any, Protocol

from ..exceptions import SandboxError
from . import supervisor
from .computed import computed
from .confine.policy import Report
from .mailbox import Mailbox

START_S = 60.0
LAST_WORDS = 500
LOOK_S = 0.1


class Supervised(Protocol):
    """A kernel with its supervisor: `managed.Managed`, `forked.Order`."""

    @property
    def pid(self) -> int:
        """Of the supervisor; 0 as long as it is not known."""

    @property
    def connection(self) -> Mapping[str, Any]:
        """As in a connection file."""

    def pidfd(self) -> int:
        """A descriptor of the supervisor that is readable once it has ended, the caller's to close; -1 where
        there are none. Not before `report` has returned one."""

    def poll(self) -> int | None:
        """The exit code of the supervisor, negative for a signal; None while it runs."""

    def words(self) -> str:
        """What it said last. Read once, after its end."""

    async def report(self) -> Report | None:
        """Of the cage, once the sockets are bound, and before code of the kernel's own has run. None when the
        supervisor has ended without one."""

    async def stop(self) -> None:
        """Ends it, the kernel, and everything that started; returns when they are gone."""


class KernelProcess:
    """One kernel, from the report of its cage to the end of its process."""

    def __init__(self, supervised: Supervised) -> None:
        self._supervised = supervised
        self._pidfd = -1
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self.mailbox: Mailbox | None = None
        self.report = Report()
        """Of the cage, once the kernel is started."""

    async def start(self) -> Mailbox:
        """Waits for the cage and connects. Raises: SandboxError, with the kernel's last words."""
        try:
            async with asyncio.timeout(START_S):
                report = await self._supervised.report()
        except TimeoutError:
            raise SandboxError(f"the sandbox kernel did not start within {START_S:.0f} s") from None
        if report is None:
            raise SandboxError(f"the sandbox kernel did not start: {self.exit_reason()}")
        self.report = report
        if report.problem:
            raise SandboxError(report.problem)
        self._watch()
        try:
            self.mailbox = Mailbox(self._supervised.connection)
        except OSError as problem:
            raise SandboxError(f"the sandbox kernel did not start: {self.exit_reason()}") from problem
        if self._exited():
            self.mailbox.kernel_died()
        return self.mailbox

    async def stop(self) -> None:
        """Ends the process and everything it started; returns when they are gone."""
        if self.mailbox is not None:
            self.mailbox.close()
            self.mailbox = None
        self._unwatch()
        await self._supervised.stop()

    @property
    def supervisor(self) -> int:
        """Its process id; 0 before it is known."""
        return self._supervised.pid

    def computed(self) -> float:
        """Seconds of processor time of the kernel and all that it started."""
        return computed(self.supervisor) if self.supervisor else 0.0

    def exit_reason(self) -> str:
        """What is known of the end of the process, as the second half of a sentence."""
        code = self._supervised.poll()
        if code is None:
            return "its process stopped answering"
        words = self._supervised.words().strip()[-2000:]
        if code == supervisor.LIMIT:
            return f"its kernel was stopped: {words}"
        code = 128 - code if code < 0 else code  # The supervisor itself was hit.
        how = _signal(code - 128) if code > 128 else f"exit code {code}"
        if self.mailbox is not None and words:  # The program's own: not to pass for ours.
            words = f"the last it wrote, as text of the program: {words[-LAST_WORDS:]!r}"
        return f"its process ended ({how})" + (f": {words}" if words else "")

    def _exited(self) -> bool:
        return self._supervised.poll() is not None

    def _watch(self) -> None:
        self._pidfd = self._supervised.pidfd()
        if self._pidfd >= 0:
            self._loop.add_reader(self._pidfd, self._on_exit)
        else:
            self._look()

    def _look(self) -> None:
        """Where no descriptor tells of the end of a process."""
        if self._exited():
            self._on_exit()
        else:
            self._timer = self._loop.call_later(LOOK_S, self._look)

    def _unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._pidfd >= 0:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1

    def _on_exit(self) -> None:
        if self._pidfd >= 0:
            self._loop.remove_reader(self._pidfd)
        if self.mailbox is not None:
            self.mailbox.kernel_died()


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
