"""What a launcher, its forks and spares do when something around them is not as it was, or goes wrong."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from codeact_kernel.config import SandboxLimits, SandboxProfile, Settings
from codeact_kernel.sandbox.confine.libc import call
from codeact_kernel.sandbox.forked import readable
from codeact_kernel.sandbox.launching import ANOTHERS, Launcher
from codeact_kernel.sandbox.request import LEAST_MEMORY

from .launched import PATIENT_S, WITHOUT, gone, name_of, preloadable
from .probes.measure import descendants
from .support import Lab, supervisor_of, until, value_of

pytestmark = pytest.mark.kernel
PR_SET_CHILD_SUBREAPER = 36


@contextmanager
def lab_of(launcher: Launcher, profile: SandboxProfile = SandboxProfile()) -> Iterator[Lab]:
    lab = Lab(Settings(profile=profile), launcher=launcher)
    try:
        yield lab.start()
    finally:
        lab.close()


@pytest.mark.parametrize("tier", ["A", "B"])
def test_the_files_of_a_session_are_those_of_now(tier: str, tmp_path: Path) -> None:
    """A spare has been confined to those that were there before."""
    file, new = tmp_path / "orders.csv", tmp_path / "new.csv"
    file.write_text("old")
    new.write_text("new")
    profile = SandboxProfile(sandbox=tier, without=WITHOUT[tier], data=(file,))
    with Launcher((), spares=1, profile=profile) as launcher:
        assert launcher.ready() == ""
        assert until(lambda: launcher._spares[0].poll() is None and launcher._spares[0].pid > 0, PATIENT_S)
        os.replace(new, file)
        with lab_of(launcher, profile) as lab:
            assert lab.session.report.start == "fork", lab.session.report
            assert value_of(lab, "open('data/orders.csv').read()") == "'new'"
            launcher.fill()
        with lab_of(launcher, profile) as lab:
            assert lab.session.report.start == "spare", lab.session.report
            assert value_of(lab, "open('data/orders.csv').read()") == "'new'"


def test_no_spare_has_less_room_than_a_fork_would_need() -> None:
    profile = SandboxProfile(limits=SandboxLimits(memory_bytes=LEAST_MEMORY))
    with Launcher((), spares=1, profile=profile) as launcher:
        assert launcher.ready() == ""
        with lab_of(launcher, profile) as lab:
            assert lab.session.report.start == "cold"
            assert "of the memory limit" in "; ".join(lab.session.report.remarks)
        launcher.fill()
        assert not launcher._spares


STINGY = """
import os
real, made, here = os.fork, [], os.getpid()
def fork():
    made.append(1)
    if os.getpid() == here and len(made) == 3:  # After the one that is tried, and the first session's.
        raise BlockingIOError(11, "Resource temporarily unavailable")
    return real()
os.fork = fork
"""


def test_a_fork_that_fails_is_one_session_s_matter() -> None:
    starts = []
    with preloadable(STINGY) as module, Launcher((module,)) as launcher:
        assert launcher.ready() == ""
        for _ in range(3):
            with lab_of(launcher) as lab:
                starts.append((lab.session.report.start, "no further process" in str(lab.session.report)))
    assert starts == [("fork", False), ("cold", True), ("fork", False)]


IN_A_GROUP = """
import os
from codeact_kernel.sandbox.confine import cgroup
cgroup.enter = lambda bounds: cgroup.Cgroup(os.path.dirname(FOLDER))
cgroup.Cgroup.kill = cgroup.Cgroup.remove = lambda self: None
"""


def test_a_fork_in_namespaces_enters_its_control_group(tmp_path: Path) -> None:
    """Here it is a plain file, which is not in these namespaces, as that of a real one is not."""
    procs = tmp_path / "cgroup.procs"
    procs.touch()
    source = IN_A_GROUP.replace("FOLDER", repr(str(procs)))
    with preloadable(source) as module, Launcher((module,)) as launcher:
        assert launcher.ready() == ""
        with lab_of(launcher) as lab:
            assert lab.session.report.start == "fork", lab.session.report
            assert lab.session.report.limits["memory_bytes"] == "cgroup"
            assert value_of(lab, "1 + 1") == "2"
    assert procs.read_text() == "0"


FAILS = """
from codeact_kernel.sandbox.confine import start
def _go_on(*given): raise RuntimeError("not today")
start._go_on = _go_on
"""


def test_nothing_stays_of_a_fork_that_came_to_nothing() -> None:
    with preloadable(FAILS) as module, Launcher((module,)) as launcher:
        assert launcher.ready() == ""
        with lab_of(launcher) as lab:
            assert lab.session.report.start == "cold", lab.session.report
            assert "fork, " in str(lab.session.report.remarks)
            assert "cat" not in map(name_of, descendants(supervisor_of(lab)))


def test_a_fork_of_the_host_hears_nothing_that_is_not_its() -> None:
    with Launcher(()) as launcher:
        assert launcher._control is not None
        launcher._owner += 1  # As another process has it.
        assert readable(launcher._control.fileno(), PATIENT_S)
        assert launcher.take(SandboxProfile()) is None
        assert launcher.ready(0.0) == ANOTHERS
        launcher._owner -= 1
        assert launcher.ready() == ""


def test_no_zombie_where_the_host_is_the_first_process() -> None:
    call("prctl", PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        with Launcher(()) as launcher:
            assert launcher.ready() == ""
            with lab_of(launcher) as lab:
                supervisor = supervisor_of(lab)
                launcher.close()
            assert gone(supervisor)
    finally:
        call("prctl", PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
