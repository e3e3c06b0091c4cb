"""What a process cannot get back once it has given it up."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys

import pytest

from .inside import PRELUDE, Caller

STATUS = """
def status():
    with open("/proc/self/status") as file:
        return dict(line.rstrip("\\n").split(":\\t", 1) for line in file)
"""


def test_only_descriptors_that_are_kept_stay_open(caller: Caller) -> None:
    answers = caller.ask(
        """
kept = os.open("/dev/null", os.O_RDONLY)
high = os.dup2(kept, 900)
for _ in range(20):
    os.dup(kept)
privileges.close_descriptors([kept])
answers["open"] = [number for number in range(1000) if os.path.exists(f"/proc/self/fd/{number}")]
answers["kept"] = kept
"""
    )
    assert answers["open"] == [0, 1, 2, answers["kept"]]


def test_limits_hold_and_cannot_be_raised(caller: Caller) -> None:
    answers = caller.ask(
        """
bounds = Bounds(memory_bytes=300 * MIB, file_bytes=1000, open_files=40, cpu_seconds=7.5)
enforced = privileges.set_limits(bounds)
privileges.drop_capabilities()
answers["enforced"] = sorted(enforced)
kinds = {name: getattr(resource, "RLIMIT_" + name) for name in
         "AS CORE CPU DATA FSIZE MEMLOCK MSGQUEUE NICE NOFILE RTPRIO SIGPENDING".split()}
limits = {name: resource.getrlimit(kind) for name, kind in kinds.items()}
for name, kind in kinds.items():
    soft, hard = limits[name]
    if soft != hard:
        answers["soft is not hard"] = name
    try:
        resource.setrlimit(kind, (hard + 1, hard + 1))
        answers["could be raised"] = name
    except ValueError:
        pass
answers |= {name: soft for name, (soft, _) in limits.items()}
def fill():
    with open(os.path.join(place, "big"), "wb", 0) as file:
        while file.write(b"x" * 400):
            pass
attempt("file", fill)
attempt("open", lambda: [os.open("/dev/null", os.O_RDONLY) for _ in range(40)])
answers["memory"] = "worked"
for name, kind in (("private", mmap.MAP_PRIVATE), ("shared", mmap.MAP_SHARED)):
    attempt("some " + name, lambda: mmap.mmap(-1, 100 * MIB, kind | mmap.MAP_ANONYMOUS).close())
    attempt("much " + name, lambda: mmap.mmap(-1, 9000 * MIB, kind | mmap.MAP_ANONYMOUS | 0x4000).close())
try:
    held = bytes(700 * MIB)
except MemoryError:
    answers["memory"] = "MemoryError"
"""
    )
    mib = 1024 * 1024
    assert answers == {
        "enforced": ["file_bytes", "memory_bytes", "open_files"],
        "AS": (300 + 8192) * mib,
        "CORE": 1,
        "CPU": 18,
        "DATA": 300 * mib,
        "FSIZE": 1000,
        "MEMLOCK": 0,
        "MSGQUEUE": 0,
        "NICE": 0,
        "NOFILE": 40,
        "RTPRIO": 0,
        "SIGPENDING": 64,
        "file": "EFBIG",
        "open": "EMFILE",
        "memory": "MemoryError",
        "some private": "worked",
        "some shared": "worked",
        "much private": "ENOMEM",
        "much shared": "ENOMEM",
    }


def test_a_stricter_limit_of_the_host_stays(caller: Caller) -> None:
    answers = caller.ask(
        """
resource.setrlimit(resource.RLIMIT_NOFILE, (20, 30))
resource.setrlimit(resource.RLIMIT_NPROC, (5000, 5000))
answers["enforced"] = "threads" in privileges.set_limits(Bounds(open_files=512))
answers["files"] = resource.getrlimit(resource.RLIMIT_NOFILE)
answers["processes"] = resource.getrlimit(resource.RLIMIT_NPROC)
"""
    )
    assert answers == {"enforced": False, "files": [30, 30], "processes": [5000, 5000]}


def test_capabilities_are_gone_from_every_set(caller: Caller) -> None:
    target = caller.write("file")
    os.chmod(target, 0)
    os.chown(target, 12345, 12345)
    answers = caller.ask(
        STATUS
        + """
before = privileges.capabilities()
privileges.drop_capabilities()
answers |= {name: value for name, value in status().items() if name.startswith("Cap") and int(value, 16)}
answers["left"] = privileges.capabilities()
answers["before"] = before != 0
attempt("chown", lambda: os.chown(os.path.join(place, "file"), 0, 0))
attempt("read", lambda: open(os.path.join(place, "file")))
attempt("setuid", lambda: os.setgroups([4]))
attempt("hostname", lambda: socket.sethostname("mine"))
"""
    )
    assert answers.pop("before") is not caller.ordinary, "else the test shows nothing"
    assert answers == {"left": 0, "chown": "EPERM", "read": "EACCES", "setuid": "EPERM", "hostname": "EPERM"}


def test_capabilities_without_effect_are_counted(caller: Caller) -> None:
    if caller.ordinary:
        pytest.skip("there is none that could stay")
    answers = caller.ask(
        """
answers["before"] = privileges.capabilities()
os.setresuid(61234, 61234, 0)  # The kernel takes the effective ones away, and only these.
answers["after"] = privileges.capabilities()
"""
    )
    assert answers["after"] == answers["before"] != 0, "the permitted ones are counted too"


def test_no_new_privileges(caller: Caller) -> None:
    answers = caller.ask(
        STATUS
        + """
answers["before"] = privileges.has_no_new_privileges()
privileges.no_new_privileges()
answers["after"] = privileges.has_no_new_privileges()
answers["status"] = status()["NoNewPrivs"]
"""
    )
    assert answers == {"before": False, "after": True, "status": "1"}


def test_files_are_private_from_now_on(caller: Caller) -> None:
    answers = caller.ask(
        """
os.umask(0)
privileges.private_files()
os.close(os.open(os.path.join(place, "made"), os.O_CREAT | os.O_WRONLY, 0o777))
answers["mode"] = oct(os.stat(os.path.join(place, "made")).st_mode & 0o777)
"""
    )
    assert answers == {"mode": "0o700"}


def test_it_ends_with_its_parent() -> None:
    code = (
        PRELUDE
        + """
parent = os.getpid()
if os.fork() == 0:
    privileges.die_with_parent(parent)
    os.write(1, b"ready")
    signal.pause()
signal.pause()
"""
    )
    with subprocess.Popen([sys.executable, "-I", "-c", code, "."], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert os.read(process.stdout.fileno(), 100) == b"ready"
        os.kill(process.pid, signal.SIGKILL)
        ready, _, _ = select.select([process.stdout], [], [], 10)
        assert ready, "the child is still there: its end of the pipe is open"
        assert os.read(process.stdout.fileno(), 100) == b""


def test_a_parent_that_has_ended_before_is_noticed(caller: Caller) -> None:
    answers = caller.ask(
        """
try:
    privileges.die_with_parent(os.getppid() + 1)
except ProcessLookupError as problem:
    answers["said"] = str(problem)
privileges.die_with_parent(0)
"""
    )
    assert "has ended" in answers["said"]
