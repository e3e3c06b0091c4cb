"""The emulated hosts are as poor as they say, and not poorer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from codeact_kernel.sandbox.confine import landlock

SCRIPT = Path(__file__).with_name("container.py")
ASK = """
import errno, json, os, socket
from codeact_kernel.sandbox.confine.libc import call
from codeact_kernel.sandbox.confine.syscalls import machine
def raw(name, *arguments):
    try:
        call("syscall", machine().numbers[name], *arguments)
    except OSError as problem:
        return errno.errorcode[problem.errno]
    return "worked"
def said(action, *arguments):
    try:
        action(*arguments)
    except OSError as problem:
        return errno.errorcode[problem.errno]
    return "worked"
capabilities = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("CapEff"))
print(json.dumps({
    "landlock": raw("landlock_create_ruleset", None, 0, 1),
    "seccomp": raw("seccomp", 2, 0, b"\\0\\0\\0\\x80"),
    "prctl seccomp": raw("prctl", 21, 0, 0, 0, 0),
    "prctl": raw("prctl", 15, b"name"),
    "unshare": raw("unshare", 0x10000000),
    "clone": raw("clone", 0x50000, None, None, None, None),
    "clone namespace": raw("clone", 0x10000 | 0x20000000, None, None, None, None),
    "clone3": raw("clone3", None, 0),
    "mount": raw("mount", None, None, None, 0, None),
    "setns": raw("setns", -1, 0),
    "keyctl": raw("keyctl", 0, -3, 0, 0, 0),
    "new call": raw("open_tree_attr", -1, None, 0, None, 0),
    "AF_ALG": said(socket.socket, 38, socket.SOCK_SEQPACKET),
    "AF_UNIX": said(socket.socket, socket.AF_UNIX),
    "ptrace": raw("ptrace", 1000, 0, 0, 0),
    "io_uring": raw("io_uring_setup", 0, None),
    "fork": said(lambda: os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)),
    "capabilities": int(capabilities, 16),
}))
"""
needs_landlock = pytest.mark.skipif(landlock.abi() < 1, reason="no Landlock on this machine")


def answers(*flags: str) -> dict[str, str | int]:
    command = [sys.executable, str(SCRIPT), *flags, "--", sys.executable, "-I", "-c", ASK]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, str | int] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def rich() -> dict[str, str | int]:
    """What this machine says itself."""
    return answers()


def changes(rich: dict[str, str | int], *flags: str) -> dict[str, str | int]:
    poor = answers(*flags)
    return {what: said for what, said in poor.items() if said != rich[what]}


@needs_landlock
def test_no_landlock(rich: dict[str, str | int]) -> None:
    assert changes(rich, "--no-landlock") == {"landlock": "ENOSYS"}


def test_no_seccomp(rich: dict[str, str | int]) -> None:
    assert changes(rich, "--no-seccomp") == {"seccomp": "ENOSYS", "prctl seccomp": "EINVAL"}


def test_no_user_namespaces(rich: dict[str, str | int]) -> None:
    """`mount` and the like may be refused by this machine already."""
    denied = ("unshare", "clone namespace", "mount", "setns", "new call")
    poor = dict.fromkeys(denied, "EPERM") | {"clone3": "ENOSYS"}
    if rich["setns"] == "EPERM":
        pytest.skip("this machine is that poor already")
    assert changes(rich, "--no-userns") == {what: said for what, said in poor.items() if said != rich[what]}


def test_docker(rich: dict[str, str | int]) -> None:
    poor = answers("--docker")
    denied = ("unshare", "clone namespace", "mount", "setns", "keyctl", "new call", "AF_ALG", "io_uring")
    assert {what: poor[what] for what in denied} == dict.fromkeys(denied, "EPERM")
    assert poor["clone3"] == "ENOSYS"
    same = ("landlock", "seccomp", "prctl seccomp", "prctl", "AF_UNIX", "ptrace", "fork")
    assert {what: poor[what] for what in same} == {what: rich[what] for what in same}


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user has no capabilities to lose")
def test_docker_leaves_root_its_default_capabilities() -> None:
    assert answers("--docker")["capabilities"] == 0xA80425FB


def test_flags_add_up(rich: dict[str, str | int]) -> None:
    poor = answers("--docker", "--no-landlock", "--no-seccomp")
    assert (poor["landlock"], poor["seccomp"], poor["mount"]) == ("ENOSYS", "ENOSYS", "EPERM")


def test_the_command_keeps_its_exit_code() -> None:
    command = [sys.executable, str(SCRIPT), "--no-userns", "--", "sh", "-c", "exit 7"]
    assert subprocess.run(command, check=False, timeout=60).returncode == 7
