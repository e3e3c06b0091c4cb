"""Owns what a denial says: an exception of the operating system that is the cage's doing keeps its class and
number, and says that it is the sandbox's limit and what would allow it. And the host is told of it.

The system says EACCES (Landlock), EPERM (the filter of calls), ENOENT, EROFS or EXDEV (namespaces). Which of
these are the cage's is known by the path: a file that lies where the cage lets code read and write is an
ordinary one. This is the clear message only; nothing here denies anything.
"""

from __future__ import annotations

import os
import socket
from collections import deque
from collections.abc import Callable
from errno import EACCES, ENOENT, EOPNOTSUPP, EPERM, EROFS, EXDEV
from functools import cached_property
from typing import Literal, NamedTuple, TypeAlias

Kind: TypeAlias = Literal["import", "read", "write", "network", "process", "system"]
Report: TypeAlias = Callable[[str, str], None]

READ = (
    "the sandbox sees only its working folder, the data it was given and Python's packages; more is allowed "
    "with --data PATH or --readable PATH, SandboxProfile(data=…, readable=…)"
)
WRITE = (
    "the sandbox writes only to its working folder, by a relative name, and to tempfile.gettempdir(), never "
    "to its data; --workspace PATH, SandboxProfile(workspace=…), chooses the folder"
)
LINK = "the sandbox makes no links, pipes and devices and changes no owners; shutil.copy copies a file"
NETWORK = (
    "the sandbox has no network, and no option gives it one; a tool that runs on the host can fetch data"
)
PROGRAM = "the sandbox runs no programs, whatever the options; use a Python library, or a tool of the host's"
PROCESS = (
    "the sandbox starts no processes; threads work, and --allow-fork, SandboxProfile(allow_fork=True), "
    "allows multiprocessing"
)
SEMAPHORES = (
    "the sandbox has no shared memory for multiprocessing unless it has namespaces of its own; codeact "
    "doctor says why it has none; threads work"
)
SIGNAL = "the sandbox sends signals to no process but its own"
SYSTEM = "the sandbox changes no users, sessions, priorities and system settings"
MAYBE = (
    "The sandbox may be why: it reads and writes files in its working folder and tempfile.gettempdir() only, "
    "reads what --data and --readable name, has no network, and starts no programs."
)
SAYS = "(the sandbox "
"""What an explained error has in its text."""

PENDING = 32
TOLD = 200
SHOWN = 200
"""Characters of a name that are reported."""
_FILE_ERRORS = (EACCES, EPERM, EROFS, EXDEV)
_CALL_ERRORS = (EACCES, EPERM, EOPNOTSUPP, EROFS)
_LOOKUP_ERRORS = (
    *(socket.EAI_NONAME, socket.EAI_AGAIN, socket.EAI_FAIL, socket.EAI_SYSTEM),
    getattr(socket, "EAI_NODATA", socket.EAI_NONAME),
)


class Cage(NamedTuple):
    """What is allowed in there: absolute paths, files or folders, of which `write` may be read too.

    `namespaces`: what is not allowed to be read is not there at all. `fork`: processes may be started.
    """

    read: tuple[str, ...]
    write: tuple[str, ...]
    namespaces: bool
    fork: bool = False


class Denials:
    """Explains the denials of one kernel process, and reports those that a program got to see.

    A denial is reported when its exception has reached code of a cell, caught there or not: libraries look
    for files and programs that may not be there, and what they then do without is nobody's concern. The
    traceback says how far an exception came, so it is looked at a little later: at the next denial, or when
    the cell ends. Network is never looked for in vain, so that is reported at once.

    Args:
        report: called with the kind and the name of what was denied, once for each in a cell.
    """

    def __init__(self, cage: Cage, report: Report) -> None:
        self._cage = cage
        self._report = report
        self._pending: deque[tuple[Exception, Kind, str]] = deque(maxlen=PENDING)
        self._told: set[tuple[str, str]] = set()

    # --- from the wrapped functions ---

    def of_file(self, error: OSError, kind: Literal["read", "write"], folder: object = None) -> None:
        """Explains the error of a function that names its file or files in it, where that is the cage's.

        `folder`: the descriptor that relative names start from, if any.
        """
        if error.errno not in _FILE_ERRORS and not (error.errno == ENOENT and self._cage.namespaces):
            return
        for name in (error.filename, error.filename2):
            path = _absolute(name, folder)
            if path is not None and self.is_beyond(path, kind):
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
        if path is not None and self.is_beyond(path, "read"):
            error.args = (f"{error} ({READ}): {path!r}",)
            self.remember(error, "read", path)

    def explain(self, error: OSError, kind: Kind, name: str, limit: str) -> None:
        """Puts `limit` into the error's text, and has the denial reported."""
        if is_explained(error):
            return  # By a function that the wrapped one called.
        error.strerror = f"{error.strerror} ({limit})"
        error.args = (error.errno, error.strerror)
        self.remember(error, kind, name)

    def is_beyond(self, path: str, kind: Literal["read", "write"]) -> bool:
        """Whether the cage is what keeps code from reading or writing this path."""
        real = os.path.realpath(path)
        return not _is_below(real, self._readable if kind == "read" else self._writable)

    @cached_property
    def _readable(self) -> frozenset[str]:
        return self._writable.union(map(os.path.realpath, self._cage.read))

    @cached_property
    def _writable(self) -> frozenset[str]:
        return frozenset(map(os.path.realpath, self._cage.write))

    # --- reports ---

    def remember(self, error: Exception, kind: Kind, name: str) -> None:
        """Has the denial reported that this exception, about to be raised, is for."""
        self.settle()
        if kind == "network":
            self._tell(kind, name)
        else:
            self._pending.append((error, kind, name))

    def settle(self) -> None:
        """Reports the denials that have reached code of a cell."""
        for _ in range(len(self._pending)):
            try:
                entry = self._pending.popleft()
            except IndexError:
                return  # Another thread settles too.
            error, kind, name = entry
            if _has_reached_cell(error):
                self._tell(kind, name)
            else:
                self._pending.append(entry)

    def end_cell(self) -> None:
        """What has not reached the cell's code by now was dealt with by a library."""
        self.settle()
        self._pending.clear()
        self._told.clear()

    def of_shown(self, error: BaseException) -> None:
        """Before an exception that ended a cell is shown, and each that led to it: libraries have own ways
        to the system, and own exceptions for what it says."""
        for pending, kind, name in list(self._pending):
            if pending is error:
                self._tell(kind, name)
        if isinstance(error, OSError):
            self._of_foreign(error)
        elif type(error).__module__ == "sqlite3" and "readonly database" in str(error):
            _add_note(error, MAYBE)

    def _of_foreign(self, error: OSError) -> None:
        denied = isinstance(error, PermissionError) or error.errno in _FILE_ERRORS
        if not denied or is_explained(error) or _is_raised_by_cell(error):
            return
        path = _absolute(error.filename)
        if path is None or self.is_beyond(path, "write"):
            _add_note(error, MAYBE)
            self._tell("system" if path is None else "read", path or str(error))

    def _tell(self, kind: Kind, name: str) -> None:
        name = name[:SHOWN]
        if (kind, name) not in self._told and len(self._told) < TOLD:
            self._told.add((kind, name))
            self._report(kind, name)


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


def _is_below(path: str, folders: frozenset[str]) -> bool:
    while path not in folders:
        path, inner = os.path.dirname(path), path
        if path == inner:
            return False
    return True


def _has_reached_cell(error: BaseException) -> bool:
    traceback = error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_globals.get("__name__") == "__main__":
            return True
        traceback = traceback.tb_next
    return False


def _is_raised_by_cell(error: BaseException) -> bool:
    """Whether the cell or a tool raised it, not a library that had asked the system."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    module = traceback.tb_frame.f_globals.get("__name__", "") if traceback is not None else "__main__"
    return module == "__main__" or str(module).startswith("codeact_kernel.")
