"""Owns `Launcher`: a process with the kernel's libraries loaded, and sessions that are forks of it."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from types import TracebackType
from typing import Self

from ..config import SandboxProfile
from ..exceptions import UsageError
from .confine import landlock, paths, preparation, sessions
from .confine.start import LAUNCHER
from .folders import SessionFolder, base, sweep
from .forked import Order
from .managed import Managed

MOST_SPARES = 64
READY_S = 60.0


class Launcher:
    """Starts sandbox kernels in a tenth of the time, as forks of one process that has imported everything.

    Give it to `Agent(launcher=…)`. Use it as a context manager, or call `close`; sessions go on after that.
    Forks are confined by the same layers as kernels that start cold, and know nothing of each other but the
    layout of memory, so use one launcher for code of one owner. What cannot be forked (`allow_fork`,
    unsandboxed, further environment variables, no Landlock, not Linux) starts cold, and the report of the
    session says why.

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
        self._problem = why_not(profile) if spares else ""
        if self._problem:
            raise UsageError(f"no spares can be had for this profile: {self._problem}")
        self._problem = why_not(SandboxProfile())
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
        with self._lock:
            control, process, self._control, self._process = self._control, self._process, None, None
            spares, self._spares = self._spares, deque()
            self._problem = "the launcher was closed"
        if self._owner != os.getpid():
            return  # A fork of the host: none of this is its.
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
        if self._control is not None and select.select([self._control], [], [], seconds)[0]:
            self._listen()
        return self._problem

    # --- for sessions ---

    def take(self, profile: SandboxProfile) -> Order | None:
        """A spare for a session with that profile, if there is one. `fill` makes another, when it is time."""
        if _of_cage(profile) != self._profile or self._owner != os.getpid():
            return None
        with self._lock:
            return self._spares.popleft() if self._spares else None

    def fill(self) -> None:
        """Orders what is missing of the spares; they become ready by themselves."""
        if self._owner != os.getpid():
            return
        with self._filling:
            while self._control is not None and len(self._spares) < self._most:
                folder = SessionFolder(self._profile)
                order = self.fork(folder, self._profile)
                if isinstance(order, str):
                    folder.remove()
                    return
                order.spare = True
                self._spares.append(order)

    def fork(self, folder: SessionFolder, profile: SandboxProfile) -> Order | str:
        """Orders a kernel, which becomes ready by itself; or why none can be forked."""
        problem = self._problem or why_not(profile)
        if problem or self._owner != os.getpid():
            return problem or "the launcher belongs to the process that made it"
        order = Order(folder, profile)
        try:
            with self._lock:
                if self._control is None:
                    raise OSError("the launcher was closed")
                self._listen()
                order.send(self._control)
        except OSError as problem_:
            order.close(folder=False)
            return self._problem or f"the launcher does not answer: {problem_}"
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
        if self._control is None:
            return
        try:
            said = self._control.recv(4096, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            said = b""
        self._problem = (
            str(json.loads(said)["problem"]) if said else self._problem or "the launcher has ended"
        )


def kernel_for(
    folder: SessionFolder, profile: SandboxProfile, launcher: Launcher | None = None
) -> Order | Managed:
    """A kernel that is being forked; where that cannot be, one that is to be launched, and says why."""
    if launcher is None:
        return Managed(folder, profile)
    order = launcher.fork(folder, profile)
    return order if isinstance(order, Order) else Managed(folder, profile, (f"no fork: {order}",))


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


def _of_cage(profile: SandboxProfile) -> SandboxProfile:
    """Without what is no matter of the cage."""
    return replace(profile, allow_imports=())
