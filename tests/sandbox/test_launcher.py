"""The life of a launcher, its forks and spares: what is left, whoever ends first; when it cannot fork."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from codeact_kernel.config import SandboxLimits, SandboxProfile, Settings
from codeact_kernel.exceptions import UsageError
from codeact_kernel.sandbox.folders import SessionFolder, base
from codeact_kernel.sandbox.forked import Order
from codeact_kernel.sandbox.launching import Launcher, kernel_for
from codeact_kernel.sandbox.managed import Managed
from codeact_kernel.sandbox.request import LEAST_MEMORY
from codeact_kernel.sandbox.session import KernelSession

from .launched import PATIENT_S, gone, kernel_of, launcher_of, name_of, preloadable
from .probes.measure import descendants
from .support import Lab, supervisor_of, until, value_of

pytestmark = pytest.mark.kernel

HERE = Path(__file__).parent


@contextmanager
def launcher_with(*modules: str, spares: int = 0) -> Iterator[Launcher]:
    with Launcher(modules, spares=spares) as launcher:
        assert launcher.ready() == ""
        yield launcher


@contextmanager
def lab_of(launcher: Launcher, start: str = "fork") -> Iterator[Lab]:
    lab = Lab(launcher=launcher)
    try:
        lab.start()
        assert lab.session.report.start == start, lab.session.report
        yield lab
    finally:
        lab.close()


def remarks(lab: Lab) -> str:
    return "; ".join(lab.session.report.remarks)


def folders(pid: int) -> set[str]:
    """Of sessions and launchers that this process has made."""
    return {str(path) for path in base().glob(f"codeact-*-{pid}-*")}


def of_session(lab: Lab) -> list[int]:
    return [supervisor_of(lab), *descendants(supervisor_of(lab))]


def test_closed_first_a_launcher_leaves_its_sessions_and_nothing_else() -> None:
    descriptors, before = len(os.listdir("/proc/self/fd")), folders(os.getpid())
    with launcher_with(spares=1) as launcher:
        all_of_it = [launcher_of(launcher)]
        with lab_of(launcher, "spare") as lab:
            launcher.fill()
            assert until(lambda: len(descendants(launcher_of(launcher))) > len(of_session(lab)), PATIENT_S)
            all_of_it += descendants(launcher_of(launcher))
            launcher.close()
            assert value_of(lab, "1 + 1") == "2"
            lab.restart()
            assert (lab.session.report.start, "closed" in remarks(lab)) == ("cold", True)
    assert gone(*all_of_it)
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert folders(os.getpid()) == before


def test_whoever_is_killed_nothing_is_left_and_the_next_kernel_starts() -> None:
    before = folders(os.getpid())
    with launcher_with() as launcher, lab_of(launcher) as lab:
        for victim in ("kernel", "supervisor", "bwrap", "cat"):
            pids = of_session(lab)
            named = {"kernel": kernel_of(lab), "supervisor": supervisor_of(lab)}
            named |= {name: pid for pid in reversed(pids) if (name := name_of(pid)) in ("bwrap", "cat")}
            if victim not in named:
                continue  # Tier B.
            os.kill(named[victim], signal.SIGKILL)
            cell = lab.run("import time; time.sleep(100)")
            assert cell.status == "killed", victim
            assert gone(*pids), victim
            lab.restart()
            assert lab.session.report.start == "fork"
        os.kill(launcher_of(launcher), signal.SIGKILL)
        assert value_of(lab, "1 + 1") == "2"
        assert until(lambda: bool(launcher.ready()))
        lab.restart()
        assert (lab.session.report.start, "the launcher has ended" in remarks(lab)) == ("cold", True)
    assert folders(os.getpid()) == before


@pytest.mark.parametrize("start", ["cold", "fork"])
def test_last_words_that_are_long_hide_no_exit_code(start: str) -> None:
    with Launcher(()) as launcher:
        assert launcher.ready() == ""
        if start == "cold":
            launcher.close()
        with lab_of(launcher, start) as lab:
            cell = lab.run("import os\nos.write(2, b'\\xff' * 100_000)\nos.abort()")
            assert cell.status == "killed"
            assert "SIGABRT" in cell.reason or "the kernel closed it" in cell.reason


def test_a_launcher_that_is_killed_while_it_should_fork() -> None:
    async def ordered(launcher: Launcher) -> tuple[Order | Managed, bool]:
        folder = SessionFolder(SandboxProfile())
        waiting = asyncio.ensure_future(kernel_for(folder, SandboxProfile(), launcher))
        await asyncio.sleep(0)
        os.kill(launcher_of(launcher), signal.SIGKILL)
        kernel = await waiting
        kernel.channel.close()
        await kernel.stop()
        folder.remove()
        return kernel, True

    with launcher_with() as launcher:
        os.kill(launcher_of(launcher), signal.SIGSTOP)
        kernel, _ = asyncio.run(ordered(launcher))
        assert isinstance(kernel, Managed)
        assert "launcher" in kernel._remarks[0]


def test_a_spare_that_has_ended_is_not_handed_out() -> None:
    with launcher_with(spares=1) as launcher:
        assert until(lambda: bool(launcher._spares[0].poll() is None and launcher._spares[0].pid), PATIENT_S)
        dead = launcher._spares[0]
        os.kill(dead.pid, signal.SIGKILL)
        assert select.select([dead._pidfd], [], [], PATIENT_S)[0]
        with lab_of(launcher) as lab:
            assert value_of(lab, "1 + 1") == "2"
        assert not dead.folder.path.exists()


def test_many_threads_take_and_fork_at_once() -> None:
    starts: list[str] = []

    async def one(launcher: Launcher, number: int) -> None:
        session = KernelSession(launcher=launcher)
        try:
            await session.start(f"number = {number}")
            starts.append(session.report.start)
        finally:
            await session.aclose()

    with launcher_with(spares=2) as launcher:
        threads = [
            threading.Thread(target=lambda n=number: asyncio.run(one(launcher, n))) for number in range(5)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(starts) == len(threads)
    assert set(starts) <= {"fork", "spare"}


# --- modules that cannot be preloaded ---

RAISES = "raise ValueError('no ' + 'a' * 9000)"
ENDS = "import sys\nsys.exit('bye')"
DIES = "import os\nos._exit(3)"
THREAD = "import threading, time\nthreading.Thread(target=time.sleep, args=(1000,), daemon=True).start()"
PROBLEMS = {RAISES: "ValueError: no aaa", ENDS: "SystemExit", DIES: "has ended", THREAD: "1 threads run"}


@pytest.fixture
def module(request: pytest.FixtureRequest) -> Iterator[str]:
    with preloadable(request.param) as name:
        yield name


@pytest.mark.parametrize("module", PROBLEMS, indirect=True, ids=["raises", "ends", "dies", "thread"])
def test_what_cannot_be_preloaded(module: str, request: pytest.FixtureRequest) -> None:
    with Launcher((module,)) as launcher:
        problem = launcher.ready()
    assert PROBLEMS[request.node.callspec.params["module"]] in problem


def test_a_name_that_is_no_module_and_a_session_all_the_same() -> None:
    with Launcher(("no_such_module",)) as launcher:
        assert "'no_such_module' cannot be imported: ModuleNotFoundError" in launcher.ready()
        with lab_of(launcher, "cold") as lab:
            assert "no_such_module" in remarks(lab)
            assert value_of(lab, "1 + 1") == "2"


@pytest.mark.parametrize("module", ["import time\ntime.sleep(3600)"], indirect=True)
def test_nobody_waits_for_a_module_that_takes_for_ever(module: str) -> None:
    with Launcher((module,)) as launcher:
        assert "still importing" in launcher.ready(0.1)
        with lab_of(launcher, "cold") as lab:
            assert "still importing" in remarks(lab)
        pid = launcher_of(launcher)
    assert gone(pid)


@pytest.mark.parametrize(
    "module", ["import sys\nprint('x' * 10**7, flush=True)\nassert sys.stdin.read() == ''"], indirect=True
)
def test_a_module_that_prints_and_reads(module: str) -> None:
    with Launcher((module,)) as launcher:
        assert launcher.ready() == ""


def test_arguments_that_cannot_be_right() -> None:
    for wrong in ({"preload": "numpy"}, {"spares": -1}, {"spares": 65}):
        with pytest.raises(UsageError):
            Launcher(**wrong)  # type: ignore[arg-type]  # that is what is tried
    for profile in (
        SandboxProfile(allow_fork=True),
        SandboxProfile(workspace=HERE),
        SandboxProfile(sandbox="none"),
    ):
        with pytest.raises(UsageError, match="no spares"):
            Launcher((), spares=1, profile=profile)


LITTLE = SandboxProfile(limits=SandboxLimits(memory_bytes=LEAST_MEMORY))


@pytest.mark.parametrize(
    "profile", [SandboxProfile(allow_fork=True), SandboxProfile(env=("LANG", "MY_OWN")), LITTLE]
)
def test_a_profile_that_cannot_be_forked_starts_cold_and_says_why(profile: SandboxProfile) -> None:
    with launcher_with() as launcher:
        lab = Lab(Settings(profile=profile), launcher=launcher).start()
        try:
            assert lab.session.report.start == "cold"
            assert "no fork" in remarks(lab)
        finally:
            lab.close()
