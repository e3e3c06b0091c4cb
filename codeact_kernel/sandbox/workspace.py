"""Owns what is known of a workspace from cell to cell: which files came or changed.

The workspace belongs to hostile code: it may hold links, pipes, trees of any depth and names of any bytes,
and change while it is looked at. All work is bounded, and it is said when there was more.
"""

from __future__ import annotations

import mimetypes
import os
import stat
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import NamedTuple

from ..outputs import Finished, WorkspaceFile
from .artefacts import FOLDER, open_beneath

ENTRIES = 2_000
"""Files, folders and whatever else is looked at in one listing."""
SECONDS = 0.05
"""What one listing may take."""
MOST_ENTRIES, MOST_SECONDS = 100_000, 10.0
"""The same where files are to be kept, once a run."""
LISTED = 100
"""Files of one cell that are listed."""
LONGEST = 1024
"""Characters of the name of a file that is listed."""
SLACK_NS = 20_000_000
"""How far the clock of file times may be behind ours."""
_MORE_TYPES = {
    ".feather": "application/vnd.apache.arrow.file",
    ".gz": "application/gzip",
    ".ipynb": "application/x-ipynb+json",
    ".jsonl": "application/jsonl",
    ".md": "text/markdown",
    ".parquet": "application/vnd.apache.parquet",
    ".sqlite": "application/vnd.sqlite3",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".yaml": "application/yaml",
}


class FileState(NamedTuple):
    """A file that has the same state was not written in between."""

    mtime_ns: int
    ctime_ns: int
    size: int
    inode: int


@dataclass(frozen=True)
class Listing:
    """The regular files of a workspace that have one name only, and their states, by name.

    `complete`: False when not everything could be looked at. `taken_ns`: since the epoch, at its beginning.
    """

    files: Mapping[str, FileState] = field(default_factory=dict)
    complete: bool = True
    taken_ns: int = 0


def take_listing(folder: str, entries: int = ENTRIES, seconds: float = SECONDS) -> Listing:
    """Looks at what is in `folder`, its own files first. Never raises on what is in it."""
    taken = time.time_ns()
    try:
        root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return Listing(complete=False, taken_ns=taken)
    try:
        walk = _Walk(root, entries, time.monotonic() + seconds)
        while walk.pending and walk.within_bounds:
            walk.look_into(walk.pending.popleft())
    finally:
        os.close(root)
    return Listing(walk.files, walk.complete, taken)


class _Walk:
    """Breadth first, so that a deep or crowded folder hides nothing that lies beside it."""

    def __init__(self, root: int, entries: int, deadline: float) -> None:
        self.files: dict[str, FileState] = {}
        self.pending = deque([""])
        self.complete = self.within_bounds = True
        self._root = root
        self._left = entries
        self._deadline = deadline

    def look_into(self, folder: str) -> None:
        try:
            descriptor = open_beneath(self._root, folder or ".", FOLDER)
        except FileNotFoundError:
            return
        except OSError:  # Its permissions, or it has become a link.
            self.complete = False
            return
        try:
            with os.scandir(descriptor) as found:
                for entry in found:
                    self._look_at(entry, f"{folder}/{entry.name}" if folder else entry.name)
                    if not self.within_bounds:
                        return
        except OSError:
            self.complete = False
        finally:
            os.close(descriptor)

    def _look_at(self, entry: os.DirEntry[str], name: str) -> None:
        self._left -= 1
        if self._left < 0 or time.monotonic() > self._deadline:
            self.complete = self.within_bounds = False
        elif len(name) > LONGEST:
            self.complete = False
        elif entry.is_dir(follow_symlinks=False):
            self.pending.append(name)
        elif entry.is_file(follow_symlinks=False):
            self._keep(entry, name)

    def _keep(self, entry: os.DirEntry[str], name: str) -> None:
        try:
            found = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            return
        if stat.S_ISREG(found.st_mode) and found.st_nlink == 1:
            self.files[name] = FileState(found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino)


def changed(before: Listing, after: Listing, most: int = LISTED) -> tuple[tuple[WorkspaceFile, ...], bool]:
    """Files that were made or changed, by name, and whether there may be more than these.

    A file that an incomplete earlier listing does not have counts when it was touched since.
    """
    since = 0 if before.complete else before.taken_ns - SLACK_NS
    names = [
        name
        for name, state in after.files.items()
        if before.files.get(name) != state and (name in before.files or state.ctime_ns >= since)
    ]
    files = tuple(_described(name, after.files[name]) for name in sorted(names)[:most])
    return files, len(names) > most or not after.complete


def media_type(name: str) -> str:
    """What a file is by its name; "" when unknown. The same on every machine."""
    return _media_types().get(os.path.splitext(name)[1].lower(), "")


@cache
def _media_types() -> dict[str, str]:
    # Made only when a file has been found: the module reads files of the system first, if not for us.
    return {**_MORE_TYPES, **mimetypes.MimeTypes().types_map[True]}


def _described(name: str, state: FileState) -> WorkspaceFile:
    return WorkspaceFile(name, state.size, media_type(name))


class Workspace:
    """What is known of a workspace, from cell to cell.

    Args:
        path: where it is; looked at now, as the kernel has not written anything yet.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.now = self._first = take_listing(path)
        """`now`: as it was at the last look."""

    def look(self) -> None:
        """What has changed until now belongs to no cell."""
        self.now = take_listing(self.path)

    def ended(self, finished: Finished) -> Finished:
        """`finished` with the files that came or changed since the last look."""
        before = self.now
        self.look()
        files, more = changed(before, self.now)
        return replace(finished, files=files, more_files=more)

    def since(self, before: Listing) -> tuple[WorkspaceFile, ...]:
        """What was made or changed between `before`, an earlier `now`, and the last look."""
        return changed(before, self.now, ENTRIES)[0]

    def left(self) -> tuple[WorkspaceFile, ...]:
        """All files there now that the kernel made or changed. Looks much longer than for a cell."""
        now = take_listing(self.path, MOST_ENTRIES, MOST_SECONDS)
        return changed(self._first, now, MOST_ENTRIES)[0]
