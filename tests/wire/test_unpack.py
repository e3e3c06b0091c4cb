"""Recorded data goes into the working folder and nowhere else, and replaces nothing that is there."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeact_kernel.wire.setup import SetupSpec, setup_source
from codeact_kernel.wire.setup_files import RecordedFile, is_data_name
from codeact_kernel.wire.setup_lines import pack
from codeact_kernel.wire.unpack import Problem, unpack


def recorded(name: str, data: bytes, embedded: bool = True) -> RecordedFile:
    return RecordedFile(name, len(data), hashlib.sha256(data).hexdigest(), pack(data) if embedded else "")


def test_files_appear_where_they_were_and_again_changes_nothing(tmp_path: Path) -> None:
    files = [
        recorded("data/a.csv", b"a,1\n"),
        recorded("data/more/deep/b.bin", b""),
        recorded("data/ü ñ", b"x"),
    ]
    for _ in range(2):
        assert unpack(files, str(tmp_path)) == []
        assert (tmp_path / "data/a.csv").read_bytes() == b"a,1\n"
        assert (tmp_path / "data/more/deep/b.bin").read_bytes() == b""
        assert (tmp_path / "data/ü ñ").stat().st_mode & 0o222 == 0


def test_what_is_there_is_kept(tmp_path: Path) -> None:
    (tmp_path / "data/folder").mkdir(parents=True)
    (tmp_path / "data/a").write_bytes(b"mine")
    (tmp_path / "data/same size").write_bytes(b"12345")
    os.mkfifo(tmp_path / "data/pipe")
    files = [recorded(f"data/{name}", b"their") for name in ("a", "same size", "pipe", "folder")]
    problems = unpack(files, str(tmp_path))
    assert problems == [Problem(file, "different") for file in files]
    assert (tmp_path / "data/a").read_bytes() == b"mine"
    assert (tmp_path / "data/same size").read_bytes() == b"12345"


def test_what_was_not_embedded_is_missing_until_it_is_there(tmp_path: Path) -> None:
    big, folder = recorded("data/sub/big", b"big", embedded=False), RecordedFile("data/many/", 0)
    unknown = RecordedFile("data/unknown", 3)
    wanted = [big, folder, unknown]
    assert unpack(wanted, str(tmp_path)) == [Problem(file, "missing") for file in wanted]
    assert not (tmp_path / "data").exists()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "big").write_bytes(b"big")
    (tmp_path / "data/many").mkdir(parents=True)
    (tmp_path / "data/sub").symlink_to(elsewhere)  # A user may link to it; nothing is written here.
    (tmp_path / "data/unknown").write_bytes(b"any")
    assert unpack(wanted, str(tmp_path)) == []


@pytest.mark.parametrize(
    ("link", "target"),
    [("data", "."), ("data/sub", "."), ("data/sub/new.csv", "new.csv"), ("data/sub/new.csv", "../victim")],
)
def test_no_link_is_written_through(tmp_path: Path, link: str, target: str) -> None:
    work, outside = tmp_path / "work", tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "victim").write_bytes(b"host")
    (work / link).parent.mkdir(parents=True)
    (work / link).symlink_to(outside / target)
    (problem,) = unpack([recorded("data/sub/new.csv", b"theirs")], str(work))
    assert problem.kind in ("blocked", "different")
    assert (tmp_path / "victim").read_bytes() == b"host"
    assert list(outside.iterdir()) == []


def test_a_file_in_place_of_a_folder_blocks(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"")
    assert [p.kind for p in unpack([recorded("data/a", b"x")], str(tmp_path))] == ["blocked"]


def test_one_file_in_the_way_of_another_is_no_crash(tmp_path: Path) -> None:
    files = [recorded("data/a", b"x"), recorded("data/a/b", b"y")]
    problems = unpack(files, str(tmp_path))
    assert [(p.file.name, p.kind) for p in problems] == [("data/a/b", "blocked")]
    assert "directory" in problems[0].detail


FULL = """
import resource, sys
from codeact_kernel.wire.setup import parse_setup
from codeact_kernel.wire.unpack import unpack
resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
print([(p.kind, p.detail) for p in unpack(parse_setup(sys.stdin.read()).files, ".")])
"""


def test_a_write_that_fails_leaves_no_half_file(tmp_path: Path) -> None:
    files = (recorded("data/long", bytes(100)), recorded("data/short", b"x"))
    done = subprocess.run(
        [sys.executable, "-c", FULL],
        input=literal(setup_source(SetupSpec("r", files=files))),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=True,
        timeout=60,
    )
    assert done.stdout == "[('blocked', 'File too large')]\n"
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["short"]


def literal(source: str) -> str:
    return source.split("'''")[1]


@given(st.text() | st.lists(st.sampled_from(["data", "..", ".", "", "a", "\\", "~"])).map("/".join))
def test_a_name_that_is_taken_stays_below_data(name: str) -> None:
    if is_data_name(name):
        assert os.path.normpath(f"/x/{name}") == f"/x/{name.removesuffix('/')}"
        assert name.startswith("data/")
    assert is_data_name(f"data/{name}") <= (".." not in name.split("/"))
