"""Control groups: what is real here on the real file system, the files of the memory and pids controllers
as plain files."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from codeact_kernel.sandbox.confine import cgroup
from codeact_kernel.sandbox.confine.policy import Bounds

from .hostile import child

PLACES = ("/sys/fs/cgroup", "/sys/fs/cgroup/unified")


def own_group(base: str) -> str:
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    own = next((line[3:] for line in lines if line.startswith("0::")), "/")
    return os.path.normpath(f"{base}/{own}")


@pytest.fixture
def real() -> Iterator[cgroup.Cgroup]:
    """A group of the kernel's, without bounds."""
    for place in PLACES:
        if os.path.exists(f"{own_group(place)}/cgroup.procs"):
            try:
                made = cgroup.create(own_group(place))
            except OSError:
                continue
            yield made
            made.remove()
            return
    pytest.skip("no control group may be made here")


@pytest.fixture
def group(tmp_path: Path) -> Path:
    """What `enter` takes for this process's group: plain files. Its base is `tmp_path`."""
    own = Path(own_group(str(tmp_path)))
    own.mkdir(parents=True, exist_ok=True)
    (own / "cgroup.controllers").write_text("cpu io memory pids\n")
    (own / "cgroup.subtree_control").write_text("\n")
    (own / "cgroup.procs").write_text(f"{os.getpid()}\n")
    return own


def plain(path: Path, names: tuple[str, ...]) -> cgroup.Cgroup:
    path.mkdir()
    for name in names:
        (path / name).touch()
    return cgroup.Cgroup(str(path))


def test_a_real_group_is_entered_killed_and_removed(real: cgroup.Cgroup) -> None:
    with child() as process:
        process.do(f"open({real.procs!r}, 'w').write('0')")
        process.do("other = subprocess.Popen(['sleep', '60'])")
        assert len(Path(real.procs).read_text().split()) == 2
        real.kill()
        real.remove()
        assert not os.path.exists(real.path)


def test_a_real_group_that_is_in_use_stays(real: cgroup.Cgroup) -> None:
    with child() as process:
        process.do(f"open({real.procs!r}, 'w').write('0')")
        start = time.monotonic()
        real.remove()
        assert cgroup.EMPTY_S <= time.monotonic() - start < cgroup.EMPTY_S + 1
        assert os.path.exists(real.path)


def test_a_real_group_without_the_controllers_says_so(real: cgroup.Cgroup) -> None:
    with pytest.raises(OSError, match=r"memory\.max"):
        cgroup.bound(real, Bounds())


def test_bounds(tmp_path: Path) -> None:
    names = ("memory.max", "memory.oom.group", "memory.swap.max", "pids.max")
    made = plain(tmp_path / "kernel", names)
    cgroup.bound(made, Bounds(memory_bytes=1 << 30, threads=100))
    assert [(tmp_path / "kernel" / name).read_text() for name in names] == ["1073741824", "1", "0", "108"]


def test_without_swap_accounting(tmp_path: Path) -> None:
    made = plain(tmp_path / "kernel", ("memory.max", "memory.oom.group", "pids.max"))
    cgroup.bound(made, Bounds())
    assert not (tmp_path / "kernel" / "memory.swap.max").exists()


@pytest.mark.parametrize(
    ("events", "killed"),
    [
        ("low 0\nhigh 0\nmax 12\noom 1\noom_kill 1\noom_group_kill 1\n", True),
        ("low 0\nhigh 0\nmax 12\noom 1\noom_kill 0\noom_group_kill 0\n", False),
        ("", False),
    ],
)
def test_out_of_memory(tmp_path: Path, events: str, killed: bool) -> None:
    (tmp_path / "memory.events").write_text(events)
    assert cgroup.Cgroup(str(tmp_path)).oom_killed() is killed


def test_missing_controllers(tmp_path: Path, group: Path) -> None:
    (group / "cgroup.controllers").write_text("cpu memory hugetlb\n")
    assert cgroup.enter(Bounds(), str(tmp_path)) == "its control group has no pids controller"
    assert cgroup.enter(Bounds(), str(tmp_path / "none")) == (
        "its control group has no memory and no pids controller"
    )


def test_a_group_with_other_processes_is_left_alone(tmp_path: Path, group: Path) -> None:
    (group / "cgroup.procs").write_text(f"1\n{os.getpid()}\n")
    reason = "its control group is not delegated, and holds other processes"
    assert cgroup.enter(Bounds(), str(tmp_path)) == reason
    assert not (group / cgroup.LEAF).exists()
    assert (group / "cgroup.subtree_control").read_text() == "\n"


@pytest.mark.parametrize(
    ("processes", "delegated"), [(["1", "own"], True), (["own"], False), ([], False)], ids=str
)
def test_processes_move_into_a_leaf(group: Path, processes: list[str], delegated: bool) -> None:
    pids = [str(os.getpid()) if pid == "own" else pid for pid in processes]
    (group / "cgroup.procs").write_text("\n".join(pids))
    if delegated:
        try:
            os.setxattr(group, "user.delegate", b"1")
        except OSError:
            pytest.skip("no extended attributes on this file system")
    plain(group / cgroup.LEAF, ("cgroup.procs",))
    assert cgroup.enable(str(group)) == ""
    # A plain file keeps the last one written.
    assert (group / cgroup.LEAF / "cgroup.procs").read_text() == "".join(pids[-1:])
    assert (group / "cgroup.subtree_control").read_text().split() == ["+memory", "+pids"]


def test_a_group_that_is_divided_already(tmp_path: Path, group: Path) -> None:
    (group / "cgroup.subtree_control").write_text("cpu memory pids\n")
    (group / "cgroup.procs").write_text("1\n2\n")
    assert cgroup.enable(str(group)) == ""
    assert not (group / cgroup.LEAF).exists()


def test_what_the_file_system_refuses_is_a_reason(tmp_path: Path, group: Path) -> None:
    """As a plain folder does: no file appears in a new group."""
    (group / "cgroup.subtree_control").write_text("cpu memory pids\n")
    assert cgroup.enter(Bounds(), str(tmp_path)) == (
        "its control group cannot be divided: No such file or directory"
    )
    assert not [path for path in group.iterdir() if path.is_dir()]


def test_this_machine() -> None:
    """Whatever it gives, nothing is left."""
    before = subprocess.run(["cat", "/proc/self/cgroup"], capture_output=True, check=True).stdout
    made = cgroup.enter(Bounds())
    if isinstance(made, cgroup.Cgroup):
        assert Path(made.path, "memory.max").read_text().strip() == str(Bounds().memory_bytes)
        made.remove()
        assert not os.path.exists(made.path)
    else:
        assert made
        assert subprocess.run(["cat", "/proc/self/cgroup"], capture_output=True).stdout == before
