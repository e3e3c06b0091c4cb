"""Owns how tests look at a kernel and at what started it: from the host, and from inside."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from codeact_kernel.config import SandboxProfile, Settings
from codeact_kernel.sandbox.launching import Launcher

from .probes.measure import descendants
from .support import Lab, supervisor_of, until

WITHOUT = {"A": (), "B": ("namespaces",)}
HOLDERS = ("bwrap", "cat")
PATIENT_S = 60.0
PASSING = re.compile(
    r"Vm|Rss|Huge|.*ctxt_switches|N?S?(Pid|pid|Tgid|tgid|pgid|sid)$|PPid|NS|Threads|SigQ|Name|State"
)
"""Of /proc/PID/status: numbers that differ from start to start."""


def profile_of(tier: str) -> SandboxProfile:
    return SandboxProfile(sandbox=tier, without=WITHOUT[tier])


@contextmanager
def session(tier: str, launcher: Launcher | None = None, start: str = "cold") -> Iterator[Lab]:
    """A running one, which was started as it should be."""
    lab = Lab(Settings(profile=profile_of(tier)), launcher=launcher)
    try:
        lab.start()
        assert (lab.session.report.tier, lab.session.report.start) == (tier, start), lab.session.report
        yield lab
    finally:
        lab.close()


@contextmanager
def preloadable(source: str) -> Iterator[str]:
    """The name of a module of this interpreter's that is `source`."""
    name = f"codeact_test_{os.urandom(6).hex()}"
    path = Path(pytest.__file__).parents[1] / f"{name}.py"
    path.write_text(source)
    try:
        yield name
    finally:
        path.unlink()


def launcher_of(launcher: Launcher) -> int:
    """Its process id."""
    assert launcher._process is not None
    return launcher._process.pid


def name_of(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def kernel_of(lab: Lab) -> int:
    """Process id of the kernel, as the host numbers it."""
    below = descendants(supervisor_of(lab))
    return next(pid for pid in reversed(below) if name_of(pid) not in HOLDERS)


def gone(*pids: int) -> bool:
    """Not there, not even as a zombie."""
    return until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), PATIENT_S)


def seen_from_host(lab: Lab) -> dict[str, Any]:
    """What /proc says of a kernel, without what is another number at every start."""
    pid = kernel_of(lab)
    folder = Path(f"/proc/{pid}")
    names = ("cgroup", "uid_map", "gid_map", "setgroups", "oom_score_adj", "personality", "limits")
    found: dict[str, Any] = {name: (folder / name).read_text() for name in names}
    found["label"] = _label(pid)
    found["networks"] = re.findall(r"^ *(\w+):", (folder / "net/dev").read_text(), re.MULTILINE)
    for line in (folder / "status").read_text().splitlines():
        name, _, value = line.partition(":\t")
        if not PASSING.match(name):
            found[name] = value
    found["cmdline"] = (folder / "cmdline").read_text().split("\0")[:4]
    found["environ"] = sorted(line.partition("=")[0] for line in (folder / "environ").read_text().split("\0"))
    mounts = (folder / "mountinfo").read_text().splitlines()
    found["mounts"] = sorted(" ".join(line.split()[3:6]) for line in mounts)
    found["descriptors"] = sorted({re.sub(r"\[\d+\]", "", where) for where in descriptors(pid)})
    found["namespaces"] = [not _same_namespace(pid, name) for name in sorted(os.listdir(folder / "ns"))]
    found["owner"] = (folder / "fd").stat().st_uid
    found["folder"] = os.readlink(folder / "cwd")
    found["root"] = os.readlink(folder / "root")
    stat = (folder / "stat").read_text().rpartition(")")[2].split()
    found["terminal, nice, policy"] = (stat[4], stat[16], stat[38])
    found["writable and shared"] = [
        line for line in (folder / "maps").read_text().splitlines() if line.split()[1][1::2] == "ws"
    ]
    return _without(lab, found)


def seen_from_inside(lab: Lab) -> dict[str, Any]:
    """What a kernel finds out about itself."""
    cell = lab.run(INSIDE)
    assert cell.status == "ok", cell.shown
    found: dict[str, Any] = json.loads(cell.out)
    return _without(lab, found)


def descriptors(pid: int) -> list[str]:
    """What the open descriptors of a process lead to."""
    folder = f"/proc/{pid}/fd"
    return [os.readlink(f"{folder}/{number}") for number in os.listdir(folder)]


def _label(pid: int) -> str:
    """Of SELinux or AppArmor, where there is one."""
    try:
        return Path(f"/proc/{pid}/attr/current").read_text()
    except OSError as problem:
        return str(problem.errno)


def _same_namespace(pid: int, name: str) -> bool:
    return os.readlink(f"/proc/{pid}/ns/{name}") == os.readlink(f"/proc/self/ns/{name}")


def _without(lab: Lab, found: dict[str, Any]) -> dict[str, Any]:
    """Without the name of the session's folder."""
    folder = str(Path(lab.session.workspace).parent)
    plain: dict[str, Any] = json.loads(json.dumps(found).replace(folder, "SESSION"))
    return plain


INSIDE = """
import ctypes, gc, json, locale, os, signal, socket, sys, threading, time

libc = ctypes.CDLL(None, use_errno=True)

def told(number):
    value = ctypes.c_int(-1)
    return [libc.prctl(number, ctypes.byref(value)), value.value]

def name(handler):
    return getattr(handler, "__qualname__", str(handler))

mask = os.umask(0o77)
os.umask(mask)
numbers = dict(dumpable=3, keepcaps=7, seccomp=21, securebits=27, timerslack=30, no_new_privs=39, huge=42)
print(json.dumps({
    "environment": dict(os.environ), "argv": sys.argv, "path": sys.path, "flags": str(sys.flags),
    "umask": mask, "death signal": told(2), "subreaper": told(37), "tsc": told(25),
    **{key: libc.prctl(number, 0, 0, 0, 0) for key, number in numbers.items()},
    "bounding set": [n for n in range(64) if libc.prctl(23, n) == 1],
    "handlers": {int(n): name(signal.getsignal(n)) for n in signal.valid_signals()},
    "blocked": [int(n) for n in signal.pthread_sigmask(signal.SIG_BLOCK, [])],
    "threads": sorted(t.name.translate(dict.fromkeys(range(48, 58))) for t in threading.enumerate()),
    "host": socket.gethostname(), "ids": [os.getresuid(), os.getresgid(), os.getgroups()],
    "locale": locale.setlocale(locale.LC_ALL), "zone": time.tzname, "folder": os.getcwd(),
    "recursion": sys.getrecursionlimit(), "garbage": [gc.isenabled(), gc.get_threshold()],
    "owner": [os.stat("/proc/self").st_uid, os.stat("/proc/self/fd").st_uid],
    "cores": sorted(os.sched_getaffinity(0)), "main": str(sys.modules["__main__"].__dict__.get("__file__")),
    "hooks": [name(sys.breakpointhook), name(sys.unraisablehook), len(sys.path_hooks)],
    "finders": [getattr(finder, "__name__", type(finder).__name__) for finder in sys.meta_path],
    "session is its own": os.getsid(0) == os.getpid(), "parent": os.getppid() == 0,
}))
"""
