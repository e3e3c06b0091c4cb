"""Owns what the probes of the doctor are aimed at, on the host, and the judgement of what was reached.

Files with a secret in them, listening sockets, a process: all made for the examination, in a folder of
its own. Nothing here waits: the kernel queues a connection before `connect` returns, and a blocked signal
is pending as soon as it was sent.
"""

from __future__ import annotations

import os
import secrets
import socket
import sqlite3
import stat
import subprocess
import sys
import sysconfig
import tempfile
from contextlib import closing
from pathlib import Path

from ..config import SandboxLimits
from ..exceptions import SandboxError
from ..wire.messages import Json
from .confine.sessions import remove_tree

SHORT = 80
"""Characters of a folder whose sockets have an address that is not too long."""
END_S = 5.0
_VICTIM = """
import ctypes, os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
secret, kept = sys.argv[1].encode(), os.open(sys.argv[2], os.O_RDONLY)
print(ctypes.addressof(held := ctypes.create_string_buffer(secret)), kept, flush=True)
os.read(0, 1)
"""


class Victim:
    """A process that does nothing until its standard input ends, with the secret in all it has."""

    def __init__(self, secret: str, path: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", _VICTIM, secret, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={"SECRET": secret},
        )
        assert self._process.stdout is not None
        words = self._process.stdout.readline().split()
        if len(words) != 2:
            raise SandboxError(f"the doctor's target process did not start: {sys.executable!r} ended early")
        self.pid = self._process.pid
        self.address, self.descriptor = map(int, words)
        self._before = self._settings()

    def harmed(self) -> str | None:
        """What was done to it."""
        try:
            fields = dict(
                line.split(":\t", 1) for line in Path(f"/proc/{self.pid}/status").read_text().splitlines()
            )
        except OSError:
            return "the process is gone"
        if (state := fields["State"][0]) in "ZXTt":
            return f"the process was {'stopped' if state in 'Tt' else 'killed'}"
        if int(fields["SigPnd"], 16) | int(fields["ShdPnd"], 16):
            return "the process got a signal"
        if int(fields["TracerPid"]):
            return "the process is traced"
        return None if self._settings() == self._before else "priority, processors or limits were changed"

    def end(self) -> None:
        self._process.kill()
        try:
            self._process.communicate(timeout=END_S)
        except subprocess.TimeoutExpired:
            pass  # Something still traces it; it is reaped when that ends, or we do.

    def _settings(self) -> tuple[object, ...]:
        import resource  # not on Windows

        limits = resource.prlimit(self.pid, resource.RLIMIT_NOFILE)
        return os.getpriority(os.PRIO_PROCESS, self.pid), os.sched_getaffinity(self.pid), limits


class Listeners:
    """Sockets of every family that a probe tries to reach. Linux only, for the abstract one."""

    def __init__(self, folder: Path) -> None:
        self._sockets: dict[str, socket.socket] = {}
        inet, unix = socket.AF_INET, socket.AF_UNIX
        stream, datagram = socket.SOCK_STREAM, socket.SOCK_DGRAM
        self.targets: dict[str, Json] = {
            "tcp": self._open("tcp", inet, stream, ("127.0.0.1", 0)).getsockname()[1],
            "udp": self._open("udp", inet, datagram, ("127.0.0.1", 0)).getsockname()[1],
            "unix": str(folder / "u"),
            "datagram": str(folder / "d"),
            "abstract": secrets.token_hex(8),
            "tcp6": 1,
        }
        self._open("unix", unix, stream, str(folder / "u"))
        self._open("datagram", unix, datagram, str(folder / "d"))
        self._open("abstract", unix, stream, f"\0{self.targets['abstract']}")
        try:
            listener = self._open("tcp6", socket.AF_INET6, stream, ("::1", 0))
            self.targets["tcp6"] = listener.getsockname()[1]
        except OSError:
            pass  # This machine has no IPv6.

    def reached(self) -> str | None:
        """The sockets that somebody has connected or sent to since the last call."""
        found = [name for name, listener in self._sockets.items() if _taken(listener)]
        return f"the host's {', '.join(found)} socket" if found else None

    def close(self) -> None:
        for listener in self._sockets.values():
            listener.close()

    def _open(self, name: str, family: int, kind: int, address: str | tuple[str, int]) -> socket.socket:
        made = self._sockets[name] = socket.socket(family, kind)
        made.setblocking(False)
        made.bind(address)
        if kind == socket.SOCK_STREAM:
            made.listen()
        return made


class Scene:
    """Everything that the probes are aimed at. Use as a context manager: nothing of it is left behind.

    Args:
        bounds: the limits of the sessions that are examined; the probes try to go beyond.
    """

    def __init__(self, bounds: SandboxLimits) -> None:
        self._bounds = bounds
        short = len(tempfile.gettempdir()) < SHORT
        self._folder = Path(tempfile.mkdtemp(prefix="codeact-doctor-", dir=None if short else "/tmp"))
        self._secret, self._token = secrets.token_hex(16), secrets.token_hex(8)
        self._stray = _strays(f"codeact-doctor-{secrets.token_hex(6)}")
        self._open = self._folder / "open"
        """For all users, so that only the cage is in the way."""
        self._folder.chmod(0o755)
        self._plant()
        self._listeners = Listeners(self._folder)
        self._victim = Victim(self._secret, self._open / "secret")

    def __enter__(self) -> Scene:
        return self

    def __exit__(self, *problem: object) -> None:
        self._victim.end()
        self._listeners.close()
        self._clear_strays()
        remove_tree(str(self._folder))

    def targets(self) -> dict[str, Json]:
        """What a probe is told: its `T`."""
        return {
            **self._listeners.targets,
            "secret": str(self._open / "secret"),
            "database": str(self._open / "database"),
            "note": str(self._open / "note"),
            "folder": str(self._open),
            "stray": {name: str(path) for name, path in self._stray.items()},
            "token": self._token,
            "victim": self._victim.pid,
            "address": self._victim.address,
            "descriptor": self._victim.descriptor,
            "memory": self._bounds.memory_bytes,
            "file": self._bounds.file_bytes,
            "files": self._bounds.open_files,
            "threads": self._bounds.threads,
        }

    def reached(self, workspace: Path, shown: str, printed: str) -> str | None:
        """What the probe that just ran got hold of, if anything; the scene is as new afterwards.

        Args:
            workspace: of the session; what the probe left there is judged and removed.
            shown: all text that it showed.
            printed: of that, what it wrote to standard output; a traceback quotes the token it was given.
        """
        found = (
            "a secret of the host" if self._secret in shown else None,
            self._listeners.reached(),
            self._harmed(),
            self._changed(),
            self._left_behind(),
            self._odd_file(workspace),
            "what must be refused succeeded" if self._token in printed else None,
        )
        return "; ".join(filter(None, found)) or None

    def _harmed(self) -> str | None:
        found = self._victim.harmed()
        if found:
            self._victim.end()
            self._victim = Victim(self._secret, self._open / "secret")
        return found

    def _changed(self) -> str | None:
        if _digest(self._open) == self._planted:
            return None
        self._plant()
        return "files of the host were changed"

    def _plant(self) -> None:
        remove_tree(str(self._open))
        self._open.mkdir(mode=0o755)
        (self._open / "secret").write_text(self._secret)
        (self._open / "note").write_text("as it was")
        (self._open / f"named-{self._secret}").touch()
        with closing(sqlite3.connect(self._open / "database")) as database, database:
            database.execute("create table t as select ? as word", (self._secret,))
        for path in self._open.iterdir():
            path.chmod(0o644)
        self._planted = _digest(self._open)

    def _left_behind(self) -> str | None:
        found = [str(path) for path in self._stray.values() if path.exists()]
        self._clear_strays()
        return f"a file was left at {', '.join(found)}" if found else None

    def _clear_strays(self) -> None:
        for path in self._stray.values():
            path.unlink(missing_ok=True)

    def _odd_file(self, workspace: Path) -> str | None:
        """Of all that it left in the workspace, what can only be there if something was not held."""
        left = list(workspace.iterdir())
        oddities = [_oddity(path, self._bounds.file_bytes) for path in left]
        for path in left:
            path.unlink()
        return next(filter(None, oddities), None)


def _strays(name: str) -> dict[str, Path]:
    folders = {
        "home": os.path.expanduser("~"),
        "packages": sysconfig.get_path("purelib"),
        "tmp": tempfile.gettempdir(),
        "vartmp": "/var/tmp",
        "shm": "/dev/shm",
    }
    return {where: Path(folder) / name for where, folder in folders.items()}


def _oddity(path: Path, most: int) -> str | None:
    found = path.lstat()
    if path.name == "ran":
        return "a process of its own ran"
    if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
        return f"a special file in the workspace ({stat.filemode(found.st_mode)})"
    if found.st_mode & (stat.S_ISUID | stat.S_ISGID):
        return "a file with the setuid bit in the workspace"
    if stat.S_ISREG(found.st_mode) and found.st_nlink > 1:
        return "a hard link to a file of the host"
    return f"a file of {found.st_size:,} bytes" if found.st_size > most else None


def _digest(folder: Path) -> list[tuple[object, ...]]:
    """Names, kinds, modes, times and content of what is in a folder."""
    paths = [folder, *sorted(folder.iterdir())]
    return [
        (
            path.name,
            *(found := path.lstat())[:2],
            found.st_mtime_ns,
            found.st_nlink,
            found.st_size,
            _content(path),
        )
        for path in paths
    ]


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() and not path.is_symlink() else b""


def _taken(listener: socket.socket) -> bool:
    """Whether something waits at a socket; takes it all."""
    taken = False
    try:
        while True:
            if listener.type == socket.SOCK_STREAM:
                listener.accept()[0].close()
            else:
                listener.recv(64)
            taken = True
    except OSError:  # Nothing more.
        return taken
