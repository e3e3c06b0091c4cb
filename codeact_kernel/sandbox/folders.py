"""Owns the folder of a session: 0700, short enough for sockets, gone when the session is.

codeact-<pid namespace>-<pid>-<random>/
    rt-N/   connection file and sockets of the N-th kernel
    home/ tmp/   of the kernel
    work/   the workspace, unless the user named one
"""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

from ..config import SandboxProfile
from ..exceptions import SandboxError, UsageError
from .supervisor import remove_tree

MAX_SOCKET_PATH = 107
_NAME = re.compile(r"codeact-(\d+)-(\d+)-")


def _namespace() -> str:
    """Of process ids: another container may share our temporary folder, but not our pids."""
    try:
        return str(os.stat("/proc/self/ns/pid").st_ino)
    except OSError:
        return "0"


def _base() -> Path:
    for candidate in (tempfile.gettempdir(), "/tmp"):
        longest = len(os.path.join(candidate, f"codeact-{'9' * 10}-{'9' * 7}-abcdefgh/rt-99/k-5"))
        if longest <= MAX_SOCKET_PATH and os.access(candidate, os.W_OK | os.X_OK):
            return Path(candidate)
    raise SandboxError(
        f"no folder for the kernel's sockets: {tempfile.gettempdir()!r} is too long (sockets take "
        f"{MAX_SOCKET_PATH} bytes) and /tmp is not writable; set TMPDIR to a short path"
    )


def sweep() -> None:
    """Removes what sessions left behind whose host and supervisor were both killed."""
    namespace = _namespace()
    base = _base()
    for entry in base.iterdir():
        found = _NAME.match(entry.name)
        if found is None or found[1] != namespace or entry.is_symlink():
            continue
        try:
            ours = entry.stat().st_uid == os.geteuid()
        except FileNotFoundError:
            continue  # Another session sweeps too.
        if ours and not Path(f"/proc/{found[2]}").exists():
            remove_tree(str(entry))


class SessionFolder:
    """The folder of one session. The workspace outlives restarts of the kernel."""

    def __init__(self, profile: SandboxProfile) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=f"codeact-{_namespace()}-{os.getpid()}-", dir=_base()))
        self._starts = 0
        self._links: list[Path] = []
        try:
            self.workspace = self._workspace(profile)
            self._link_data(profile)
        except BaseException:
            self.remove()
            raise

    def runtime(self) -> Path:
        """A new folder for the connection file and sockets of the next kernel."""
        self._starts += 1
        remove_tree(str(self.path / f"rt-{self._starts - 1}"))
        remove_tree(str(self.path / "home"))  # Nothing that action code planted meets the next kernel.
        folder = self.path / f"rt-{self._starts}"
        folder.mkdir(mode=0o700)
        return folder

    def remove(self) -> None:
        """Everything that is ours; a workspace that the user named keeps what the run wrote."""
        for link in self._links:
            link.unlink(missing_ok=True)
        if self._links:
            try:
                self._links[0].parent.rmdir()
            except OSError:
                pass  # The run put files of its own there.
        remove_tree(str(self.path))

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

    def _link_data(self, profile: SandboxProfile) -> None:
        for given in profile.data:
            target = given.expanduser().absolute()
            if not os.access(target, os.R_OK):
                state = "cannot be read" if target.exists() else "does not exist"
                raise UsageError(f"data {str(given)!r} {state}; check the path and its permissions")
            link = self.workspace / "data" / target.name
            link.parent.mkdir(exist_ok=True)
            if link.is_symlink() and link.readlink() == target:
                continue
            if link.exists():
                raise UsageError(
                    f"data {str(given)!r}: the workspace has a data/{target.name} already; rename one"
                )
            link.symlink_to(target)
            self._links.append(link)
