"""Owns the host that is attacked: its secrets, folders, listeners and victim, and what became of them."""

from __future__ import annotations

import atexit
import ctypes
import errno
import hashlib
import json
import os
import secrets
import shutil
import sqlite3
import stat
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from .listeners import Listeners
from .victims import Victim

HOME_FILES = (
    ".ssh/id_rsa",
    ".netrc",
    ".aws/credentials",
    ".config/pip/pip.conf",
    ".bashrc",
    ".ipython/profile_default/startup/own.txt",
)
PLACES = (
    "file", "deep file", "client's environment", "other session", "other kernel's connection file",
    "environment of the victim", "memory of the victim", "open file of the victim", "argv of the victim",
    "name of a file", "name of a socket", "database", "file in the virtual environment",
)  # fmt: skip
TOOLS = ("sh", "touch", "env", "bash", "mkdir")
HOST_ENV = "CODEACT_TEST_PASSWORD"
SCANNED_BYTES = 1024 * 1024


class Scene:
    """Everything one kernel is tempted with."""

    def __init__(self) -> None:
        atexit.register(self.close)  # also when the worker fails: it leaves nothing on the machine
        self.root = Path(tempfile.mkdtemp(prefix="cap-"))
        self.mark = f"codeact-probe-{secrets.token_hex(6)}"
        self.claim = f"CLAIM-{secrets.token_hex(6)}"
        self.key = secrets.randbits(30) | 1
        self.secrets = {place: f"s{secrets.token_hex(16)}" for place in (*PLACES, *HOME_FILES)}
        self.secrets["client's environment"] = os.environ.setdefault(
            HOST_ENV, self.secrets["client's environment"]
        )  # Of a launcher, which outlives this scene, the client is this process.
        self.work = self.root / "work"
        """The workspace."""
        self.other_session = Path(tempfile.mkdtemp(prefix=f"codeact-{_namespace()}-{os.getpid()}-"))
        for name in ("work", "data", "outside", "runtime", "sockets", "client"):
            (self.root / name).mkdir()
        self._furnish()
        self.listeners = Listeners(self.root / "sockets", self.mark, self.secrets["name of a socket"])
        self.victim = Victim(self.secrets, self.root / "outside")
        self.drops = [str(folder) for folder in self._drop_folders()]
        self.rebase()

    @property
    def environment(self) -> dict[str, str]:
        """Of the Jupyter client, secrets included."""
        return {
            "HOME": str(self.root / "home"),
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            HOST_ENV: self.secrets["client's environment"],
            "SSH_AUTH_SOCK": str(self.root / "sockets" / "s"),
        }

    def targets(self, supervisor: int) -> dict[str, Any]:
        """`T` of the snippets."""
        outside = self.root / "outside"
        told = self.victim.told
        return {
            "secret_file": str(outside / "secret.txt"),
            "secret_dir": str(outside),
            "secret_name": "secret.txt",
            "home": str(self.root / "home"),
            "runtime": str(self.root / "runtime"),
            "other_connection": str(self.root / "runtime" / "kernel-other.json"),
            "other_session": str(self.other_session),
            "data": str(self.root / "data"),
            "data_file": str(self.root / "data" / "table.csv"),
            "work": str(self.work),
            "venv_file": str(self.venv_file),
            "outside": str(outside),
            "drops": self.drops,
            "mark": self.mark,
            "marker": str(self.work / f"{self.mark}-marker"),
            "key": self.key,
            "claim": self.claim,
            "victim": self.victim.pid,
            "victim_tid": self.victim.pid,
            "victim_address": told["address"],
            "victim_length": told["length"],
            "victim_fd": told["fd"],
            "supervisor": supervisor,
            "host_env": HOST_ENV,
            "python": sys.executable,
            "tools": {name: shutil.which(name) or f"/bin/{name}" for name in TOOLS},
            **self.listeners.targets(),
        }

    def secret_in(self, text: str) -> str | None:
        """Whose secret stands in the text, if any."""
        return next((place for place, value in self.secrets.items() if value in text), None)

    def rebase(self) -> None:
        """Takes the scene as it is for untouched."""
        self._before = dict(self._digest())
        self.listeners.contacts()

    def disturbed(self) -> str | None:
        """What was done to the host since, first thing found."""
        contacts = self.listeners.contacts()
        if contacts:
            return f"listener reached: {', '.join(contacts)}"
        return self.victim.harm() or self._changed() or self._dropped() or self._ipc() or self._planted()

    def tidy(self) -> None:
        """Empties the workspace for the next probe, but for the declared data."""
        for entry in os.scandir(self.work):
            if entry.name != "data":
                _remove(entry.path)

    def close(self) -> None:
        """Removes all of it, also what a probe left in the drops."""
        atexit.unregister(self.close)
        self.victim.end()
        self.listeners.close()
        self.venv_file.unlink(missing_ok=True)
        for path in self._marks():
            _remove(path)
        self._remove_ipc()
        for tree in (self.root, self.other_session):
            _remove(str(tree))

    def _furnish(self) -> None:
        secret = self.secrets
        files = {f"home/{name}": secret[name] for name in HOME_FILES}
        files |= {
            "outside/secret.txt": secret["file"],
            "outside/deep/secret.txt": secret["deep file"],
            "outside/plain.txt": "nothing",
            f"outside/{secret['name of a file']}": "",
            "runtime/kernel-other.json": json.dumps({"key": secret["other kernel's connection file"]}),
            "data/table.csv": "a,b\n1,2\n",
            "data/other.csv": "a,b\n3,4\n",
        }
        for name, content in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        for name in ("work", "home", "tmp", "rt-1"):
            (self.other_session / name).mkdir()
        (self.other_session / "work" / "secret.txt").write_text(secret["other session"])
        (self.root / "outside" / "hollow").mkdir()
        with closing(sqlite3.connect(self.root / "outside" / "database.sqlite")) as database:
            database.execute("create table kept (secret text)")
            database.execute("insert into kept values (?)", [secret["database"]])
            database.commit()
        self.venv_file = Path(sys.prefix) / f"{self.mark}.conf"
        if os.access(sys.prefix, os.W_OK):
            self.venv_file.write_text(secret["file in the virtual environment"])

    def _drop_folders(self) -> Iterator[Path]:
        """Where a probe may try to leave a file; the prelude's `T["drops"]`."""
        yield from (self.root, self.root / "home", self.root / "client", self.other_session / "work")
        yield from (Path(sysconfig.get_paths()["purelib"]), Path(sysconfig.get_paths()["stdlib"]))
        yield from (Path(folder) for folder in ("/tmp", "/var/tmp", "/dev/shm", "/run", "/etc", "/root"))

    def _digest(self) -> Iterator[tuple[str, object]]:
        """Inode by inode; the time of change moves with every change of the metadata."""
        trees = [self.root / name for name in ("outside", "home", "data")]
        for tree in (*trees, self.root / "runtime" / "kernel-other.json", self.other_session):
            for path in (tree, *tree.rglob("*")):
                found = path.lstat()
                body = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
                what = (found.st_mode, found.st_uid, found.st_gid, found.st_nlink, found.st_ino)
                yield str(path), (*what, found.st_mtime_ns, found.st_ctime_ns, body)

    def _changed(self) -> str | None:
        now = dict(self._digest())
        changed = {path for path, _ in now.items() ^ self._before.items()}
        return f"host file changed: {min(changed)}" if changed else None

    def _marks(self) -> list[str]:
        found = []
        for folder in self.drops:
            try:
                found += [entry.path for entry in os.scandir(folder) if self.mark in entry.name]
            except OSError:
                pass  # not for this user, or not on this machine
        return found

    def _dropped(self) -> str | None:
        found = self._marks()
        return f"host file made: {found[0]}" if found else None

    def _ipc(self) -> str | None:
        for kind in ("shm", "sem", "msg"):
            if str(self.key) in Path(f"/proc/sysvipc/{kind}").read_text().split():
                return f"System V object made: {kind}"
        descriptor = ctypes.CDLL(None).mq_open(f"/{self.mark}".encode(), os.O_RDONLY)
        if descriptor >= 0:
            os.close(descriptor)
            return "message queue made"
        return None

    def _remove_ipc(self) -> None:
        libc = ctypes.CDLL(None)
        libc.shmctl(libc.shmget(self.key, 0, 0), 0, None)
        libc.semctl(libc.semget(self.key, 0, 0), 0, 0)
        libc.msgctl(libc.msgget(self.key, 0), 0, None)
        libc.mq_unlink(f"/{self.mark}".encode())

    def _planted(self) -> str | None:
        """What lies in the workspace that must not: links, nodes, set-user-id, secrets, the marker."""
        if os.path.lexists(self.work / f"{self.mark}-marker"):
            return "a second program or process ran: its marker is in the workspace"
        owner = os.geteuid()
        for entry in _entries(self.work):
            try:
                problem = self._wrong(entry.path, entry.stat(follow_symlinks=False), owner)
            except OSError as error:
                if error.errno != errno.ENAMETOOLONG:
                    raise
                continue  # just too deep for a path to name it
            if problem:
                return f"{problem} in the workspace: {entry.name!r:.80}"
        return None

    def _wrong(self, path: str, found: os.stat_result, owner: int) -> str | None:
        mode = found.st_mode
        if stat.S_ISLNK(mode):
            ours = os.readlink(path) in (str(self.root / "data"), str(self.root / "data" / "table.csv"))
            return None if ours else "symbolic link"
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            return "device, fifo or socket"
        if found.st_uid != owner:
            return f"something of user {found.st_uid}"
        if stat.S_ISDIR(mode):
            return None
        if mode & (stat.S_ISUID | stat.S_ISGID):
            return "set-user-id file"
        if found.st_nlink > 1:
            return "hard link"
        if os.listxattr(path):
            return "extended attribute"
        place = self.secret_in(_head(path)) if mode & stat.S_IRUSR else None
        return f"secret of {place}" if place else None


def _head(path: str) -> str:
    with open(path, "rb") as file:
        return file.read(SCANNED_BYTES).decode("latin-1")


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """All there is in a tree, as deep as a path can name it; `os.walk` recurses (Python 3.11)."""
    waiting = [str(folder)]
    while waiting:
        try:
            found = list(os.scandir(waiting.pop()))
        except OSError:
            continue  # not readable, or its path is too long
        yield from found
        waiting += [entry.path for entry in found if entry.is_dir(follow_symlinks=False)]


def _remove(path: str) -> None:
    """Of any depth, with any permissions."""
    for command in (["rm", "-rf"], ["chmod", "-R", "u+rwX"], ["rm", "-rf"]):
        if os.path.lexists(path):  # a link is gone after the first, so that chmod follows none
            subprocess.run([*command, "--", path], check=False, capture_output=True)


def _namespace() -> int:
    return os.stat("/proc/self/ns/pid").st_ino
