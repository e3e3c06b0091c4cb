"""Owns where denials are met: the functions of the standard library through which nearly all code reaches the
system are wrapped, so that what they raise is explained. What works costs one more call, 0.1 µs.

Wrapped in place; those of modules that few cells need, when these are imported. What goes another way
(extension modules) is explained when it is shown.
"""

from __future__ import annotations

import builtins
import errno
import functools
import importlib.machinery
import io
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, Literal

from IPython.core import interactiveshell

from codeact_kernel.in_kernel import attach
from codeact_kernel.in_kernel.denials import Cage, Denials
from codeact_kernel.in_kernel.denials_reports import Kind, Reports
from codeact_kernel.in_kernel.denials_words import LINK, NETWORK, PROCESS, PROGRAM, SIGNAL, SYSTEM
from codeact_kernel.in_kernel.hidden_packages import HiddenPackages
from codeact_kernel.in_kernel.private_memory import make_private

Judge = Callable[[OSError, Sequence[Any], Mapping[str, Any]], None]
"""Explains an error of a function that was called with these arguments."""

_READ = ("listdir", "scandir", "chdir")
_WRITE = ("mkdir", "rename", "replace", "remove", "unlink", "rmdir", "truncate")
_LINK = ("symlink", "link", "mkfifo", "mknod", "chown", "lchown", "fchown")
_PROGRAM = ("execv", "execve", "posix_spawn", "posix_spawnp")
_SYSTEM = (
    *("setuid", "setgid", "seteuid", "setegid", "setreuid", "setregid", "setresuid", "setresgid"),
    *("setgroups", "initgroups", "setsid", "setpgid", "chroot", "nice", "setpriority", "memfd_create"),
)
_LOOKUPS = ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr", "getnameinfo")
_SUPPORTS = ("supports_dir_fd", "supports_fd", "supports_follow_symlinks", "supports_effective_ids")

active: Denials | None = None
_process = 0


def install(cage: Cage) -> None:
    """Explains the denials of this process, which is in that cage. Called once."""
    global active, _process
    _process = os.getpid()
    active = denials = Denials(cage, Reports(_report))
    _wrap_files(denials)
    _wrap_calls(denials)
    _wrap_later(denials)


def _report(kind: str, name: str) -> None:
    if attach.channel is not None and os.getpid() == _process:  # A fork would cut into our messages.
        attach.channel.refused(kind, name)


# --- for the kernel ---


def ready() -> None:
    """Called when all is imported that the kernel needs, and tried whether it is there."""
    if active is not None:
        sys.meta_path.append(HiddenPackages(active))


def end_cell() -> None:
    """Reports what a cell was denied. Called before its reply is sent."""
    if active is not None:
        active.reports.end_cell()


def of_shown(error: BaseException) -> None:
    """Explains what is explained nowhere else. Called for an exception that is about to be shown."""
    if active is not None:
        active.of_shown(error)


def refuse_program(command: str) -> None:
    """Raises PermissionError for a shell command of a cell, where there is a cage: IPython and the system's
    shell would say something else."""
    if active is not None:
        error = PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        active.explain(error, "process", command, PROGRAM)
        raise error


# --- the wrapped functions ---


def _wrap_files(denials: Denials) -> None:
    def opened_descriptor(error: OSError, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        flags = args[1] if len(args) > 1 else kwargs.get("flags", 0)
        writes = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
        denials.of_file(error, "write" if flags & writes else "read", kwargs.get("dir_fd"))

    def named(kind: Literal["read", "write"]) -> Judge:
        return lambda error, args, kwargs: denials.of_file(error, kind, kwargs.get("dir_fd"))

    # The third is what IPython's own `open` calls.
    io.open = builtins.open = interactiveshell.io_open = _wrapped_open(io.open, denials)
    _wrap(os, ("open",), opened_descriptor)
    _wrap(os, _READ, named("read"))
    _wrap(os, _WRITE, named("write"))
    _wrap(importlib.machinery.SourceFileLoader, ("get_data",), named("read"))


def _wrapped_open(original: Any, denials: Denials) -> Any:
    """Not by `_wrap`: with its arguments spelled out, as in `io.open`, a call costs half as much."""

    @functools.wraps(original)
    def wrapped(  # type: ignore[no-untyped-def]  # the types of io.open are overloads
        file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, closefd=True, opener=None
    ):
        __tracebackhide__ = True
        try:
            return original(file, mode, buffering, encoding, errors, newline, closefd, opener)
        except OSError as error:
            denials.of_file(error, "write" if set("wax+").intersection(mode) else "read")
            raise

    return wrapped


def _wrap_calls(denials: Denials) -> None:
    def denied(kind: Kind, limit: str, said: Callable[..., str]) -> Judge:
        return lambda error, args, kwargs: denials.of_call(error, kind, said(*args, **kwargs), limit)

    _wrap(os, _LINK, denied("write", LINK, lambda path, *to, **_: " ".join(map(_text, (path, *to[:1])))))
    _wrap(os, _PROGRAM, denied("process", PROGRAM, _first))
    _wrap(subprocess.Popen, ("__init__",), denied("process", PROGRAM, _after_self))
    _wrap(os, ("fork", "forkpty"), denied("process", PROCESS, lambda: "fork"))
    _wrap(os, ("kill", "killpg"), denied("process", SIGNAL, lambda pid, number: f"signal {number} to {pid}"))
    _wrap(socket, _LOOKUPS, denied("network", NETWORK, _first))
    _wrap(socket.socket, ("connect", "bind"), denied("network", NETWORK, _after_self))
    _wrap(socket.socket, ("__init__",), denied("network", NETWORK, _socket))
    for name in _SYSTEM:
        _wrap(os, (name,), denied("system", SYSTEM, lambda *_, name=name, **__: name))
    functools.update_wrapper(_system, os.system)
    os.system = _system


def _wrap_later(denials: Denials) -> None:
    """Functions of modules that few cells need, when these are imported."""
    no_processes: Judge = lambda error, args, kwargs: denials.of_processes(error)  # noqa: E731  # as the others
    waiting: dict[str, Callable[[ModuleType], None]] = {
        "mmap": lambda module: make_private(denials, module),
        "sqlite3.dbapi2": lambda module: _wrap_sqlite(denials, module),
        "multiprocessing.synchronize": lambda module: _wrap(module.SemLock, ("__init__",), no_processes),
        "multiprocessing.shared_memory": lambda module: _wrap(
            module.SharedMemory, ("__init__",), no_processes
        ),
        "multiprocessing.util": lambda module: _wrap(module, ("spawnv_passfds",), no_processes),
    }
    for name in waiting.keys() & sys.modules.keys():
        waiting.pop(name)(sys.modules[name])
    sys.meta_path.insert(0, _Later(waiting))


def _wrap_sqlite(denials: Denials, module: ModuleType) -> None:
    connect, package = module.connect, sys.modules["sqlite3"]

    @functools.wraps(connect)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        try:
            return connect(*args, **kwargs)
        except module.OperationalError as error:
            denials.of_database(error, args[0] if args else kwargs["database"])
            raise

    module.connect = package.connect = wrapped  # type: ignore[attr-defined]  # modules are open to this


def _wrap(owner: Any, names: Sequence[str], judge: Judge) -> None:
    for name in names:
        original = getattr(owner, name, None)
        if original is not None:
            setattr(owner, name, _wrapped(original, judge, owner))


def _wrapped(original: Callable[..., Any], judge: Judge, owner: Any) -> Callable[..., Any]:
    @functools.wraps(original)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        try:
            return original(*args, **kwargs)
        except OSError as error:
            judge(error, args, kwargs)
            raise

    if isinstance(owner, ModuleType):
        wrapped.__module__ = owner.__name__  # As `os`, not `posix`: where it is found, by pickle too.
    for name in _SUPPORTS:
        if original in getattr(os, name):
            getattr(os, name).add(wrapped)  # shutil and os look their functions up in these.
    return wrapped


def _system(command: Any) -> int:
    # It would start, and return the status of, a shell that cannot be run.
    refuse_program(_text(command))
    raise AssertionError("only put in place where there is a cage")


# --- modules that are imported later ---


class _Later:
    """A finder that wraps functions of a module when that has been imported."""

    def __init__(self, waiting: dict[str, Callable[[ModuleType], None]]) -> None:
        self._waiting = waiting

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        wrap = self._waiting.pop(name, None)
        if wrap is None:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            return None
        loader, run = spec.loader, spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            run(module)
            wrap(module)

        loader.exec_module = exec_module  # type: ignore[method-assign]  # of this one loader
        return spec


# --- what is reported of arguments: only plain values, since others run code of their own ---


def _text(value: object) -> str:
    match value:
        case str():
            return value
        case bytes():
            return os.fsdecode(value)
        case int():
            return str(int(value))
        case [first, second] if isinstance(value, tuple):
            return f"{_text(first)}:{_text(second)}"  # an address
        case [first, *_]:
            return _text(first)
        case os.PathLike():
            return os.fsdecode(value)
        case _:
            return type(value).__name__


def _first(*args: object, **kwargs: object) -> str:
    return _text(next(iter((*args, *kwargs.values())), None))


def _after_self(_: object, *args: object, **kwargs: object) -> str:
    return _first(*args, **kwargs)


def _socket(_: object, family: int = -1, type: int = -1, *args: object, **kwargs: object) -> str:  # noqa: A002  # as in socket
    names = [
        getattr(value, "name", str(value))
        for value in (
            socket.AF_INET if family == -1 else family,
            socket.SOCK_STREAM if type == -1 else type,
        )
    ]
    return f"socket({', '.join(names)})"
