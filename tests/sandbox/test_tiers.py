"""Which cage a machine gives, found by trying: poorer hosts give a lesser one, or none and say so."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import codeact_kernel
from codeact_kernel.config import Limits, SandboxLimits, SandboxProfile, Settings
from codeact_kernel.exceptions import UsageError
from codeact_kernel.sandbox.confine import bwrap, landlock, policy
from codeact_kernel.sandbox.request import request

from . import as_user
from .support import SLOW, Lab, OpenLab, value_of

pytestmark = pytest.mark.kernel
CONTAINER = Path(__file__).with_name("container.py")
SESSION = """
import asyncio, json, sys
from codeact_kernel.config import SandboxProfile, Settings
from codeact_kernel.exceptions import SandboxError
from codeact_kernel.sandbox.session import KernelSession, NoCalls
from codeact_kernel.trajectory import Action

async def main(sandbox):
    session = KernelSession(Settings(profile=SandboxProfile(sandbox=sandbox)))
    try:
        await session.start('pass')
    except SandboxError as problem:
        print(json.dumps({'refused': str(problem)}))
        return
    report = session.report._asdict()
    async for output in session.execute(Action('6 * 7'), NoCalls()): pass
    await session.aclose()
    print(json.dumps({**report, 'status': output.status}))

asyncio.run(main(sys.argv[1]))
"""


needs_user = pytest.mark.skipif(bool(as_user.unavailable()), reason=str(as_user.unavailable()))
NEEDED = pytest.mark.skipif(
    not (landlock.abi() and bwrap.find()),
    reason="no Landlock or no bubblewrap here: this host is poorer itself",
)
HOSTS = {
    (): "A",
    ("docker",): "B",
    ("no-userns",): "B",
    ("no-landlock",): "C",
    ("docker", "no-landlock"): None,
    ("no-userns", "no-landlock"): None,
    ("no-seccomp",): None,
}
"""What is missing, and the tier that is left."""


def on_a_host(*poorer: str, sandbox: str = "auto", ordinary: bool = False) -> dict[str, Any]:
    """The report of a session started where these layers are missing, or {"refused": why}."""
    flags = [f"--{layer}" for layer in poorer]
    command = [sys.executable, str(CONTAINER), *flags, "--", sys.executable, "-c", SESSION, sandbox]
    run = as_user.run if ordinary else partial(subprocess.run, text=True, check=False)
    done = run(command, capture_output=True, timeout=100)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@NEEDED
@pytest.mark.parametrize("ordinary", [False, pytest.param(True, marks=needs_user)], ids=["self", "ordinary"])
@pytest.mark.parametrize("poorer", HOSTS, ids="+".join)
def test_the_best_cage_that_the_host_gives(poorer: tuple[str, ...], ordinary: bool) -> None:
    report, tier = on_a_host(*poorer, ordinary=ordinary), HOSTS[poorer]
    if tier is None:
        assert "no cage is to be had" in report["refused"]
        assert "codeact doctor" in report["refused"]
        assert "--unsandboxed" in report["refused"]
        return
    assert (report["tier"], report["status"]) == (tier, "ok")
    assert set(report["selftest"].values()) == {"held"}
    assert bool(report["landlock_abi"]) == (tier != "C")
    assert bool(report["remarks"]) == (tier == "B")
    assert report["milliseconds"] < 500  # A bound for a busy machine; benchmarks/sandbox.py measures it.


@NEEDED
def test_a_demanded_tier_is_given_or_the_start_fails() -> None:
    assert on_a_host(sandbox="A")["tier"] == "A"
    assert on_a_host("no-userns", sandbox="B")["tier"] == "B"
    refused = on_a_host("no-userns", sandbox="A")["refused"]
    assert "tier A is demanded, and this machine does not give it (namespaces (" in refused
    assert "only tier B" in refused
    assert "only tier C" in on_a_host("no-landlock", sandbox="B")["refused"]


def test_without_a_sandbox_only_when_it_was_asked_for(open_lab: OpenLab) -> None:
    lab = open_lab(Settings(profile=SandboxProfile(sandbox="none")))
    assert lab.session.report.tier == "none"
    assert lab.session.report.problem == ""
    assert value_of(lab, "import os\nos.system('exit 3') >> 8") == "3"


def test_layers_switched_off_are_in_the_report(open_lab: OpenLab) -> None:
    report = open_lab(Settings(profile=SandboxProfile(without=("namespaces",)))).session.report
    assert (report.tier, report.remarks) == ("B", ("namespaces: switched off",))
    assert set(report.limits) == {field.name for field in fields(SandboxLimits)}
    assert set(report.limits.values()) <= {"kernel", "watchdog"}


def test_limits_too_small_for_a_kernel_are_refused() -> None:
    lab = Lab(Settings(profile=SandboxProfile(limits=SandboxLimits(memory_bytes=10**8))))
    with pytest.raises(UsageError, match="a memory limit of 100,000,000 bytes is too small"):
        lab.start()
    lab.close()


@pytest.mark.parametrize(
    ("profile", "why"),
    [
        (SandboxProfile(workspace=Path("/")), "the folders of its own session are in it"),
        (SandboxProfile(readable=(Path("/"),)), "the folders of its own session are in it"),
        (SandboxProfile(data=(Path(tempfile.gettempdir()),)), "the folders of its own session are in it"),
        (SandboxProfile(workspace=Path.home()), "your home folder is in it"),
        (SandboxProfile(workspace=Path(sys.prefix)), "where the host runs code from"),
        (SandboxProfile(workspace=Path(codeact_kernel.__file__).parents[1]), "where the host runs code from"),
    ],
)
def test_folders_that_would_give_too_much_are_refused(profile: SandboxProfile, why: str) -> None:
    lab = Lab(Settings(profile=profile))
    with pytest.raises(UsageError, match=f"{why}.*; name a folder below it"):
        lab.start()
    lab.close()


def test_the_same_defaults_on_both_sides() -> None:
    """The supervisor reads named tuples: dataclasses would cost each start 10 ms."""
    assert policy.Bounds()._asdict() == asdict(SandboxLimits())
    assert policy.Profile()._replace(env=SandboxProfile().env) == request(SandboxProfile(), "")._replace(
        workspace=None
    )


# --- limits, seen by the code and by the host --------------------------------------------------

SMALL = SandboxLimits(memory_bytes=512 * 2**20, threads=40, file_bytes=2**20, disk_bytes=64 * 2**20)


def small(**limits: Any) -> Settings:
    return Settings(limits=SLOW.limits, profile=SandboxProfile(limits=replace(SMALL, **limits)))


def test_too_much_memory_is_a_memory_error_and_the_state_is_kept(open_lab: OpenLab) -> None:
    lab = open_lab(small())
    cell = lab.run("kept = 1\npieces = [bytearray(10**6) for _ in range(10**4)]")
    assert (cell.status, cell.error.ename) == ("error", "MemoryError")
    assert value_of(lab, "kept") == "1"


def test_memory_that_no_error_can_stop_ends_the_kernel_and_it_says_so(open_lab: OpenLab) -> None:
    """Linux bounds each process; only who looks at all of them sees what they use together."""
    lab = open_lab(Settings(limits=SLOW.limits, profile=SandboxProfile(limits=SMALL, allow_fork=True)))
    cell = lab.run(
        "import os, time\n"
        "for _ in range(3):\n    if not os.fork():\n        kept = b'x' * (200 * 2**20)\n"
        "        time.sleep(20)\ntime.sleep(20)"
    )
    assert (cell.status, cell.reason) == ("killed", "its kernel was stopped: out of memory (limit 512 MiB)")
    lab.restart()
    assert value_of(lab, "6 * 7") == "42"


def test_a_file_too_large_is_an_ordinary_error(open_lab: OpenLab) -> None:
    lab = open_lab(small())
    cell = lab.run("with open('big', 'wb') as file: file.write(bytes(2**21))")
    assert (cell.error.ename, cell.error.evalue) == ("OSError", "[Errno 27] File too large")


def test_too_many_threads(open_lab: OpenLab) -> None:
    lab = open_lab(small())
    cell = lab.run(
        "import threading, time\nfor _ in range(100): threading.Thread(target=time.sleep, args=(5,)).start()"
        ""
        "\ntime.sleep(5)"
    )
    stopped = (cell.status, cell.reason) == ("killed", "its kernel was stopped: too many threads (limit 40)")
    assert stopped or cell.error.ename == "RuntimeError"


def test_too_much_on_disk(open_lab: OpenLab) -> None:
    lab = open_lab(small())
    cell = lab.run(
        "import time\nfor i in range(200):\n    with open(str(i), 'wb') as file: file.write(bytes(10**6))"
        "\ntime.sleep(5)"
    )
    assert cell.status == "killed"
    assert "(limit 64 MiB)" in cell.reason


def test_multiprocessing_where_it_is_allowed(open_lab: OpenLab) -> None:
    lab = open_lab(Settings(limits=Limits(step_timeout_s=60), profile=SandboxProfile(allow_fork=True)))
    if lab.session.report.tier != "A":
        pytest.skip("multiprocessing keeps its semaphores in /dev/shm, which only tier A has for itself")
    cell = lab.run(
        "from concurrent.futures import ProcessPoolExecutor\nfrom multiprocessing import get_context\n"
        "def square(x): return x * x\n"
        "with ProcessPoolExecutor(2, get_context('fork')) as pool: print(list(pool.map(square, range(4))))"
    )
    assert cell.out == "[0, 1, 4, 9]\n"
