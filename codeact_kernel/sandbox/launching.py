"""Owns `Launcher`: a process with the kernel's libraries loaded, and sessions that are forks of it."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from ..config import SandboxProfile
from ..exceptions import CodeActError, UsageError
from .confine import landlock, paths, preparation, sessions
from .confine.start import LAUNCHER
from .folders import SessionFolder, base, sweep
from .forked import Order, files_of, readable
from .managed import Managed
from .request import LEAST_MEMORY

MOST_SPARES = 64
READY_S = 60.0
STILL = "the launcher is still importing"
ANOTHERS = "the launcher belongs to the process that made it"


class Launcher:
    """Starts sandbox kernels in about a tenth of the time: forks of one process that has imported everything.

    Give it to `Agent(launcher=…)`. Use it as a context manager, or call `close`; sessions go on after that.
    Forks are confined by the same layers as kernels that start cold, and know nothing of each other but the
    layout of memory, so use one launcher for code of one owner. What cannot be forked (`allow_fork`,
    unsandboxed, further environment variables, no Landlock, not Linux, the imports not done yet: see `ready`)
    starts cold, and the report of the session says why.

    Args:
        preload: modules to import before the first session, beside the kernel's own.
        spares: so many kernels are kept ready, each with a workspace of its own, for sessions with `profile`.
        profile: that of the spares: a cage cannot be widened later.

    Raises: UsageError.
    """

    def __init__(
        self,
        preload: Iterable[str] = ("numpy", "pandas", "matplotlib.pyplot"),
        *,
        spares: int = 0,
        profile: SandboxProfile = SandboxProfile(),
    ) -> None:
        if isinstance(preload, str):
            raise UsageError(f"preload={preload!r}: give a list of modules, as in [{preload!r}]")
        if not 0 <= spares <= MOST_SPARES:
            raise UsageError(f"spares={spares!r}: give a number from 0 to {MOST_SPARES}")
        self._modules = tuple(preload)
        self._most, self._profile = spares, _of_cage(profile)
        self._spares: deque[Order] = deque()
        self._lock, self._filling = threading.Lock(), threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._folder = ""
        self._owner = os.getpid()
        self._ready = False
        self._data_bytes = 0
        self._problem = why_not(SandboxProfile())  # For this machine: then all start cold.
        if spares and not self._problem and (why := why_not(profile) or _why_no_spare(profile)):
            raise UsageError(f"no spares can be had for this profile: {why}")
        if not self._problem:
            self._start()
            self.fill()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the process and the spares. Sessions that were started go on. May be called twice."""
        if self._owner != os.getpid():
            return  # A fork of the host: none of this is its.
        with self._filling, self._lock:
            control, process, self._control, self._process = self._control, self._process, None, None
            spares, self._spares = self._spares, deque()
            self._problem = "the launcher was closed"
        for spare in spares:
            spare.close()
        if control is not None:
            control.close()
        if process is not None:
            process.kill()
            process.wait()
        if self._folder:
            sessions.remove_tree(self._folder)

    def ready(self, seconds: float = READY_S) -> str:
        """Waits until everything is imported; "", or why sessions start cold all the same."""
        if self._owner != os.getpid():
            return ANOTHERS
        self._listen()
        if self._control is not None and not (self._ready or self._problem):
            readable(self._control.fileno(), seconds)
            self._listen()
        return self._problem or ("" if self._ready else STILL)

    # --- for sessions ---

    def take(self, profile: SandboxProfile) -> Order | None:
        """A spare for a session with that profile, if there is one. `fill` makes another, when it is time."""
        if self._owner != os.getpid():  # What is heard, and who listens, is not a fork's of the host.
            return None
        self._listen()
        if _of_cage(profile) != self._profile or not self._ready:
            return None
        if self._no_room(profile):
            self._most = 0  # Nor would there be in any other.
        files = files_of(profile)
        while True:
            with self._lock:
                spare = self._spares.popleft() if self._spares else None
            if spare is None or (self._most and spare.files == files and spare.poll() is None):
                return spare
            spare.close()  # It has ended while it waited, or its cage has files that are others by now.

    def fill(self) -> None:
        """Orders what is missing of the spares; they become ready by themselves. Never raises."""
        if self._owner != os.getpid():
            return
        with self._filling:
            while not self._problem and len(self._spares) < self._most and self._add():
                pass

    def _add(self) -> bool:
        """One spare more. False when none is to be had now: the next session is made without, and says why if
        that fails too."""
        folder = None
        try:
            folder = SessionFolder(self._profile)
            order = self._ordered(folder, self._profile)
        except (OSError, CodeActError) as problem:
            order = str(problem)
        if isinstance(order, Order):
            order.spare = True
            self._spares.append(order)
            return True
        if folder is not None:
            folder.remove()
        return False

    def fork(self, folder: SessionFolder, profile: SandboxProfile) -> Order | str:
        """Orders a kernel, which becomes ready by itself; or why none can be forked."""
        if self._owner != os.getpid():
            return ANOTHERS
        self._listen()
        if problem := self._problem or why_not(profile) or ("" if self._ready else STILL):
            return problem
        return self._no_room(profile) or self._ordered(folder, profile)

    def _no_room(self, profile: SandboxProfile) -> str:
        """Why a fork could not do much; "" where it can."""
        if profile.limits.memory_bytes >= self._data_bytes + LEAST_MEMORY:
            return ""
        return f"what was preloaded takes {self._data_bytes:,} bytes of the memory limit from the start"

    def _ordered(self, folder: SessionFolder, profile: SandboxProfile) -> Order | str:
        order = Order(folder, profile)
        try:
            with self._lock:
                if self._control is None:
                    raise OSError("it was closed")
                order.send(self._control)
        except OSError as problem:
            order.close(folder=False)
            return self._problem or f"the launcher does not answer: {problem}"
        return order

    # --- the process ---

    def _start(self) -> None:
        sweep()
        self._folder = sessions.make(str(base()))
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        modules, roots = (json.dumps(list(what)) for what in (self._modules, paths.roots(paths.running())))
        command = [sys.executable, "-I", "-B", LAUNCHER, "--serve", str(theirs.fileno()), roots, modules]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=self._folder,
                env=preparation.of_launcher(self._folder),
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        except OSError as problem:
            self._problem = f"the launcher cannot be started: {problem}"
            ours.close()
        else:
            self._control = ours
        finally:
            theirs.close()

    def _listen(self) -> None:
        """Hears whether it is ready, or has ended. Never waits."""
        with self._lock:
            if self._control is None or self._problem:
                return
            try:
                said = self._control.recv(4096, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError:
                said = b""
            told: dict[str, Any] = (
                json.loads(said) if said else {"problem": "the launcher has ended", "data_bytes": 0}
            )
            self._problem, self._data_bytes = str(told["problem"]), int(told["data_bytes"])
            self._ready = not self._problem


async def kernel_for(
    folder: SessionFolder, profile: SandboxProfile, launcher: Launcher | None
) -> Order | Managed:
    """A kernel that was forked; where that cannot be, one that is to be launched, and says why."""
    if launcher is None:
        return Managed(folder, profile)
    order = launcher.fork(folder, profile)
    if isinstance(order, Order):
        try:
            async with asyncio.timeout(READY_S):
                report = await order.report()
            if report is not None or order.pid:
                return order
            problem = "the launcher ended meanwhile, or no further process can be had"
        except TimeoutError:
            problem = f"the launcher did not answer within {READY_S:.0f} s"
        except BaseException:
            order.close(folder=False)
            raise
        order.close(folder=False)
        order = problem
    return Managed(folder, profile, (f"no fork: {order}",))


def why_not(profile: SandboxProfile) -> str:
    """Why no kernel of that profile can be a fork here; "" where it can."""
    if sys.platform != "linux":
        return "forks are for Linux"
    further = sorted(set(profile.env) - set(SandboxProfile().env))
    if further:
        return f"{further[0]} is of the environment, and libraries read that when they are imported"
    if profile.allow_fork:
        return "allow_fork: processes of its own need a start of their own"
    if profile.sandbox == "none":
        return "without a sandbox"
    if "landlock" in profile.without or not landlock.abi():
        return "without Landlock, namespaces alone would show it the process that keeps them"
    return ""


def _why_no_spare(profile: SandboxProfile) -> str:
    return "" if profile.workspace is None else "each has a workspace of its own, and the profile names one"


def _of_cage(profile: SandboxProfile) -> SandboxProfile:
    """Without what is no matter of the cage."""
    return replace(profile, allow_imports=())
