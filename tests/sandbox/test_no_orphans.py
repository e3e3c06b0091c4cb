"""However a session ends, no process and no folder of it stays behind."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import ipykernel
import pytest

import codeact_kernel
from codeact_kernel.config import SandboxProfile, Settings
from codeact_kernel.sandbox.confine.usage import tree
from codeact_kernel.sandbox.folders import sweep
from codeact_kernel.sandbox.session import KernelSession

from .support import Lab, OpenLab, alive, impatient, kernel_of, supervisor_of, until, value_of

pytestmark = pytest.mark.kernel
HOST = Path(__file__).with_name("busy_host.py")
ORDINARY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
UNCAGED = SandboxProfile(sandbox="none")
"""Where a cell can start a process in a session of its own; in a cage it cannot."""
FORKING = [
    SandboxProfile(allow_fork=True),
    SandboxProfile(allow_fork=True, without=("namespaces",)),
]
GRANDCHILD = (
    "import subprocess\nchild = subprocess.Popen(['sleep', '1000'], start_new_session=True)\nchild.pid"
)
FORK = "import os, time\nif os.fork() == 0:\n    time.sleep(1000)"
MESS = (
    "import os\n"
    "deep = os.open('.', os.O_RDONLY)\n"
    "for _ in range(1500):\n"
    "    os.mkdir('d' * 100, dir_fd=deep)\n"
    "    deep, shut = os.open('d' * 100, os.O_RDONLY, dir_fd=deep), deep\n"
    "    os.close(shut)\n"
    "os.makedirs('locked/inner')\n"
    "open('locked/inner/file', 'w').close()\n"
    "os.chmod('locked/inner', 0)\nos.chmod('locked', 0)\n"
    "for make in (lambda: os.symlink('/', 'root'), lambda: os.mkfifo('pipe')):\n"
    "    try:\n        make()\n    except PermissionError:\n        pass"
)


def gone(*pids: int) -> bool:
    return until(lambda: not any(map(alive, pids)))


def started(lab: Lab, code: str = GRANDCHILD) -> tuple[Path, list[int]]:
    """The session's folder, and all its processes as the host numbers them, one made by a cell among them."""
    supervisor = supervisor_of(lab)
    before = set(tree([supervisor]))
    lab.run(code)
    pids = tree([supervisor])
    assert set(pids) > before
    assert all(map(alive, pids))
    return Path(lab.session.workspace).parent, pids


@contextmanager
def busy_host(command: list[str]) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as host:
        assert host.stdout is not None
        assert host.stderr is not None
        try:
            line = host.stdout.readline()
            assert line, host.stderr.read()
            yield host, json.loads(line)
        finally:
            host.kill()


@pytest.fixture(scope="module")
def ordinary() -> Iterator[list[str]]:
    """A command line that runs Python as a user without privileges, also when the tests run as root."""
    if os.geteuid() != 0:
        yield [sys.executable]
        return
    own, system = os.path.realpath(sys.executable), f"/usr/bin/python3.{sys.version_info.minor}"
    usable = [
        python
        for python in (own, system)
        if subprocess.run([*ORDINARY, "test", "-x", python], check=False).returncode == 0
    ]
    if not usable:
        pytest.skip("root's Python is out of reach of an ordinary user, and the system has none like it")
    folder = Path(tempfile.mkdtemp(prefix="py-"))
    folder.chmod(0o755)
    venv.create(folder, symlinks=True)
    for name in ("python", "python3"):  # venv.create takes the interpreter that runs it.
        (folder / "bin" / name).unlink(missing_ok=True)
        (folder / "bin" / name).symlink_to(usable[0])
    config = folder / "pyvenv.cfg"
    home = f"home = {os.path.dirname(usable[0])}"
    config.write_text("\n".join(home if x.startswith("home") else x for x in config.read_text().splitlines()))
    packages = next(folder.glob("lib/python*/site-packages"))
    roots = [os.path.dirname(os.path.dirname(module.__file__)) for module in (codeact_kernel, ipykernel)]
    (packages / "tests.pth").write_text("\n".join(roots))
    yield [*ORDINARY, str(folder / "bin" / "python")]
    shutil.rmtree(folder)


def test_after_close(open_lab: OpenLab) -> None:
    lab = open_lab(Settings(profile=UNCAGED))
    folder, pids = started(lab)
    lab.wait(lab.session.aclose())
    assert gone(*pids)
    assert not folder.exists()
    lab.wait(lab.session.aclose())  # May be called twice.


@pytest.mark.parametrize("profile", FORKING, ids=["namespaces", "no namespaces"])
def test_what_a_caged_kernel_forked_ends_with_it(open_lab: OpenLab, profile: SandboxProfile) -> None:
    lab = open_lab(Settings(profile=profile))
    folder, pids = started(lab, FORK)
    lab.wait(lab.session.aclose())
    assert gone(*pids)
    assert not folder.exists()


def test_after_a_kill(open_lab: OpenLab) -> None:
    lab = open_lab(replace(impatient(), profile=UNCAGED))
    folder, pids = started(lab)
    cell = lab.run("import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)")
    assert cell.status == "killed"
    assert gone(*pids)
    lab.restart()
    assert [entry.name for entry in folder.glob("rt-*")] == ["rt-2"]
    assert value_of(lab, "6 * 7") == "42"


def test_after_the_kernel_ended_itself(open_lab: OpenLab) -> None:
    lab = open_lab(Settings(profile=UNCAGED))
    _, pids = started(lab)
    lab.run("import os\nos._exit(0)")
    assert gone(*pids)


def test_when_starting_is_cancelled() -> None:
    lab = Lab()

    async def scene() -> None:
        starting = asyncio.ensure_future(lab.session.start("import time\ntime.sleep(60)"))
        while lab.session._run is None:  # noqa: ASYNC110  # no event to wait for
            await asyncio.sleep(0.005)
        starting.cancel()
        await asyncio.wait([starting])
        assert starting.cancelled()

    lab.wait(scene())
    assert not os.path.exists(lab.session.workspace)
    lab.close()


def check_death_of_host(command: list[str]) -> None:
    with busy_host(command) as (host, told):
        folder = Path(told["work"]).parent
        assert folder.exists()
        pids = tree([told["supervisor"]])
        assert len(pids) > 2
        host.send_signal(signal.SIGKILL)
        assert gone(*pids)
        assert until(lambda: not folder.exists())


@pytest.mark.parametrize("caged", ["auto", "none"])
def test_when_the_host_is_killed(caged: str) -> None:
    check_death_of_host([sys.executable, str(HOST), caged])


@pytest.mark.parametrize("caged", ["auto", "none"])
def test_when_the_host_of_an_ordinary_user_is_killed(ordinary: list[str], caged: str) -> None:
    check_death_of_host([*ordinary, str(HOST), caged])


def test_when_host_and_supervisor_are_killed() -> None:
    with busy_host([sys.executable, str(HOST), "auto"]) as (host, told):
        folder = Path(told["work"]).parent
        pids = tree([told["supervisor"]])
        os.kill(told["supervisor"], signal.SIGSTOP)  # It shall not get to clean up.
        host.send_signal(signal.SIGKILL)
        host.wait()
        os.kill(told["supervisor"], signal.SIGKILL)
        assert gone(*pids)
        assert folder.exists()
        sweep()
        assert not folder.exists()


@pytest.mark.parametrize("without", [(), ("namespaces",), ("landlock",)])
def test_when_only_the_supervisor_is_killed(open_lab: OpenLab, without: tuple[str, ...]) -> None:
    lab = open_lab(Settings(profile=SandboxProfile(without=without)))
    folder = Path(lab.session.workspace).parent
    kernel, supervisor = kernel_of(lab), supervisor_of(lab)
    os.kill(supervisor, signal.SIGKILL)
    cell = lab.run("while True: pass")
    assert (cell.status, cell.reason) == ("killed", "its process ended (SIGKILL)")
    assert gone(kernel, supervisor)
    lab.restart()
    assert value_of(lab, "6 * 7") == "42"
    lab.wait(lab.session.aclose())
    assert not folder.exists()


def test_sweep_leaves_living_and_foreign_folders_alone(open_lab: OpenLab) -> None:
    lab = open_lab()
    base = Path(lab.session.workspace).parent.parent
    foreign = base / "codeact-1-999999999-abcdef012345"  # of another pid namespace
    foreign.mkdir()
    sweep()
    assert os.path.exists(lab.session.workspace)
    assert foreign.exists()
    shutil.rmtree(foreign)


def test_hostile_folders_are_removed(open_lab: OpenLab) -> None:
    lab = open_lab()
    folder = Path(lab.session.workspace).parent
    assert lab.run(MESS).status == "ok"
    lab.wait(lab.session.aclose())
    assert not folder.exists()


def test_hostile_folders_are_removed_by_an_ordinary_user(ordinary: list[str]) -> None:
    """Root ignores permissions; an ordinary user must give them back to itself first."""
    code = (
        "import asyncio, sys\n"
        "from codeact_kernel.sandbox.session import KernelSession, NoCalls\n"
        "from codeact_kernel.trajectory import Action\n"
        "async def main():\n"
        "    session = KernelSession()\n"
        "    await session.start('pass')\n"
        "    folder = session.workspace\n"
        "    async for output in session.execute(Action(sys.stdin.read()), NoCalls()): pass\n"
        "    await session.aclose()\n"
        "    print(output.status, folder)\n"
        "asyncio.run(main())"
    )
    done = subprocess.run(
        [*ordinary, "-c", code], input=MESS, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    status, folder = done.stdout.split()
    assert status == "ok"
    assert not Path(folder).parent.exists()


def test_closing_that_is_cancelled_is_finished_all_the_same() -> None:
    async def scenario() -> tuple[Path, int]:
        session = KernelSession()
        await session.start("pass")
        folder, pid = session._folder, session._process.supervisor
        assert folder is not None
        closing = asyncio.ensure_future(session.aclose())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        return folder.path, pid

    folder, pid = asyncio.run(scenario())
    assert not folder.exists()
    assert not Path(f"/proc/{pid}").exists()
