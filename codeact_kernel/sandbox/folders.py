"""Owns the folder of one session on the host's side: short enough for sockets, gone when the session is.

Its layout: `confine.sessions`.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from pathlib import Path

from ..config import SandboxProfile
from ..exceptions import SandboxError, UsageError
from .confine import sessions
from .confine.sessions import remove_tree
from .data_links import DataLinks

MAX_SOCKET_PATH = 107


def base() -> Path:
    """Where session folders are made. Raises SandboxError."""
    for candidate in (tempfile.gettempdir(), "/tmp"):
        longest = len(os.path.join(candidate, f"codeact-{'9' * 10}-{'9' * 7}-{'f' * 12}/rt-99/k-5"))
        if longest <= MAX_SOCKET_PATH and os.access(candidate, os.W_OK | os.X_OK):
            return Path(candidate)
    raise SandboxError(
        f"no folder for the kernel's sockets: {tempfile.gettempdir()!r} is too long (sockets take "
        f"{MAX_SOCKET_PATH} bytes) and /tmp is not writable; set TMPDIR to a short path"
    )


def sweep() -> None:
    """Removes what sessions left behind whose host and supervisor were both killed."""
    sessions.sweep(str(base()))


class SessionFolder:
    """The folder of one session. The workspace outlives restarts of the kernel."""

    def __init__(self, profile: SandboxProfile) -> None:
        self.path = Path(sessions.make(str(base())))
        self._starts = 0
        self._links: DataLinks | None = None
        try:
            self.workspace = self._workspace(profile)
            self._check(profile)
            self._links = DataLinks(self.workspace)
            self._links.make(profile.data)
        except BaseException:
            self.remove()
            raise

    def runtime(self) -> Path:
        """A new folder for the connection file and sockets of the next kernel."""
        self._starts += 1
        remove_tree(str(self.path / f"rt-{self._starts - 1}"))
        folder = self.path / f"rt-{self._starts}"
        folder.mkdir(mode=0o700)
        return folder

    def remove(self) -> None:
        """Everything that is ours; a workspace that the user named keeps what the run wrote."""
        if self._links is not None:
            self._links.remove()
        remove_tree(str(self.path))

    async def remove_aside(self) -> None:
        """As `remove`, in a thread: other sessions of the event loop do not wait until a folder is empty."""
        try:
            await asyncio.to_thread(self.remove)
        except (OSError, RuntimeError):
            self.remove()  # There is no thread to be had.

    def _workspace(self, profile: SandboxProfile) -> Path:
        if profile.workspace is None:
            folder = self.path / "work"
            folder.mkdir(mode=0o700)
            return folder
        folder = profile.workspace.expanduser().absolute()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise UsageError(
                f"workspace {str(profile.workspace)!r} cannot be made: {problem.strerror}"
            ) from problem
        if not os.access(folder, os.W_OK | os.X_OK):
            raise UsageError(f"workspace {str(profile.workspace)!r} is not writable; name another folder")
        return folder

    def _check(self, profile: SandboxProfile) -> None:
        """What the kernel gets must not hold its own session's keys and sockets, nor may it write what
        the host runs. Raises UsageError."""
        for path in (self.workspace, *profile.data, *profile.readable):
            if _holds(path, self.path):
                raise _too_much(path, "the folders of its own session are in it")
        if _holds(self.workspace, Path.home()):
            raise _too_much(self.workspace, "your home folder is in it, with everything that is yours")
        for code in (Path(sys.prefix), Path(sys.base_prefix), Path(__file__).parents[1]):
            if _holds(self.workspace, code):
                raise _too_much(self.workspace, f"{str(code)!r} is in it, where the host runs code from")


def _holds(folder: Path, path: Path) -> bool:
    given = os.path.realpath(folder.expanduser())
    return os.path.commonpath([given, os.path.realpath(path)]) == given


def _too_much(path: Path, why: str) -> UsageError:
    return UsageError(f"the sandbox cannot have {str(path)!r}: {why}; name a folder below it")
