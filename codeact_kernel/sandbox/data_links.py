"""Owns the links by which data appears in a workspace: made before its kernel runs, gone after the session.

The code in the sandbox makes no links, but in some tiers it can move these. So they are known by what they
are, not by where they were put, and no folder on the way to one is entered through a link.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..exceptions import UsageError
from .artefacts import FOLDER, open_beneath

FOLDER_NAME = "data"
MOST_ENTRIES, MOST_SECONDS = 100_000, 10.0
"""How much is looked through for links that were moved."""


class DataLinks:
    """The links of one session, `workspace/data/NAME`, each to a file or folder of the user's."""

    def __init__(self, workspace: Path) -> None:
        self._workspace = workspace
        self._made: set[tuple[int, int]] = set()
        """Device and inode."""

    def make(self, data: Iterable[Path]) -> None:
        """Raises UsageError when a path cannot be read, or its place is taken."""
        for given in data:
            target = given.expanduser().absolute()
            if not os.access(target, os.R_OK):
                state = "cannot be read" if target.exists() else "does not exist"
                raise UsageError(f"data {str(given)!r} {state}; check the path and its permissions")
            link = self._workspace / FOLDER_NAME / target.name
            if link.parent.is_symlink():
                raise UsageError(
                    f"data {str(given)!r}: {str(link.parent)!r} in the workspace is a link; remove it"
                )
            try:
                link.parent.mkdir(exist_ok=True)
            except OSError as problem:
                raise UsageError(
                    f"data {str(given)!r}: {str(link.parent)!r} cannot be made for it: {problem.strerror}"
                ) from problem
            if link.is_symlink() and link.readlink() == target:
                continue
            if link.exists() or link.is_symlink():
                raise UsageError(
                    f"data {str(given)!r}: the workspace has a data/{target.name} already; rename one"
                )
            link.symlink_to(target)
            self._made.add(_identity(link.lstat()))

    def remove(self) -> None:
        """Those that were made here, wherever they are now; what the run put in their place stays.

        Never raises.
        """
        if not self._made:
            return
        try:
            root = os.open(self._workspace, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return  # Gone, and they with it.
        try:
            for folder in _folders(root):
                self._remove_from(folder)
                if not self._made:
                    break
            os.rmdir(FOLDER_NAME, dir_fd=root)
        except OSError:
            pass  # Not empty, or the run's.
        finally:
            os.close(root)

    def _remove_from(self, folder: int) -> None:
        with os.scandir(folder) as entries:
            links = [entry for entry in entries if entry.is_symlink()]
        for entry in links:
            identity = _identity(entry.stat(follow_symlinks=False))
            if identity in self._made:
                os.unlink(entry.name, dir_fd=folder)
                self._made.discard(identity)


def _folders(root: int) -> Iterator[int]:
    """Descriptors of folders below `root`: first the one where the links were put, and then, for links that
    were moved, all others. Each is open until the next is asked for."""
    deadline = time.monotonic() + MOST_SECONDS
    left = MOST_ENTRIES
    pending = deque([FOLDER_NAME, ""])
    while pending and left > 0 and time.monotonic() < deadline:
        name = pending.popleft()
        try:
            folder = open_beneath(root, name or ".", FOLDER)
        except OSError:
            continue
        try:
            yield folder
            with os.scandir(folder) as entries:
                names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
            left -= len(names) + 1
            pending += [f"{name}/{inner}" if name else inner for inner in names]
        except OSError:
            continue
        finally:
            os.close(folder)


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino
