"""A fork, and a spare, are as confined as a kernel that starts cold: layer by layer, and tried.

The attacks of `probes` are run in forks as well; here is what only a fork could give away.
"""

from __future__ import annotations

import ast
import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from codeact_kernel.sandbox.confine.preparation import FOR_FORKS
from codeact_kernel.sandbox.launching import Launcher

from .launched import (
    descriptors,
    kernel_of,
    launcher_of,
    profile_of,
    seen_from_host,
    seen_from_inside,
    session,
)
from .probes.measure import descendants
from .probes.run import tiers
from .support import Lab, supervisor_of, value_of

pytestmark = pytest.mark.kernel

OF_HOST = f"of-the-host-{secrets.token_hex(12)}"
OF_SIBLING = f"of-a-sibling-{secrets.token_hex(12)}"
LIBRARIES = ("numpy", "pandas", "matplotlib.pyplot")
STARTS = ("cold", "fork", "spare")

OF_LAUNCHER = {
    "cmdline": "the launcher's: no session is named in it",
    "environ": "the launcher's: no variable of a session, and none of the host's that a kernel has not",
    "environment": "PWD, which bubblewrap sets",
    "mounts": "the program that keeps the namespaces can be read",
    "session is its own": "cold, bubblewrap's is around it",
    "parent": "the supervisor, which is outside of the namespace",
    "FDSize": "of the kernel's table of descriptors, as large as that of whoever was forked once had to be",
}
"""Where a fork differs from a cold start, and why it may."""
MAY_DIFFER = {
    "A": {*OF_LAUNCHER},
    "B": {"cmdline", "environ", "FDSize"},
}


@pytest.fixture(scope="module", params=["A", "B"])
def tier(request: pytest.FixtureRequest) -> str:
    name = str(request.param)
    if name not in tiers("root" if os.geteuid() == 0 else "ordinary"):
        pytest.skip(f"this machine does not give tier {name}")
    return name


@pytest.fixture(scope="module")
def forks() -> Iterator[Launcher]:
    """Of both tiers."""
    os.environ["CODEACT_TEST_API_KEY"] = OF_HOST
    with Launcher(LIBRARIES) as launcher:
        assert launcher.ready() == ""
        yield launcher
    del os.environ["CODEACT_TEST_API_KEY"]


@pytest.fixture(scope="module")
def spares(tier: str, forks: Launcher) -> Iterator[Launcher]:
    with Launcher(("numpy",), spares=1, profile=profile_of(tier)) as launcher:
        assert launcher.ready() == ""
        yield launcher


@pytest.fixture(scope="module")
def labs(tier: str, forks: Launcher, spares: Launcher) -> Iterator[dict[str, Lab]]:
    """By how it was started, a session of each kind, all of them at once."""
    with ExitStack() as stack:
        found = {"sibling": stack.enter_context(session(tier, forks, "fork"))}
        keep = f"open('kept.txt', 'w').write({OF_SIBLING!r}); kept = {OF_SIBLING!r}; kept"
        value_of(found["sibling"], keep)
        for start, launcher in (("fork", forks), ("spare", spares), ("cold", None)):
            found[start] = stack.enter_context(session(tier, launcher, start))
        yield found


def differing(one: dict[str, Any], other: dict[str, Any]) -> set[str]:
    return {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)}


def test_a_fork_is_as_a_cold_start_of_its_tier(labs: dict[str, Lab], tier: str) -> None:
    seen = {start: seen_from_host(labs[start]) | seen_from_inside(labs[start]) for start in STARTS}
    for start, other, named in (("fork", "spare", set()), ("cold", "fork", MAY_DIFFER[tier])):
        found = differing(seen[start], seen[other]) - named
        assert not found, [(name, seen[start].get(name), seen[other].get(name)) for name in found]
    assert set(seen["fork"]["environ"]) <= {*seen["cold"]["environ"], *FOR_FORKS}
    assert seen["fork"]["environment"] == {k: v for k, v in seen["cold"]["environment"].items() if k != "PWD"}
    extra = set(seen["fork"]["mounts"]) ^ set(seen["cold"]["mounts"])
    assert all(re.fullmatch(r"\S*/cat \S*/cat ro,\S*", mount) for mount in extra), extra
    assert seen["fork"]["writable and shared"] == []
    assert seen["fork"]["session is its own"]


def test_no_descriptor_is_another_sessions(labs: dict[str, Lab], forks: Launcher, spares: Launcher) -> None:
    of_supervisors = {name: _pipes_and_sockets(supervisor_of(lab)) for name, lab in labs.items()}
    of_launchers = [_pipes_and_sockets(launcher_of(launcher)) for launcher in (forks, spares)]
    for name, lab in labs.items():
        own = _pipes_and_sockets(kernel_of(lab))
        others = [found for other, found in of_supervisors.items() if other != name]
        others += [_pipes_and_sockets(kernel_of(other)) for key, other in labs.items() if key != name]
        assert not own & set().union(*others, *of_launchers), name
        assert not of_supervisors[name] & set().union(*others, *of_launchers), name
        assert own & of_supervisors[name] <= {found for found in own if found.startswith("pipe:")}
        keepers = {*descendants(supervisor_of(lab))} - {kernel_of(lab)} if name != "cold" else set()
        for pid in keepers:  # Of the namespaces: what they had open would hide the end of the kernel.
            assert not {one for one in _pipes_and_sockets(pid) & own if one.startswith("socket:")}, name


def _pipes_and_sockets(pid: int) -> set[str]:
    return {where for where in descriptors(pid) if where.startswith(("pipe:", "socket:"))}


SEARCH = """
import ctypes, hashlib

def found(secrets):
    hits = set()
    with open("/proc/self/maps") as maps:
        areas = [line.split() for line in maps]
    for area, rights, _, _, inode, *name in areas:
        if rights[0] != "r" or inode != "0" or name[:1] in (["[vvar]"], ["[vvar_vclock]"], ["[vsyscall]"]):
            continue
        start, end = (int(number, 16) for number in area.split("-"))
        memory = ctypes.string_at(start, end - start)
        for begin, length, digest in secrets:
            at = memory.find(begin)
            while at >= 0:
                if hashlib.sha256(memory[at : at + length]).hexdigest() == digest:
                    hits.add(digest)
                at = memory.find(begin, at + 1)
    return [digest in hits for _, _, digest in secrets]
"""


def test_no_secret_of_the_host_or_of_a_sibling_is_in_the_memory(labs: dict[str, Lab]) -> None:
    sibling = labs["sibling"]
    assert _found(sibling, OF_SIBLING, _key(sibling)) == [True, True], "what is there is found"
    hidden = (OF_HOST, OF_SIBLING, _key(sibling), sibling.session.workspace)
    for start in ("fork", "spare"):
        assert _found(labs[start], _key(labs[start]), *hidden) == [True, False, False, False, False], start


def _found(lab: Lab, *secrets: str) -> list[bool]:
    """Whether they are in its memory. It is told how each begins, and a digest of the whole."""
    told = [
        (secret[: len(secret) * 2 // 3].encode(), len(secret), hashlib.sha256(secret.encode()).hexdigest())
        for secret in secrets
    ]
    found: list[bool] = ast.literal_eval(value_of(lab, f"{SEARCH}\nfound({told!r})"))
    return found


def _key(lab: Lab) -> str:
    assert lab.session._process is not None
    key: bytes = lab.session._process._supervised.connection["key"]
    return key.decode()


REACH = """
import ctypes, os, resource, signal

libc = ctypes.CDLL(None, use_errno=True)

def call(function, *args):
    if function(*args) == -1:
        raise OSError(ctypes.get_errno(), "denied")

def opened(path):
    os.close(os.open(path, os.O_RDONLY))

WAYS = {
    "signal": lambda pid: os.kill(pid, 0),
    "end": lambda pid: os.kill(pid, signal.SIGKILL),
    "group": lambda pid: os.killpg(pid, signal.SIGKILL),
    "handle": lambda pid: os.close(os.pidfd_open(pid)),
    "trace": lambda pid: call(libc.ptrace, 16, pid, 0, 0),
    "memory": lambda pid: call(libc.syscall, 310, pid, 0, 0, 0, 0, 0),
    "limits": lambda pid: resource.prlimit(pid, resource.RLIMIT_NOFILE, (10, 10)),
    "cores": lambda pid: os.sched_setaffinity(pid, {0}),
    "priority": lambda pid: os.setpriority(os.PRIO_PROCESS, pid, 19),
    **{name: lambda pid, name=name: opened(f"/proc/{pid}/{name}")
       for name in ("mem", "environ", "cmdline", "maps", "stack", "task", "fd", "cwd", "root", "ns/user")},
}

def reached(pids, paths):
    found = []
    for pid in pids:
        for name, way in WAYS.items():
            try:
                way(pid)
                found.append((pid, name))
            except (OSError, ValueError):
                pass
    for path in paths:
        try:
            opened(path)
            found.append(path)
        except OSError:
            pass
    return found
"""


@pytest.mark.parametrize("start", ["fork", "spare"])
def test_nothing_of_the_launcher_or_of_a_sibling_can_be_reached(
    labs: dict[str, Lab], forks: Launcher, spares: Launcher, start: str
) -> None:
    lab, sibling, launcher = labs[start], labs["sibling"], forks if start == "fork" else spares
    own = [pid for pid in descendants(supervisor_of(lab)) if pid != kernel_of(lab)]
    theirs = [supervisor_of(sibling), *descendants(supervisor_of(sibling))]
    pids = [launcher_of(launcher), supervisor_of(lab), *own, *theirs, os.getpid()]
    inside = [] if lab.session.report.tier == "B" else [1, 2]  # Of the program that keeps the namespaces.
    paths = [launcher._folder]
    for other in (lab, sibling):
        folder = Path(other.session.workspace).parent
        paths += [str(folder), str(folder / "canary"), *map(str, (folder / "rt-1").glob("k-*"))]
    theirs_too = Path(sibling.session.workspace)
    paths += [str(theirs_too), str(theirs_too / "kept.txt"), str(theirs_too.parent / "rt-1" / "c.json")]
    value_of(lab, REACH + "1")
    assert value_of(lab, f"reached({[*pids, *inside]!r}, {paths!r})") == "[]"
    assert value_of(lab, "reached([], [os.getcwd()])") == repr([lab.session.workspace]), "it would say so"
    assert value_of(sibling, "kept") == repr(OF_SIBLING)


CHANCE = """
import os, random, secrets, ssl, tempfile, uuid
import numpy

[random.random(), random.getrandbits(64), numpy.random.rand(), numpy.random.default_rng().random(),
 str(uuid.uuid4()), str(uuid.uuid1()), secrets.token_hex(8), os.urandom(8).hex(), ssl.RAND_bytes(8).hex(),
 tempfile.mktemp(dir="/"), numpy.random.RandomState().rand(), random.Random().random()]
"""


def test_no_two_forks_have_the_same_chance(labs: dict[str, Lab]) -> None:
    forks = [ast.literal_eval(value_of(labs[name], CHANCE)) for name in ("fork", "sibling", "spare")]
    for values in zip(*forks, strict=True):
        assert len(set(values)) == len(forks), values
