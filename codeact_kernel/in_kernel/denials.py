"""Owns what a denial says: an exception of the operating system that is the cage's doing keeps its class and
number, and says that it is the sandbox's limit and what would allow it.

The system says EACCES (Landlock), EPERM (the filter of calls), ENOENT, EROFS or EXDEV (namespaces). Which of
these are the cage's is known by the path: a file that lies where the cage lets code read and write is an
ordinary one. This is the clear message only; nothing here denies anything.
"""

from __future__ import annotations

import os
import re
import socket
from errno import EACCES, ENOENT, EOPNOTSUPP, EPERM, EROFS, EXDEV
from functools import cached_property
from typing import Literal, Protocol

from codeact_kernel.in_kernel.denials_reports import Kind, Reports
from codeact_kernel.in_kernel.denials_words import MAYBE, PROCESS, READ, SAYS, SEMAPHORES, WRITE

SEARCHED = 1000
"""Characters of a message in which a path is looked for."""
_PATH = re.compile(r"/[^\s'\"`:,;()<>]+")
_FILE_ERRORS = (EACCES, EPERM, EROFS, EXDEV)
_CALL_ERRORS = (EACCES, EPERM, EOPNOTSUPP, EROFS)
_LOOKUP_ERRORS = (
    *(socket.EAI_NONAME, socket.EAI_AGAIN, socket.EAI_FAIL, socket.EAI_SYSTEM),
    getattr(socket, "EAI_NODATA", socket.EAI_NONAME),
)


class Cage(Protocol):
    """What this process is confined to; the launcher's policy is one."""

    @property
    def read(self) -> tuple[str, ...]:
        """Absolute paths, files or folders, that may be read."""

    @property
    def write(self) -> tuple[str, ...]:
        """Those that may be written, and read."""

    @property
    def namespaces(self) -> bool:
        """Whether what may not be read is not there at all."""

    @property
    def fork(self) -> bool:
        """Whether processes may be started."""


class Denials:
    """Explains the denials of one kernel process. `reports` has those that a program got to see."""

    def __init__(self, cage: Cage, reports: Reports) -> None:
        self._cage = cage
        self.reports = reports

    @property
    def may_fork(self) -> bool:
        """Whether processes may be started."""
        return self._cage.fork

    # --- from the wrapped functions ---

    def of_file(self, error: OSError, kind: Literal["read", "write"], folder: object = None) -> None:
        """Explains the error of a function that names its file or files in it, where that is the cage's.

        `folder`: the descriptor that relative names start from, if any.
        """
        if error.errno not in _FILE_ERRORS and not (error.errno == ENOENT and self._cage.namespaces):
            return
        for name in (error.filename, error.filename2):
            path = _absolute(name, folder)
            if path is None or (error.errno == ENOENT and self._is_simply_missing(path)):
                continue
            if self.is_beyond(path, kind):
                self.explain(error, kind, path, READ if kind == "read" else WRITE)
                return

    def of_call(self, error: OSError, kind: Kind, name: str, limit: str) -> None:
        """Explains the error of a call that the cage allows to nobody."""
        if isinstance(error, socket.herror) or (
            error.errno in (_LOOKUP_ERRORS if isinstance(error, socket.gaierror) else _CALL_ERRORS)
        ):
            self.explain(error, kind, name, limit)

    def of_processes(self, error: OSError) -> None:
        """Explains the error of a part of multiprocessing."""
        self.of_call(error, "process", "multiprocessing", SEMAPHORES if self._cage.fork else PROCESS)

    def of_database(self, error: Exception, database: object) -> None:
        """Explains the error with which a database of sqlite was not opened."""
        path = _absolute(_without_uri(database))
        if path is None or not self.is_beyond(path, "write"):
            return
        kind: Kind = "read" if self.is_beyond(path, "read") else "write"
        error.args = (f"{error} ({READ if kind == 'read' else WRITE}): {path!r}",)
        self.reports.remember(error, kind, path)

    def explain(self, error: OSError, kind: Kind, name: str, limit: str) -> None:
        """Puts `limit` into the error's text, and has the denial reported."""
        if is_explained(error):
            return  # By a function that the wrapped one called.
        error.strerror = f"{error.strerror} ({limit})"
        error.args = (error.errno, error.strerror)
        self.reports.remember(error, kind, name)

    def is_beyond(self, path: str, kind: Literal["read", "write"]) -> bool:
        """Whether the cage is what keeps code from reading or writing this path."""
        real = os.path.realpath(path)
        return not _is_below(real, self._readable if kind == "read" else self._writable)

    def _is_simply_missing(self, path: str) -> bool:
        """A quick answer for what programs try most often: a file that is not, or not yet, in a folder."""
        folder = os.path.dirname(path)
        return _is_below(path, self._writable) and os.path.isdir(folder) and not os.path.islink(path)

    @cached_property
    def _readable(self) -> frozenset[str]:
        return self._writable.union(map(os.path.realpath, self._cage.read))

    @cached_property
    def _writable(self) -> frozenset[str]:
        return frozenset(map(os.path.realpath, self._cage.write))

    # --- from the display ---

    def of_shown(self, error: BaseException) -> None:
        """Before an exception that ended a cell is shown, and each that led to it: libraries have own ways
        to the system, and own exceptions for what it says."""
        self.reports.of_shown(error)
        if isinstance(error, OSError):
            self._of_foreign(error)
        elif type(error).__module__ == "sqlite3" and "readonly database" in str(error):
            _add_note(error, MAYBE)

    def _of_foreign(self, error: OSError) -> None:
        if is_explained(error) or _is_raised_by_cell(error):
            return
        path = _absolute(error.filename) or _path_in(str(error))
        hidden = isinstance(error, FileNotFoundError) and self._cage.namespaces
        if isinstance(error, PermissionError) or error.errno in _FILE_ERRORS:
            if path is None or self.is_beyond(path, "write"):
                _add_note(error, MAYBE)
                self.reports.tell("system" if path is None else "read", path or str(error))
        elif hidden and path is not None and self.is_beyond(path, "read"):
            _add_note(error, MAYBE)
            self.reports.tell("read", path)


def is_explained(error: OSError) -> bool:
    return SAYS in str(error.strerror)


def _add_note(error: BaseException, note: str) -> None:
    if note not in getattr(error, "__notes__", ()):
        error.add_note(note)


def _without_uri(database: object) -> object:
    if isinstance(database, str) and database.startswith("file:"):
        return database.removeprefix("file:").partition("?")[0]
    return database


def _absolute(name: object, folder: object = None) -> str | None:
    """The path that an OSError names, if it names one."""
    if not isinstance(name, str | bytes | os.PathLike):
        return None  # Nothing, or a descriptor.
    try:
        start = os.readlink(f"/proc/self/fd/{folder}") if isinstance(folder, int) else os.getcwd()
        return os.path.normpath(os.path.join(start, os.fsdecode(name)))
    except OSError:
        return None  # The current folder is gone.


def _path_in(text: str) -> str | None:
    found = _PATH.search(text[:SEARCHED])
    return found and found[0]


def _is_below(path: str, folders: frozenset[str]) -> bool:
    while path not in folders:
        path, inner = os.path.dirname(path), path
        if path == inner:
            return False
    return True


def _is_raised_by_cell(error: BaseException) -> bool:
    """Whether the cell or a tool raised it, not a library that had asked the system."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    module = traceback.tb_frame.f_globals.get("__name__", "") if traceback is not None else "__main__"
    return module == "__main__" or str(module).startswith("codeact_kernel.")
