"""Owns trust in tools files and MCP configurations: which file, with which content, a notebook may have used
on the host.

A tools file runs with the rights of the user, and a notebook may be a stranger's. So what a notebook names,
or what lies beside it, runs only where the user said so: `codeact trust PATH` records the real path of the
file and the SHA-256 of its content. Exactly the bytes whose digest was compared are run, and nothing that
lies beside the file can be imported by them: trust covers one file.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal

from jupyter_core.paths import jupyter_data_dir

from ..exceptions import UsageError
from ..notebook.opening import opened
from ..tools.mcp.server import ServerConfig
from ..tools.registry import Tool
from ..tools.toolkits import within
from .server_configs import read_config
from .toolsfile import is_file_name, split_entry, tools_of_source

MAX_TOOLS_BYTES = 4 * 1024 * 1024
MAX_STORE_BYTES = 16 * 1024 * 1024
_VERSION = 1

State = Literal["as trusted", "changed", "cannot be read"]


@dataclass(frozen=True)
class Trusted:
    """A file that was trusted. `path`: the real one. `sha256`: of its content then, hexadecimal."""

    path: Path
    sha256: str
    state: State


def load_trusted_tools(path: str | Path) -> tuple[Tool, ...]:
    """The tools of a file that a notebook names, relative to the current folder; also as `NAME=FILE.py`.

    Raises: UsageError when the file is not trusted, was changed since, or cannot be used.
    """
    name, what = split_entry(os.fspath(path))
    if name:
        return within(name, load_trusted_tools(what))
    if not is_file_name(what) and not Path(path).exists():
        raise UsageError(
            f"{str(path)!r} is no tools file; give FILE.py. Modules and installed toolkits are named in "
            f"codeact_config.py: c.CodeActKernel.tools = [{str(path)!r}]"
        )
    real = _real(path)
    source = _content(real)
    _check(real, sha256(source).hexdigest())
    try:
        return tools_of_source(real, source, alone=True)
    except UsageError as problem:
        if isinstance(problem.__cause__, ModuleNotFoundError):
            raise UsageError(
                f"{problem}; trust covers one file, and what lies beside it cannot be imported"
            ) from problem
        raise


def load_trusted_servers(path: str | Path) -> tuple[ServerConfig, ...]:
    """The MCP servers of a file that a notebook names: it says which programs run on the host.

    Raises: UsageError when the file is not trusted, was changed since, or cannot be used.
    """
    real = _real(path)
    source = _content(real)
    _check(real, sha256(source).hexdigest(), "MCP configuration", "the programs that it names would run")
    return read_config(source, real)


def trusted(path: str | Path) -> bool:
    """Whether the file is trusted with the content that it has now."""
    real = _real(path)
    known = _read().get(str(real))
    return known is not None and _state(real, known) == "as trusted"


def trust(path: str | Path) -> Trusted:
    """Trusts the file with the content that it has now. Raises: UsageError."""
    real = _real(path)
    digest = sha256(_content(real)).hexdigest()
    _change(lambda files: files.__setitem__(str(real), digest))
    return Trusted(real, digest, "as trusted")


def forget(path: str | Path) -> Path:
    """Ends the trust in a file, whether it is still there or not. Raises: UsageError when there was none."""
    real = _real(path)
    if str(real) not in _read():
        raise UsageError(f"{str(real)!r} is not trusted; `codeact trust --list` shows what is")
    _change(lambda files: files.pop(str(real), None))
    return real


def trusted_files() -> tuple[Trusted, ...]:
    """All of them, by path, and whether they are still as they were. Raises: UsageError."""
    files = ((Path(name), digest) for name, digest in sorted(_read().items()))
    return tuple(Trusted(path, digest, _state(path, digest)) for path, digest in files)


# --- one file ----------------------------------------------------------------------------------


def _real(path: str | Path) -> Path:
    try:
        return Path(path).expanduser().resolve()
    except (OSError, RuntimeError, ValueError) as problem:  # A loop of links; no such home; a null byte.
        raise UsageError(f"tools file {str(path)!r} cannot be used: {problem}") from None


def _content(real: Path) -> bytes:
    with opened(real, "tools file", MAX_TOOLS_BYTES) as file:
        data = file.read(MAX_TOOLS_BYTES + 1)
    if len(data) > MAX_TOOLS_BYTES:
        raise UsageError(f"the tools file {str(real)!r} has more than {MAX_TOOLS_BYTES:,} bytes")
    return data


def _check(real: Path, digest: str, what: str = "tools file", does: str = "it would run") -> None:
    known = _read().get(str(real))
    command = f"codeact trust {shlex.quote(str(real))}"
    if known is None:
        raise UsageError(
            f"the {what} {str(real)!r} is not trusted: {does} outside the sandbox, with your "
            f"rights. Read it, and if you want that: {command}"
        )
    if known != digest:
        raise UsageError(
            f"the {what} {str(real)!r} was changed since you trusted it (SHA-256 was {known[:12]}…, is "
            f"{digest[:12]}…). Read what changed, and if you want it: {command}"
        )


def _state(real: Path, known: str) -> State:
    try:
        return "as trusted" if sha256(_content(real)).hexdigest() == known else "changed"
    except UsageError:
        return "cannot be read"


# --- the record --------------------------------------------------------------------------------


def store_path() -> Path:
    """Where trust is recorded: in this user's data folder of Jupyter."""
    return Path(jupyter_data_dir()) / "codeact" / "trusted_tools.json"


def _read() -> dict[str, str]:
    """Real path -> digest."""
    path = store_path()
    if not path.exists():
        return {}
    with opened(path, "record of trusted files", MAX_STORE_BYTES) as file:
        state = os.fstat(file.fileno())
        if state.st_uid != os.geteuid() or state.st_mode & 0o022:
            raise UsageError(f"the record of trusted files {str(path)!r} can be written by others; remove it")
        data = file.read(MAX_STORE_BYTES)
    try:
        document = json.loads(data)
        files = document["files"] if document["version"] == _VERSION else None
    except (ValueError, TypeError, KeyError, RecursionError):
        files = None
    if not isinstance(files, dict) or not all(isinstance(value, str) for value in files.values()):
        raise UsageError(
            f"the record of trusted files {str(path)!r} cannot be read; remove it, and trust again"
        )
    return files


def _change(change: Callable[[dict[str, str]], object]) -> None:
    path = store_path()
    try:
        path.parent.parent.mkdir(parents=True, exist_ok=True)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        with _locked(path.with_suffix(".lock")):
            files = _read()
            change(files)
            _write(path, files)
    except OSError as problem:
        raise UsageError(
            f"cannot write {str(path)!r}, the record of trusted files: {problem.strerror}"
        ) from None


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Two commands at once: neither loses what the other recorded."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _write(path: Path, files: dict[str, str]) -> None:
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            json.dump({"version": _VERSION, "files": files}, file, indent=1, sort_keys=True)
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
