"""`codeact exec` of a hostile file leaves the machine as it was, however it ends."""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from codeact_kernel.sandbox.confine import bwrap, landlock

from .sandbox import as_user
from .sandbox.support import until

pytestmark = pytest.mark.kernel
SCRIPT = Path(sys.executable).with_name("codeact")
HOSTILE = Path(__file__).parent / "sandbox" / "hostile.py"
IMPORTS = ("atexit", "ctypes", "os", "shutil", "signal", "socket", "subprocess", "threading")
FILES = (".bashrc", ".ssh/authorized_keys", ".config/autostart/x", ".ipython/profile_default/startup/0.py")
SHARED = ("/tmp", "/var/tmp", "/dev/shm", "/run/lock")
"""Where anybody may write: the hostile file does so without a cage too."""
PACKAGES = sysconfig.get_path("purelib")
PRIVATE = (
    *("/", "/etc", "/etc/cron.d", "/var/spool/cron", "/dev", "/run", "/usr/local/bin", PACKAGES, sys.prefix),
    *map(str, (Path.home(), Path(sys.base_prefix), HOSTILE.parents[2], HOSTILE.parents[3])),
)
"""Where it only tries in the cage."""
UNCHANGED = ("/etc", "/usr/local", PACKAGES)
BOUND = {"tcp": (("tcp", "tcp6"), "0A"), "udp": (("udp", "udp6"), "07")}
"""Tables below /proc/net and the state of a socket there that waits for others."""
INTERPROCESS = ("shm", "sem", "msg")

Snapshot = dict[str, tuple[object, ...]]


@dataclass
class Place:
    """A home, folder for temporary files and working folder for one `codeact`, and what names its traces."""

    folder: Path
    uid: int
    port: int
    victim: subprocess.Popen[bytes]
    mark: str = field(default_factory=lambda: f"mark-{secrets.token_hex(6)}")
    key: int = field(default_factory=lambda: secrets.randbelow(2**30) + 1)

    def code(self, *, caged: bool, stay: bool) -> str:
        own = [str(self.folder / name) for name in ("home", "tmp", "cwd")]
        given = {
            "MARK": self.mark,
            "PLACES": [*own, *SHARED, *(PRIVATE if caged else ())],
            "FILES": [str(self.folder / "home" / name) for name in FILES],
            "PORT": self.port,
            "KEY": self.key,
            "VICTIM": self.victim.pid,
            "STAY": stay,
        }
        return "".join(f"{name} = {value!r}\n" for name, value in given.items()) + HOSTILE.read_text()

    @contextmanager
    def running(self, *options: str) -> Iterator[subprocess.Popen[str]]:
        """`codeact exec` of the hostile file, which has been written."""
        file = str(self.folder / "cwd" / "hostile.py")
        command = [str(SCRIPT), "exec", file, *options, "--allow-import", *IMPORTS]
        with subprocess.Popen(
            as_user.command(command) if self.uid != os.geteuid() else command,
            cwd=self.folder / "cwd",
            env=as_user.environment(str(self.folder / "home"), {"TMPDIR": str(self.folder / "tmp")}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()


@contextmanager
def a_place(*, ordinary: bool = False, caged: bool = True, stay: bool = False) -> Iterator[Place]:
    """Belongs to an ordinary user, or to whoever tests. Its hostile file ends hard, or stays."""
    uid = as_user.UID if ordinary else os.geteuid()
    with (
        tempfile.TemporaryDirectory(prefix="place-", dir="/tmp") as name,
        subprocess.Popen(["sleep", "1000"], user=uid if ordinary else None) as victim,
    ):
        folder = Path(name)
        for path in (folder / "tmp" / "x", folder / "cwd" / "x", *(folder / "home" / name for name in FILES)):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("what was here\n")
        place = Place(folder, uid, _free_port(), victim)
        (folder / "cwd" / "hostile.py").write_text(place.code(caged=caged, stay=stay))
        for path in (folder, *folder.rglob("*")):
            os.chown(path, uid, -1)
        try:
            yield place
        finally:
            victim.kill()


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


# --- what is there -----------------------------------------------------------------------------


def snapshot(place: Place) -> Snapshot:
    """All below the place and `UNCHANGED`, but for compiled modules, with what a change would change."""
    found: Snapshot = {}
    for folder in (place.folder, *UNCHANGED):
        for root, names, files in os.walk(folder):
            names[:] = [name for name in names if name != "__pycache__"]
            for path in (root, *(os.path.join(root, name) for name in (*names, *files))):
                info = os.lstat(path)
                found[path] = (info.st_ino, info.st_mode, info.st_uid, info.st_size, info.st_mtime_ns)
    del found[str(place.folder / "tmp")]  # Where codeact makes a folder of its own, and takes it away.
    return found


def changes(before: Snapshot, place: Place) -> set[str]:
    """Paths that are new, gone or different."""
    after = snapshot(place)
    return {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}


def traces(place: Place) -> set[str]:
    """Whatever bears the place's mark, by kind."""
    return {
        *(f"file {path}" for path in _marked_files(place)),
        *(f"process {name}" for name in _processes(place).values()),
        *(f"socket {kind}" for kind in _sockets(place)),
        *(f"ipc {kind}" for kind in INTERPROCESS if _has_key(place, kind)),
        *({"key"} if place.mark in _read("/proc/keys") else ()),
        *({"victim"} if place.victim.poll() is not None else ()),
    }


def _read(path: str | Path) -> str:
    try:
        return Path(path).read_bytes().decode("utf-8", "replace")
    except OSError:
        return ""


def _marked_files(place: Place) -> Iterator[str]:
    for folder in (*SHARED, *PRIVATE):
        if os.path.isdir(folder):
            yield from (entry.path for entry in os.scandir(folder) if place.mark in entry.name)


def _processes(place: Place) -> dict[int, str]:
    """Those that name the place in their arguments or environment, which children inherit."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and str(place.folder) in _read(entry / "cmdline") + _read(entry / "environ"):
            found[int(entry.name)] = _read(entry / "comm").strip()
    return found


def _sockets(place: Place) -> Iterator[str]:
    for kind, (tables, state) in BOUND.items():
        rows = [row.split() for table in tables for row in _read(f"/proc/net/{table}").splitlines()[1:]]
        if any(row[1].endswith(f":{place.port:04X}") and row[3] == state for row in rows):
            yield kind
    unix = _read("/proc/net/unix")
    if place.mark in unix or str(place.folder) in unix:
        yield "unix"


def _has_key(place: Place, kind: str) -> bool:
    lines = _read(f"/proc/sysvipc/{kind}").splitlines()[1:]
    return any(line.split()[0] == str(place.key) for line in lines)


# --- the tests ---------------------------------------------------------------------------------


def cages() -> list[object]:
    found = []
    for ordinary in (False, True):
        why = as_user.unavailable() if ordinary else None
        for tier, options, there in (
            ("A", ("--sandbox", "A"), landlock.abi() and bwrap.find()),
            ("B", ("--SandboxProfile.without=namespaces",), landlock.abi()),
        ):
            missing = why or (None if there else f"this machine gives no tier {tier}")
            marks = pytest.mark.skipif(bool(missing), reason=str(missing))
            name = f"{tier}-{'ordinary' if ordinary else 'self'}"
            found.append(pytest.param(options, ordinary, marks=marks, id=name))
    return found


def test_traces_of_what_still_runs_are_seen() -> None:
    with a_place() as place, socket.create_server(("127.0.0.1", place.port)):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket(socket.AF_UNIX) as unix:
            udp.bind(("127.0.0.1", place.port))
            unix.bind(f"\0{place.mark}")
            with subprocess.Popen(["sleep", "1000"], env={"HOME": str(place.folder)}) as sleeper:
                seen = traces(place)
                sleeper.kill()
            assert seen == {"socket tcp", "socket udp", "socket unix", "process sleep"}
        place.victim.kill()
        place.victim.wait()
        assert traces(place) == {"socket tcp", "victim"}


@pytest.mark.parametrize(("options", "ordinary"), cages())
def test_nothing_is_left(options: tuple[str, ...], ordinary: bool) -> None:
    with a_place(ordinary=ordinary) as place:
        before = snapshot(place)
        with place.running(*options) as process:
            said, _ = process.communicate(timeout=100)
        assert changes(before, place) == set()
        assert traces(place) == set()
        assert process.returncode == 1, said
        assert "exit code 3" in said


@pytest.mark.parametrize(("options", "ordinary"), cages())
def test_nothing_is_left_when_codeact_is_killed(options: tuple[str, ...], ordinary: bool) -> None:
    with a_place(ordinary=ordinary, stay=True) as place:
        before = snapshot(place)
        with place.running(*options) as process:
            assert until(lambda: any(place.folder.glob("tmp/codeact-*/work/ready")), 60)
            process.kill()
        assert until(lambda: not _processes(place))
        assert until(lambda: not any(place.folder.glob("tmp/codeact-*")))
        assert changes(before, place) == set()
        assert traces(place) == set()


def test_without_a_cage_it_leaves_traces_of_every_kind() -> None:
    with a_place(caged=False) as place:
        before = snapshot(place)
        try:
            with place.running("--unsandboxed") as process:
                process.communicate(timeout=100)
            left, changed = traces(place), changes(before, place)
        finally:
            _clean_up(place)
        assert {"ipc shm", "ipc sem", "key", "victim"} <= left
        for what in (
            "file",
            "folder",
            "link",
            "pipe",
            "startup.py",
            "daemon",
            "shell",
            "thread",
            "tcp",
            "udp",
        ):
            marked = f"{place.mark}-{what}"
            assert str(place.folder / "home" / marked) in changed
            assert what == "shell" or f"file /dev/shm/{marked}" in left
        assert {str(place.folder / "home" / name) for name in FILES} <= changed


def _clean_up(place: Place) -> None:
    for path in _marked_files(place):
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)
    for pid in _processes(place):
        os.kill(pid, signal.SIGKILL)
    libc, remove = ctypes.CDLL(None), 0
    libc.shmctl(libc.shmget(place.key, 0, 0), remove, None)
    libc.semctl(libc.semget(place.key, 0, 0), 0, remove)
