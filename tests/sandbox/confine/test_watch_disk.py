"""Bytes and entries on disk: counted right, whatever is done to the folders meanwhile."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from codeact_kernel.sandbox.confine.policy import MIB, Bounds
from codeact_kernel.sandbox.confine.watch_disk import KEPT_OPEN, Count
from codeact_kernel.sandbox.confine.watch_space import Space
from codeact_kernel.sandbox.confine.watch_tree import Tree

from .hostile import Child, child, never_over, until_over, watch

DEEP = 3000
NOBODY = 65534
CHURN = f"""
os.chdir(FOLDER)
for _ in range({KEPT_OPEN + 10}): os.mkdir('d'); os.chdir('d')
for number in range(30): os.mkdir(str(number))
os.makedirs('0/x/' + 'e/' * 200)
def churn():
    for turn in range(10**9): os.rename(f'{{turn % 30}}/x', f'{{(turn + 1) % 30}}/x')
threading.Thread(target=churn, daemon=True).start()
"""


def count(folder: Path, since: int = 0) -> Count:
    counted = Count([str(folder)], since)
    counted.go_on(60.0)
    assert counted.done
    return counted


def fill(folder: Path) -> None:
    """One of everything."""
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "plain").write_bytes(b"x" * 100_000)
    (folder / "a" / "b" / "new\nline\x1b[2J").write_bytes(b"x" * 5000)
    os.link(folder / "a" / "plain", folder / "a" / "b" / "again")
    os.symlink("/usr", folder / "a" / "link")
    os.symlink("..", folder / "a" / "loop")
    os.mkfifo(folder / "a" / "fifo")
    os.mkdir(os.fsencode(folder) + b"/\xff")
    with open(folder / "sparse", "wb") as file:
        file.truncate(1 << 40)


@contextmanager
def ordinary_user() -> Iterator[None]:
    """This thread's process without the rights of root, when it has them."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_it_counts_what_du_counts(tmp_path: Path) -> None:
    fill(tmp_path)
    counted = count(tmp_path)
    du = subprocess.run(["du", "-s", "-B1", tmp_path], capture_output=True, check=True)
    found = subprocess.run(["find", tmp_path, "-printf", "%i\n"], capture_output=True, check=True)
    assert counted.bytes == int(du.stdout.split()[0])
    assert counted.files == len(set(found.stdout.split()))
    assert not counted.torn


def test_a_folder_inside_another_counts_once(tmp_path: Path) -> None:
    fill(tmp_path)
    both = Count([str(tmp_path), str(tmp_path / "a"), str(tmp_path / "missing")], 0)
    both.go_on(60.0)
    assert (both.bytes, both.files) == (count(tmp_path).bytes, count(tmp_path).files)


def test_any_depth(tmp_path: Path) -> None:
    with child() as process:
        process.do(f"os.chdir({str(tmp_path)!r})")
        process.do(f"[(os.mkdir('d'), os.chdir('d')) for _ in range({DEEP})]")
        process.do("open('last', 'w').close()")
    try:
        open_before = len(os.listdir("/proc/self/fd"))
        counted = count(tmp_path)
        assert counted.files == DEEP + 2
        assert not counted.torn
        assert len(os.listdir("/proc/self/fd")) <= open_before  # others may close theirs
    finally:
        subprocess.run(["rm", "-rf", tmp_path / "d"], check=True)


def test_it_goes_on_where_it_stopped(tmp_path: Path) -> None:
    for number in range(300):
        (tmp_path / str(number)).mkdir()
    counted = Count([str(tmp_path)], 0)
    slices = 0
    while not counted.done:
        counted.go_on(0.0)
        slices += 1
    assert slices > 300
    assert counted.files == 301


def test_folders_moved_away_while_it_is_below_them(tmp_path: Path) -> None:
    half = tmp_path.joinpath(*["d"] * (KEPT_OPEN + 5))
    half.joinpath(*["e"] * 20).mkdir(parents=True)
    counted = Count([str(tmp_path)], 0)
    for _ in range(KEPT_OPEN + 5 + 10):
        counted.go_on(0.0)
    assert not counted.done
    (half / "e" / "e").rename(tmp_path / "elsewhere")
    counted.go_on(60.0)
    assert counted.done
    assert counted.torn
    assert counted.files == KEPT_OPEN + 5 + 20 + 1


def test_what_vanishes_meanwhile(tmp_path: Path) -> None:
    for number in range(50):
        (tmp_path / f"{number}" / "inner").mkdir(parents=True)
    counted = Count([str(tmp_path)], 0)
    counted.go_on(0.0)
    counted.go_on(0.0)
    subprocess.run(["rm", "-rf", tmp_path], check=True)
    counted.go_on(60.0)
    assert counted.done
    assert 51 <= counted.files < 101


def test_only_what_was_there_before(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"x" * 10_000)
    os.mkdir(tmp_path / "new")
    while (since := os.stat(tmp_path / "new").st_ctime_ns) <= os.stat(tmp_path / "old").st_ctime_ns:
        os.utime(tmp_path / "new")  # The clock of a file system ticks slowly.
    (tmp_path / "new" / "file").write_bytes(b"x" * 10_000)
    before = Count([str(tmp_path / "old"), str(tmp_path / "new")], since, before=True)
    before.go_on(60.0)
    assert (before.bytes, before.files) == (0, 0)
    before = Count([str(tmp_path)], since, before=True)
    before.go_on(60.0)
    assert before.bytes >= os.stat(tmp_path / "old").st_blocks * 512
    assert before.files in (1, 2), "the file and, unless its clock ticked, the folder it is in"


@pytest.mark.parametrize("mode", [0, 0o444, 0o111])
def test_locked_folders_are_unlocked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int) -> None:
    inner = tmp_path / "work" / "locked" / "inner"
    inner.mkdir(parents=True)
    (inner / "file").touch()
    for path in (tmp_path, *tmp_path.rglob("*")):
        os.chown(path, *((NOBODY, -1) if os.geteuid() == 0 else (-1, -1)))
    for path in (inner, inner.parent, inner.parent.parent):
        path.chmod(mode)
    monkeypatch.chdir(tmp_path)  # The way to it may be closed to an ordinary user.
    with ordinary_user():
        assert count(Path("work"), since=time.time_ns() + 10**9).files == 0, "locked before the session"
        assert count(Path("work"), since=0).files == 4


def test_a_link_in_place_of_a_locked_folder_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "host").mkdir(mode=0o500)
    (tmp_path / "work" / "x").mkdir(parents=True)
    counted = Count([str(tmp_path / "work")], 0)
    counted.go_on(0.0)
    (tmp_path / "work" / "x").rmdir()
    (tmp_path / "work" / "x").symlink_to(tmp_path / "host")
    counted.go_on(60.0)
    assert os.stat(tmp_path / "host").st_mode & 0o777 == 0o500
    assert counted.files == 2


def test_bytes(tmp_path: Path) -> None:
    (tmp_path / "before").write_bytes(b"x" * (30 * MIB))
    with child() as process:
        watched = watch(process, [tmp_path], disk_bytes=20)
        process.do(f"os.chdir({str(tmp_path)!r}); file = open('a', 'wb'); file.truncate(1 << 40)")
        never_over(watched)
        process.do("file.seek(1 << 20), file.write(b'x' * (22 << 20)), file.flush()")
        assert until_over(watched) == "too much on disk (limit 20 MiB)"


def test_bytes_allocated_at_once_by_a_session_that_seems_idle(tmp_path: Path) -> None:
    with child() as process:
        watched = watch(process, [tmp_path], disk_bytes=200)
        process.do(f"os.chdir({str(tmp_path)!r})")
        now = 0.0
        for _ in range(20):
            assert watched.look(now) is None
            now += watched.next_in
        process.do("os.posix_fallocate(os.open('a', os.O_CREAT | os.O_RDWR), 0, 256 << 20)")
        late = now + 1.0
        while now < late and (reason := watched.look(now)) is None:
            now += watched.next_in
        assert reason == "too much on disk (limit 200 MiB)"


def test_files_without_a_name(tmp_path: Path) -> None:
    with child() as process:
        watched = watch(process, [tmp_path], disk_bytes=20)
        process.do(f"os.chdir({str(tmp_path)!r}); file = open('a', 'wb'); os.unlink('a')")
        process.do("again = os.dup(file.fileno()); file.write(b'x' * (12 << 20)), file.flush()")
        never_over(watched)
        process.do("file.write(b'x' * (12 << 20)), file.flush()")
        assert until_over(watched) == "too much on disk (limit 20 MiB)"


MAP = """
mmap_ = ctypes.CDLL(None).mmap  # Python's own keeps a descriptor.
mmap_.argtypes, mmap_.restype = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 4], ctypes.c_void_p
def map_only(name, size, mapped):
    fd = os.open(name, os.O_CREAT | os.O_RDWR)
    os.posix_fallocate(fd, 0, size)
    assert mmap_(None, mapped, 3, mmap.MAP_SHARED, fd, 0) not in (None, 2**64 - 1)
    os.unlink(name), os.close(fd)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root sees how long such a file is")
def test_files_without_a_name_that_are_only_mapped(tmp_path: Path) -> None:
    with child() as process:
        watched = watch(process, [tmp_path], disk_bytes=20)
        process.do(f"os.chdir({str(tmp_path)!r}); exec({MAP!r}); map_only('a', 19 << 20, 4096)")
        never_over(watched)
        process.do("map_only('b', 19 << 20, 4096)")
        assert until_over(watched) == "too much on disk (limit 20 MiB)"


def test_files_that_are_only_mapped_as_an_ordinary_user(tmp_path: Path) -> None:
    with child() as process:
        process.do(f"os.chdir({str(tmp_path)!r}); exec({MAP!r}); map_only('a', 19 << 20, 10 << 20)")
        process.do("map_only('b', 19 << 20, 10 << 20)")
        as_nobody(process)
        with ordinary_user():
            counted = Count([str(tmp_path)], 0, pids=[process.pid])
            counted.go_on(60.0)
        assert (counted.unsized, counted.mapped) == (2, 20 * MIB)
        assert counted.files >= 2


def as_nobody(process: Child) -> None:
    """A process that changes its user is shut to others until it says otherwise (PR_SET_DUMPABLE)."""
    if os.getuid() == 0:
        process.do(f"os.setresuid(*[{NOBODY}] * 3); ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)")


def own(folder: Path) -> None:
    """For the ordinary user, with the way to it."""
    if os.geteuid() == 0:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, NOBODY, -1)


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that an ordinary user reaches."""
    folder = Path(tempfile.mkdtemp(dir="/tmp", prefix="watch-"))
    yield folder
    subprocess.run(["rm", "-rf", folder], check=True)


def test_files_that_are_only_mapped_are_as_large_as_what_is_gone_from_the_disk(place: Path) -> None:
    own(place)
    with child() as process, ordinary_user():
        as_nobody(process)
        watched = watch(process, [place], disk_bytes=100)
        process.do(f"os.chdir({str(place)!r}); exec({MAP!r}); map_only('a', 19 << 20, 4096)")
        never_over(watched)
        process.do("[map_only(f'{n}', 60 << 20, 4096) for n in range(5)]")
        assert until_over(watched) == "too much on disk (limit 100 MiB)"


def test_files_that_are_only_mapped_count(place: Path) -> None:
    with child() as process:
        watched = watch(process, [place], disk_files=40)
        process.do(f"os.chdir({str(place)!r}); exec({MAP!r}); [map_only('a', 1, 4096) for _ in range(30)]")
        never_over(watched)
        process.do("[map_only('a', 1, 4096) for _ in range(20)]")
        assert until_over(watched) == "too many files (limit 40)"


def test_libraries_renewed_on_the_host_do_not_count(place: Path, tmp_path: Path) -> None:
    with child() as process:
        watched = watch(process, [place], disk_files=10)
        process.do(f"os.chdir({str(tmp_path)!r}); exec({MAP!r}); [map_only('a', 1, 4096) for _ in range(30)]")
        never_over(watched)


def test_folders_closed_before_stay_closed_whatever_they_are_called(place: Path) -> None:
    (place / "locked").mkdir()
    (place / "locked").chmod(0)
    own(place)
    with child() as process, ordinary_user():
        as_nobody(process)
        watched = watch(process, [place])
        process.do(f"os.chdir({str(place)!r}); os.rename('locked', 'moved'); now = time.time_ns()")
        process.do("[None for _ in iter(lambda: os.utime('.') or os.stat('.').st_ctime_ns < now, False)]")
        process.do("os.mkdir('box', 0o300)  # Now that the clock of the file system has ticked.")
        never_over(watched)
        assert (place / "moved").stat().st_mode & 0o777 == 0
        assert (place / "box").stat().st_mode & 0o777 == 0o700


def test_folders_closed_before_are_no_place_to_hide_in(place: Path) -> None:
    (place / "box").mkdir(mode=0o300)
    (place / "box").chmod(0o300)
    own(place)
    with child() as process, ordinary_user():
        as_nobody(process)
        watched = watch(process, [place], disk_bytes=100)
        process.do(f"os.chdir({str(place)!r})")
        process.do("[os.posix_fallocate(os.open(f'box/{n}', 66), 0, 60 << 20) for n in range(5)]")
        assert until_over(watched) == "too much on disk (limit 100 MiB)"
        assert (place / "box").stat().st_mode & 0o777 == 0o300


def space(process: Child, *folders: Path, **bounds: int) -> Space:
    """Of a session that has begun before anything could be counted."""
    return Space([str(folder) for folder in folders], Bounds(**bounds), Tree(process.pid), still_s=0.0)


def looks(watched: Space, most: int = 400) -> str | None:
    now = time.monotonic()
    for _ in range(most):
        if reason := watched.look(now):
            return reason
        now = max(now + 0.02, watched.due)
    return None


def test_what_is_written_before_all_is_counted_that_was_there(place: Path) -> None:
    for number in range(2000):
        (place / str(number)).mkdir()
    with child() as process:
        watched = space(process, place, disk_bytes=100 * MIB, disk_files=1000)
        assert looks(watched, 3) is None
        process.do(f"os.chdir({str(place)!r})")
        process.do("[os.posix_fallocate(os.open(f'0/{n}', 66), 0, 60 << 20) for n in range(5)]")
        assert looks(watched) == "too much on disk (limit 100 MiB)"


def test_what_was_there_is_no_growth_however_late_it_is_counted(place: Path) -> None:
    for number in range(2000):
        (place / str(number)).mkdir()
    with child() as process:
        assert looks(space(process, place, disk_files=1000)) is None


def test_what_others_write_is_looked_at_and_ends_nothing(place: Path) -> None:
    (place / "work").mkdir()
    with child() as process:
        watched = space(process, place / "work", disk_bytes=20 * MIB)
        assert looks(watched, 20) is None
        stood_still = False
        for number in range(3):
            fd = os.open(place / f"other{number}", os.O_CREAT | os.O_RDWR)
            os.posix_fallocate(fd, 0, 60 * MIB)
            os.close(fd)
            now = time.monotonic() + 100 * number
            assert watched.look(now) is None
            stood_still = stood_still or watched._tree.frozen or watched._may_stop > now
            assert looks(watched, 20) is None
        assert stood_still
        assert not watched._tree.frozen
        process.do("pass")


def test_number_of_files(tmp_path: Path) -> None:
    for number in range(150):
        (tmp_path / f"before{number}").touch()
    with child() as process:
        watched = watch(process, [tmp_path], disk_files=200)
        process.do(f"os.chdir({str(tmp_path)!r}); [os.symlink('.', str(number)) for number in range(190)]")
        never_over(watched)
        process.do("[os.mkdir(f'd{number}') for number in range(20)]")
        assert until_over(watched) == "too many files (limit 200)"


def test_folders_moved_about_for_ever(tmp_path: Path) -> None:
    with child() as process:
        watched = watch(process, [tmp_path])
        process.do(f"FOLDER = {str(tmp_path)!r}; exec({CHURN!r})")
        assert until_over(watched) == "it moved its folders about faster than what is in them can be counted"


def test_a_huge_workspace_is_counted_in_slices(tmp_path: Path) -> None:
    for number in range(3000):
        (tmp_path / str(number)).touch()
    with child() as process:
        watched = watch(process, [tmp_path], disk_files=10)
        longest, now = 0.0, 0.0
        for _ in range(20):
            start = time.thread_time()
            assert watched.look(now) is None
            longest = max(longest, time.thread_time() - start)
            now += watched.next_in
        assert longest < 0.04
