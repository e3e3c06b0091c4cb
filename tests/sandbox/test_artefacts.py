"""Opening and copying what hostile code left: no link is followed, nothing overwritten, all work bounded."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from codeact_kernel.exceptions import UsageError
from codeact_kernel.sandbox.artefacts import copy_artefacts, open_artefact

SECRET = "the canary"
HOSTILE = [
    "new\nline.txt",
    "\x1b]0;title\x07\x1b[2J.csv",
    os.fsdecode(b"latin\xff\xfe.txt"),
    "x" * 251 + ".txt",
    "\u202egnp.exe",
    "-rf",
    "~root",
    ".bashrc",
    ".ssh/authorized_keys",
    "a:b|c.txt",
    " ",
]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    made = tmp_path / "work"
    made.mkdir()
    return made


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    folder = tmp_path / "host"
    folder.mkdir()
    (folder / "file").write_text(SECRET)
    return folder / "file"


def read(folder: Path, name: str) -> str:
    with open(open_artefact(folder, name), encoding="utf-8") as file:
        return file.read()


def put(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


# --- opening -----------------------------------------------------------------------------------


def test_a_file_is_opened_by_its_exact_name(workspace: Path) -> None:
    for number, name in enumerate(["plain.txt", "a/b/c/deep.txt", *HOSTILE]):
        put(workspace, name, str(number))
        assert read(workspace, name) == str(number)


def link_to_file(workspace: Path, canary: Path) -> str:
    (workspace / "f").symlink_to(canary)
    return "f"


def link_to_a_file_inside(workspace: Path, canary: Path) -> str:
    (workspace / "real").write_text("x")
    (workspace / "f").symlink_to("real")
    return "f"


def folder_that_is_a_link(workspace: Path, canary: Path) -> str:
    (workspace / "d").symlink_to(canary.parent)
    return "d/file"


def folder_that_is_a_link_to_proc(workspace: Path, canary: Path) -> str:
    (workspace / "d").symlink_to("/proc/self/root")
    return f"d{canary}"


def hard_link(workspace: Path, canary: Path) -> str:
    os.link(canary, workspace / "f")
    return "f"


def pipe(workspace: Path, canary: Path) -> str:
    os.mkfifo(workspace / "f")
    return "f"


def unix_socket(workspace: Path, canary: Path) -> str:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(workspace / "f"))
    return "f"


def folder(workspace: Path, canary: Path) -> str:
    (workspace / "f").mkdir()
    return "f"


def nothing(workspace: Path, canary: Path) -> str:
    return "f"


def upwards(workspace: Path, canary: Path) -> str:
    return "../host/file"


def upwards_from_a_folder(workspace: Path, canary: Path) -> str:
    (workspace / "d").mkdir()
    return "d/../../host/file"


def absolute(workspace: Path, canary: Path) -> str:
    return str(canary)


def no_name(workspace: Path, canary: Path) -> str:
    return ""


def null_byte(workspace: Path, canary: Path) -> str:
    return "a\0b"


def no_name_of_a_file(workspace: Path, canary: Path) -> str:
    return "\ud800"


def far_too_long(workspace: Path, canary: Path) -> str:
    return "x" * 100_000


@pytest.mark.parametrize(
    "plant",
    [
        *(link_to_file, link_to_a_file_inside, folder_that_is_a_link, folder_that_is_a_link_to_proc),
        *(hard_link, pipe, unix_socket, folder, nothing, upwards, upwards_from_a_folder, absolute),
        *(no_name, null_byte, no_name_of_a_file, far_too_long),
    ],
    ids=lambda plant: plant.__name__,
)
def test_anything_else_is_refused_and_not_copied(
    monkeypatch: pytest.MonkeyPatch,
    workspace: Path,
    canary: Path,
    tmp_path: Path,
    plant: Callable[[Path, Path], str],
) -> None:
    monkeypatch.chdir(tmp_path)  # The name of a socket is short.
    name = plant(workspace, canary)
    before = os.listdir("/proc/self/fd")
    with pytest.raises(UsageError, match="workspace"):
        open_artefact(workspace, name)
    (copied,) = copy_artefacts(workspace, [name], tmp_path / "out")
    assert copied.path is None
    assert copied.remark
    assert list((tmp_path / "out").iterdir()) == []
    # Fewer, when the portal closes what earlier tests have left meanwhile.
    assert len(os.listdir("/proc/self/fd")) <= len(before)


def test_a_workspace_that_is_gone_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"'.*gone' cannot be read: No such file.*its session has ended"):
        open_artefact(tmp_path / "gone", "f")


# --- races -------------------------------------------------------------------------------------


@contextmanager
def swapping(swap: Callable[[], None]) -> Iterator[None]:
    """Runs `swap` over and over meanwhile."""
    over = threading.Event()
    failed: list[BaseException] = []

    def work() -> None:
        try:
            while not over.is_set():
                swap()
        except BaseException as problem:
            failed.append(problem)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert not failed


def race(workspace: Path, name: str, copies: Path) -> None:
    """Opens and copies until the swap has hit each outcome often; a naive reader shows that it bites."""
    fooled, right, refused = 0, 0, 0
    deadline = time.monotonic() + 30
    while min(fooled, right, refused) < 100:
        assert time.monotonic() < deadline, (fooled, right, refused)
        try:
            fooled += (workspace / name).read_text() == SECRET
        except OSError:
            pass
        try:
            assert read(workspace, name) == "mine"
            right += 1
        except UsageError:
            refused += 1
        copy_artefacts(workspace, [name], copies / str(right + refused))
    texts = {path.read_text() for path in copies.rglob("*") if path.is_file()}
    assert texts == {"mine"}


def test_a_file_swapped_for_a_link(workspace: Path, canary: Path, tmp_path: Path) -> None:
    def swap() -> None:
        (workspace / "next").symlink_to(canary)
        os.replace(workspace / "next", workspace / "f")
        (workspace / "next").write_text("mine")
        os.replace(workspace / "next", workspace / "f")

    swap()
    with swapping(swap):
        race(workspace, "f", tmp_path / "out")


def test_a_folder_swapped_for_a_link(workspace: Path, canary: Path, tmp_path: Path) -> None:
    put(workspace, "d/file", "mine")

    def swap() -> None:
        os.rename(workspace / "d", workspace / "aside")
        (workspace / "d").symlink_to(canary.parent)
        os.unlink(workspace / "d")
        os.rename(workspace / "aside", workspace / "d")

    with swapping(swap):
        race(workspace, "d/file", tmp_path / "out")


# --- copying -----------------------------------------------------------------------------------


def test_copies_keep_their_folders_and_content(workspace: Path, tmp_path: Path) -> None:
    put(workspace, "a.csv", "1")
    put(workspace, "plots/p.png", "2")
    (workspace / "big").write_bytes(bytes(range(256)) * 20_000)
    out = tmp_path / "new" / "out"
    copied = copy_artefacts(workspace, ["a.csv", "plots/p.png", "big", "a.csv"], out)
    assert [(copy.name, copy.path, copy.remark) for copy in copied] == [
        ("a.csv", out / "a.csv", ""),
        ("plots/p.png", out / "plots" / "p.png", ""),
        ("big", out / "big", ""),
    ]
    assert (out / "a.csv").read_text() == "1"
    assert (out / "plots" / "p.png").read_text() == "2"
    assert (out / "big").read_bytes() == (workspace / "big").read_bytes()
    assert {oct(path.stat().st_mode & 0o111) for path in out.iterdir() if path.is_file()} == {"0o0"}


def test_nothing_is_overwritten(workspace: Path, canary: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    put(out, "a.csv", "the user's")
    (out / "b.csv").symlink_to(canary)
    (out / "c.csv").symlink_to(tmp_path / "not there")
    (out / "sub").symlink_to(canary.parent)
    (out / "plain").write_text("a file where a folder would go")
    for name in ("a.csv", "b.csv", "c.csv", "sub/file", "plain/x"):
        put(workspace, name, "new")
    first, second = (
        {copy.name: copy for copy in copy_artefacts(workspace, names, out)}
        for names in (["a.csv", "b.csv", "c.csv", "sub/file", "plain/x"], ["a.csv"])
    )
    assert (out / "a.csv").read_text() == "the user's"
    assert canary.read_text() == SECRET
    assert not (tmp_path / "not there").exists()
    assert sorted(os.listdir(canary.parent)) == ["file"]
    for name in "abc":
        assert (out / f"{name}-2.csv").read_text() == "new"
        assert first[f"{name}.csv"].remark == f"there is '{name}.csv' already; it is kept"
    assert second["a.csv"].path == out / "a-3.csv"
    for name in ("sub/file", "plain/x"):
        assert first[name].path is None
        assert "is not copied: a part of its path is a link or a file" in first[name].remark


def test_hostile_names_become_plain_ones(workspace: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for number, name in enumerate(HOSTILE):
        put(workspace, name, str(number))
    copied = copy_artefacts(workspace, HOSTILE, out)
    assert [copy.name for copy in copied] == HOSTILE
    for number, copy in enumerate(copied):
        assert copy.path is not None, copy.remark
        assert copy.path.read_text() == str(number)
        for part in copy.path.relative_to(out).parts:
            assert part.isprintable()
            assert part[0] not in ".-~ "
            assert len(os.fsencode(part)) <= 255
        plain = copy.name == "x" * 251 + ".txt"
        assert copy.remark.startswith("" if plain else "a plain name for ")
        assert copy.remark.isprintable()
    assert {path.name for path in out.iterdir()} >= {"_rf", "_root", "_bashrc", "_ssh"}


def test_two_names_that_become_one_are_both_kept(workspace: Path, tmp_path: Path) -> None:
    put(workspace, "a\n.txt", "1")
    put(workspace, "a\r.txt", "2")
    copied = copy_artefacts(workspace, ["a\n.txt", "a\r.txt"], tmp_path / "out")
    assert [copy.path.name for copy in copied if copy.path] == ["a_.txt", "a_-2.txt"]


def test_what_is_copied_is_bounded(workspace: Path, tmp_path: Path) -> None:
    put(workspace, "a", "123456")
    put(workspace, "b", "123456")
    put(workspace, "c", "1234")
    with open(workspace / "sparse", "wb") as file:
        file.truncate(10**12)
    out = tmp_path / "out"
    copied = copy_artefacts(workspace, ["a", "b", "sparse", "c"], out, max_bytes=10)
    assert [copy.path for copy in copied] == [out / "a", None, None, out / "c"]
    assert "there is more than is copied at once" in copied[1].remark
    assert sorted(path.name for path in out.iterdir()) == ["a", "c"], "no half copy is left"


@pytest.mark.parametrize("where", ["work", "work/../work", "work/out", "link/out", "file/below", "file"])
def test_a_destination_that_cannot_be_used(workspace: Path, tmp_path: Path, where: str) -> None:
    put(workspace, "a", "1")
    put(tmp_path, "file", "2")
    (tmp_path / "link").symlink_to(workspace)
    with pytest.raises(UsageError, match="name another folder"):
        copy_artefacts(workspace, ["a"], tmp_path / where)
    assert os.listdir(workspace) == ["a"]
