"""Which files a cell made or changed: complete, bounded, and said so when there are more."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from codeact_kernel.config import SandboxProfile, Settings
from codeact_kernel.outputs import Finished, WorkspaceFile
from codeact_kernel.sandbox.workspace import (
    LISTED,
    LONGEST,
    FileState,
    Listing,
    Workspace,
    changed,
    media_type,
    take_listing,
)

from .support import Lab, OpenLab, impatient

NAMES = [
    "plain.txt",
    "a/b/c/deep",
    "new\nline",
    "\x1b[2J",
    os.fsdecode(b"\xff\xfe"),
    "x" * 255,
    "\u202e",
    ".hidden",
]
LEVELS = 3_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "work"
    made.mkdir()
    return made


def listed(folder: Path) -> Listing:
    return take_listing(str(folder))


def put(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


# --- listings ----------------------------------------------------------------------------------


def test_regular_files_by_their_exact_names(folder: Path) -> None:
    for name in NAMES:
        put(folder, name, "x")
    listing = listed(folder)
    assert listing.complete
    assert sorted(listing.files) == sorted(NAMES)
    assert listing.files["plain.txt"].size == 1


def test_what_is_no_file_of_its_own_is_left_out(folder: Path, tmp_path: Path) -> None:
    put(tmp_path, "host/file", "x")
    (folder / "link").symlink_to(tmp_path / "host" / "file")
    (folder / "data").mkdir()
    (folder / "data" / "linked").symlink_to(tmp_path / "host")
    os.mkfifo(folder / "pipe")
    os.link(tmp_path / "host" / "file", folder / "hard")
    (folder / "endless").symlink_to(".")
    listing = listed(folder)
    assert (dict(listing.files), listing.complete) == ({}, True)


def test_changes(folder: Path) -> None:
    for name in ("same", "rewritten", "replaced", "touched", "removed", "moved"):
        put(folder, name, "1")
    before = listed(folder)
    put(folder, "rewritten", "12")
    put(folder, "next", "1")
    os.replace(folder / "next", folder / "replaced")
    os.utime(folder / "touched", (1, 1))
    os.unlink(folder / "removed")
    os.rename(folder / "moved", folder / "moved here.csv")
    put(folder, "sub/new.png", "123")
    files, more = changed(before, listed(folder))
    assert not more
    assert files == (
        WorkspaceFile("moved here.csv", 1, "text/csv"),
        WorkspaceFile("replaced", 1),
        WorkspaceFile("rewritten", 2),
        WorkspaceFile("sub/new.png", 3, "image/png"),
        WorkspaceFile("touched", 1),
    )
    assert changed(listed(folder), listed(folder)) == ((), False)


def step(at: int, folder: str) -> int:
    inner = os.open(folder, os.O_RDONLY, dir_fd=at)
    os.close(at)
    return inner


@pytest.fixture
def deep(folder: Path) -> Iterator[Path]:
    """A tree that no path reaches the end of and no recursion; pytest could not remove it either."""
    at = os.open(folder, os.O_RDONLY)
    for _ in range(LEVELS):
        os.mkdir("d", dir_fd=at)
        at = step(at, "d")
    yield folder
    for _ in range(LEVELS):
        at = step(at, "..")
        os.rmdir("d", dir_fd=at)
    os.close(at)


def test_a_very_deep_tree(deep: Path) -> None:
    put(deep, "beside", "x")
    listing = take_listing(str(deep), seconds=20)
    assert list(listing.files) == ["beside"]
    assert not listing.complete
    levels = LONGEST // 2  # "d/d/…/d": further down, names are too long to be listed
    lowest = "/".join(["d"] * (levels - 1) + ["f"])
    put(deep, lowest, "x")
    assert len(take_listing(str(deep), seconds=20).files) == 2
    (deep / lowest).unlink()
    began = time.monotonic()
    assert not take_listing(str(deep), seconds=0.01).complete
    assert time.monotonic() - began < 5, "the bound is 10 ms; the rest is a slow machine"


def test_more_entries_than_are_looked_at(folder: Path) -> None:
    for number in range(50):
        (folder / f"d{number}").mkdir()
        put(folder, f"d{number}/f", "")
    put(folder, "top.csv", "")
    crowded = take_listing(str(folder), entries=60)
    assert not crowded.complete
    assert 0 < len(crowded.files) < 15
    assert "top.csv" in crowded.files, "what lies at the top is looked at first"
    assert take_listing(str(folder), entries=101).complete


def test_a_workspace_that_is_gone(tmp_path: Path) -> None:
    listing = take_listing(str(tmp_path / "gone"))
    assert not listing.complete
    assert not listing.files


def test_only_so_many_are_listed_and_it_is_said() -> None:
    state = FileState(1, 1, 1, 1)
    many = Listing({f"{number:04}": state for number in range(LISTED + 1)})
    files, more = changed(Listing(), many)
    assert ([file.name for file in files], more) == (sorted(many.files)[:LISTED], True)
    assert changed(Listing(), Listing({"a": state}, complete=False))[1]


def test_after_an_incomplete_listing_only_what_was_touched_since_is_new() -> None:
    then = 10**18
    old, new = FileState(1, then - 10**9, 1, 1), FileState(1, then + 10**6, 1, 2)
    now = Listing({"old": old, "new": new, "known": new})
    before = Listing({"known": old}, complete=False, taken_ns=then)
    assert [file.name for file in changed(before, now)[0]] == ["known", "new"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("out.csv", "text/csv"),
        ("a/b/PLOT.PNG", "image/png"),
        ("report.pdf", "application/pdf"),
        ("t.parquet", "application/vnd.apache.parquet"),
        ("out.csv.gz", "application/gzip"),
        ("data:text/html,x", ""),
        ("no suffix", ""),
        (".csv", ""),
        ("x.\x1b[2J", ""),
    ],
)
def test_media_types(name: str, kind: str) -> None:
    assert media_type(name) == kind


def test_an_empty_workspace_costs_a_step_little(folder: Path) -> None:
    """Against the clock of this machine: reading a small file of /proc ten times."""
    workspace, ended = Workspace(str(folder)), Finished("ok")

    def seconds(work: object) -> float:
        assert callable(work)
        began = time.perf_counter()
        for _ in range(100):
            work()
        return time.perf_counter() - began

    def reads() -> None:
        for _ in range(10):
            Path("/proc/self/status").read_bytes()

    assert min(seconds(lambda: workspace.ended(ended)) for _ in range(5)) < min(
        seconds(reads) for _ in range(5)
    )


# --- with a kernel -----------------------------------------------------------------------------

WRITE = "def put(name, text='x'):\n    with open(name, 'w') as file: _ = file.write(text)\n"


def names(files: tuple[WorkspaceFile, ...]) -> list[str]:
    return [file.name for file in files]


@pytest.mark.kernel
def test_cells_list_what_they_made_and_changed(shared: Lab) -> None:
    assert shared.run(WRITE).finished.files == ()
    made = shared.run(
        "put('out.csv', 'a,b'); put('evil\\nname\\x1b[2J'); import os; os.mkdir('d'); put('d/p.png')"
    )
    assert made.finished.files == (
        WorkspaceFile("d/p.png", 1, "image/png"),
        WorkspaceFile("evil\nname\x1b[2J", 1),
        WorkspaceFile("out.csv", 3, "text/csv"),
    )
    assert shared.run("open('out.csv').read()").finished.files == ()
    failed = shared.run("put('out.csv', 'longer'); os.unlink('d/p.png'); 1/0")
    assert (failed.status, failed.finished.files) == ("error", (WorkspaceFile("out.csv", 6, "text/csv"),))
    assert not failed.finished.more_files


@pytest.mark.kernel
def test_links_that_a_cell_plants_are_not_listed(shared: Lab) -> None:
    plant = (
        "import os\n"
        "for how, *args in ((os.symlink, '/etc/passwd', 'l'), (os.link, 'base', 'h'), (os.mkfifo, 'p')):\n"
        "    try: how(*args)\n"
        "    except OSError: pass\n"
        "open('beside', 'w').close()"
    )
    before = shared.run("open('base', 'w').close()").finished
    assert names(before.files) == ["base"]
    cell = shared.run(plant)
    assert (cell.status, names(cell.finished.files)) == ("ok", ["beside"])
    host = Path(shared.session.workspace)
    (host / "planted by the host").symlink_to("/etc/passwd")
    assert shared.run("1").finished.files == ()


@pytest.mark.kernel
def test_thousands_of_files_are_bounded(shared: Lab) -> None:
    cell = shared.run("import os\nos.mkdir('many')\nfor n in range(2_500): open(f'many/{n}', 'w').close()")
    assert cell.status == "ok"
    assert len(cell.finished.files) == LISTED
    assert cell.finished.more_files
    shared.run("import shutil; shutil.rmtree('many')")
    assert not shared.run("1").finished.more_files


@pytest.mark.kernel
def test_a_killed_cell_lists_its_files_and_the_next_kernel_starts_even(open_lab: OpenLab) -> None:
    lab = open_lab(impatient())
    cell = lab.run("open('before', 'w').close()\nimport re\nre.match('(a+)+$', 'a' * 60 + 'b')")
    assert (cell.status, names(cell.finished.files)) == ("killed", ["before"])
    (Path(lab.session.workspace) / "meanwhile").write_text("x")
    lab.restart()
    assert lab.run("1").finished.files == ()
    assert lab.session.files is not None
    assert names(lab.session.files.left()) == ["before", "meanwhile"]


@pytest.mark.kernel
def test_data_and_what_was_there_before_are_not_listed(open_lab: OpenLab, tmp_path: Path) -> None:
    put(tmp_path, "numbers.csv", "1")
    put(tmp_path, "space/old.txt", "1")
    profile = SandboxProfile(workspace=tmp_path / "space", data=(tmp_path / "numbers.csv",))
    lab = open_lab(Settings(profile=profile))
    assert lab.session.files is not None
    cell = lab.run(
        "text = open('data/numbers.csv').read()\nwith open('new.txt', 'w') as f: _ = f.write(text)"
    )
    assert cell.status == "ok"
    assert names(cell.finished.files) == names(lab.session.files.left()) == ["new.txt"]
