"""Owns how the host opens and copies the files that action code left in its workspace.

The workspace belongs to hostile code: it may hold links, pipes and names of any bytes, and change under our
eyes. So every path is walked from a descriptor of the workspace, one component at a time, none of which may
be a link; and what is opened is checked on its own descriptor. Names are relative, with `/`, as
`os.fsdecode` gives them: exact for opening, not fit for a screen.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..exceptions import UsageError

COPIED_BYTES = 2 * 1024**3
"""Of one `copy_artefacts`. Sparse files may be larger than the whole workspace."""
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK = 1024 * 1024
_NUMBERED = 1000


def open_artefact(folder: str | Path, name: str) -> int:
    """A descriptor for reading the file `name` of the workspace `folder`; close it.

    Raises: UsageError when it is not there, or is anything but a regular file with this one name that is
    reached through folders alone.
    """
    if any(part in ("", ".", "..") for part in name.split("/")):
        raise UsageError(f"{name!r:.200} is no name of a file in the workspace; give one that is listed")
    try:
        root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as problem:
        raise UsageError(
            f"the workspace {str(folder)!r} cannot be read: {problem.strerror}; a temporary one is gone "
            "when its session has ended"
        ) from problem
    try:
        return _checked(open_beneath(root, name, _FILE))
    except (OSError, ValueError) as problem:  # ValueError: no name that a file system has
        raise UsageError(f"{name!r:.200} is not taken from the workspace: {_why(problem)}") from problem
    finally:
        os.close(root)


def open_beneath(root: int, name: str, flags: int) -> int:
    """Opens a file below `root`. No component is followed if it is a link, so none leads out of it.

    Raises: OSError, ValueError.
    """
    *folders, last = name.split("/")
    at = root
    try:
        for part in folders:
            inner = os.open(part, FOLDER, dir_fd=at)
            if at != root:
                os.close(at)
            at = inner
        return os.open(last, flags, dir_fd=at)
    finally:
        if at != root:
            os.close(at)


def _checked(descriptor: int) -> int:
    """The descriptor, if it is of a regular file with one name; else closes it and raises OSError."""
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode) and found.st_nlink == 1:
        return descriptor
    os.close(descriptor)
    what = "it has several names" if stat.S_ISREG(found.st_mode) else "it is no regular file"
    raise OSError(errno.EINVAL, what)


def _why(problem: OSError | ValueError) -> str:
    if not isinstance(problem, OSError):
        return "no file can have that name"
    if problem.errno == errno.ELOOP:
        return "it is a link, and links are not followed"
    if problem.errno == errno.ENOTDIR:
        return "a part of its path is a link or a file"
    return (problem.strerror or type(problem).__name__).lower()


# --- copying -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Copied:
    """What became of one file. `path`: the copy, None where there is none; `remark`: why there is none,
    or why it has another name."""

    name: str
    path: Path | None
    remark: str = ""


def copy_artefacts(
    folder: str | Path, names: Iterable[str], destination: str | Path, max_bytes: int = COPIED_BYTES
) -> tuple[Copied, ...]:
    """Copies files of the workspace `folder` into `destination`, which is made if it is not there.

    Nothing is overwritten: where a name is taken, the copy gets a number. Characters that trick a terminal
    or a shell become `_`, and so does the dot of a hidden name: a copy is never read as configuration.
    Links are followed on neither side. `max_bytes`: of all copies.

    Raises: UsageError when `destination` cannot be made, or is in the workspace, where the code could have
    put a link in its place.
    """
    destination = Path(destination).expanduser().absolute()
    workspace = Path(folder)
    if destination.is_relative_to(workspace) or destination.resolve().is_relative_to(workspace.resolve()):
        raise UsageError(f"{str(destination)!r} is in the workspace, as the files are; name another folder")
    try:
        destination.mkdir(parents=True, exist_ok=True)
        target = os.open(destination, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as problem:
        raise UsageError(
            f"files cannot be kept in {str(destination)!r}: {problem.strerror}; name another folder"
        ) from problem
    try:
        copier = _Copier(folder, destination, target, max_bytes)
        return tuple(copier.copy(name) for name in dict.fromkeys(names))
    finally:
        os.close(target)


class _Copier:
    """Copies one file after the other into the folder open as `target`, until `room` bytes are used up."""

    def __init__(self, folder: str | Path, destination: Path, target: int, room: int) -> None:
        self._folder = folder
        self._destination = destination
        self._target = target
        self._room = room

    def copy(self, name: str) -> Copied:
        try:
            source = open_artefact(self._folder, name)
        except UsageError as problem:
            return Copied(name, None, str(problem))
        try:
            *folders, last = map(_harmless, name.split("/"))
            at = self._made(folders)
            try:
                taken = self._write(source, at, last)
            finally:
                os.close(at)
        except OSError as problem:
            return Copied(name, None, f"{name!r:.200} is not copied: {_why(problem)}")
        finally:
            os.close(source)
        remark = ""
        if taken != last:
            remark = f"there is {last!r:.200} already; it is kept"
        elif "/".join((*folders, last)) != name:
            remark = f"a plain name for {name!r:.200}"
        return Copied(name, self._destination.joinpath(*folders, taken), remark)

    def _made(self, folders: Iterable[str]) -> int:
        """A descriptor of a folder below the target, made where it is missing. Raises OSError."""
        at = os.dup(self._target)
        try:
            for part in folders:
                try:
                    os.mkdir(part, 0o755, dir_fd=at)
                except FileExistsError:
                    pass
                inner = os.open(part, FOLDER, dir_fd=at)
                os.close(at)
                at = inner
        except BaseException:
            os.close(at)
            raise
        return at

    def _write(self, source: int, at: int, name: str) -> str:
        """Writes a new file; its name. Raises OSError, and then leaves none."""
        name, copy = _created(at, name)
        try:
            while data := os.read(source, _CHUNK):
                if len(data) > self._room:
                    raise OSError(errno.EFBIG, "there is more than is copied at once")
                self._room -= len(data)
                written = os.write(copy, data)
                while written < len(data):  # A disk that is nearly full takes a part.
                    written += os.write(copy, data[written:])
        except BaseException:
            os.unlink(name, dir_fd=at)
            raise
        finally:
            os.close(copy)
        return name


def _created(at: int, name: str) -> tuple[str, int]:
    """Makes a file of that name, or with a number where it is taken. Raises OSError."""
    stem, suffix = os.path.splitext(name)
    for number in range(1, _NUMBERED):
        tried = name if number == 1 else f"{stem}-{number}{suffix}"
        try:
            return tried, os.open(tried, _NEW, 0o644, dir_fd=at)
        except FileExistsError:
            pass
    raise OSError(errno.EEXIST, "all names for it are taken")


def _harmless(part: str) -> str:
    """One component of a name, for a folder of the user's; not longer than it was, in bytes."""
    text = "".join(char if char.isprintable() and char not in '\\:*?"<>|' else "_" for char in part)
    return f"_{text[1:]}" if text[0] in ".-~ " else text
