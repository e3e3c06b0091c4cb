"""What a notebook records of the data files of its run, and that they come back from it."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest

from codeact_kernel.notebook import data as module
from codeact_kernel.notebook.cells import setup_spec
from codeact_kernel.notebook.data import record_data
from codeact_kernel.notebook.journal import JournalRecorder, read_journal
from codeact_kernel.notebook.load import load
from codeact_kernel.notebook.redact import Redactor
from codeact_kernel.notebook.writer import write
from codeact_kernel.trajectory import Trajectory
from codeact_kernel.wire.setup import SetupSpec, setup_source
from codeact_kernel.wire.setup_files import EMBEDDED_BYTES, FILE_BYTES, MAX_FILES, RecordedFile

NO_SECRETS = Redactor({})


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_small_files_are_embedded_and_large_ones_named(tmp_path: Path) -> None:
    (tmp_path / "edge").write_bytes(b"x" * FILE_BYTES)
    (tmp_path / "large").write_bytes(b"x" * (FILE_BYTES + 1))
    edge, large = record_data([tmp_path / "edge", tmp_path / "large"], NO_SECRETS)
    assert (edge.name, edge.content()) == ("data/edge", b"x" * FILE_BYTES)
    assert large == RecordedFile("data/large", FILE_BYTES + 1, sha(b"x" * (FILE_BYTES + 1)))
    assert large.content() is None


def test_a_folder_in_order_of_names_whatever_the_disk_says(tmp_path: Path) -> None:
    for name in ("b/2.csv", "b/10.csv", "a.csv", "c/d/e.csv"):
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).write_text(name)
    (tmp_path / "link").symlink_to(tmp_path / "set")
    names = ["a.csv", "b/10.csv", "b/2.csv", "c/d/e.csv"]
    for given in ("set", "link"):  # A link that the user names is what the user means.
        found = record_data([tmp_path / given], NO_SECRETS)
        assert [file.name for file in found] == [f"data/{given}/{name}" for name in names]
        assert [file.content() for file in found] == [name.encode() for name in names]
        assert {file.top for file in found} == {given}


def test_links_pipes_and_odd_names_inside_a_folder_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("a key that nobody named")
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path / "key")
    (folder / "dir").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe")
    for name in (b"new\nline", b"not utf-8 \xff", b"esc\x1b[2J"):
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_text("x")
    (folder / "plain").write_text("x")
    assert [file.name for file in record_data([folder], NO_SECRETS)] == ["data/set/plain"]
    assert record_data([tmp_path / "gone"], NO_SECRETS) == ()


def test_all_together_are_bounded(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"{number:02}").write_bytes(bytes([number]) * FILE_BYTES)
    found = record_data([tmp_path], NO_SECRETS)
    room = EMBEDDED_BYTES // FILE_BYTES
    assert [bool(file.packed) for file in found] == [True] * room + [False] * (20 - room)
    assert all(file.sha256 for file in found)


def test_a_folder_of_too_many_files_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "many").mkdir()
    for number in range(MAX_FILES + 1):
        (tmp_path / "many" / str(number)).touch()
    (tmp_path / "after").write_text("x")
    many, after = record_data([tmp_path / "many", tmp_path / "after"], NO_SECRETS)
    assert many == RecordedFile("data/many/", 0)
    assert after.content() == b"x"


def test_digests_are_bounded_too(tmp_path: Path) -> None:
    for name in ("1", "2"):
        (tmp_path / name).write_bytes(bytes(FILE_BYTES + 1))
    first, second = record_data([tmp_path / "1", tmp_path / "2"], NO_SECRETS, digest_bytes=FILE_BYTES + 1)
    assert first.sha256
    assert second == RecordedFile("data/2", FILE_BYTES + 1)
    assert module.DIGEST_BYTES > FILE_BYTES


@pytest.mark.parametrize("code", ["utf-8", "utf-16-le", "utf-16-be"])
def test_what_holds_a_secret_is_not_embedded(tmp_path: Path, code: str) -> None:
    (tmp_path / "a.ini").write_bytes('key = "hünter2-hünter2"'.encode(code))
    (file,) = record_data([tmp_path / "a.ini"], Redactor({"KEY": "hünter2-hünter2"}))
    assert file == RecordedFile("data/a.ini", len('key = "hünter2-hünter2"'.encode(code)))
    (file,) = record_data([tmp_path / "a.ini"], Redactor({"KEY": "another-secret"}))
    assert file.packed


def test_hidden_files_are_not_embedded(tmp_path: Path) -> None:
    for name in (".env", "set/.git/config", "set/a.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x = 1")
    found = record_data([tmp_path / ".env", tmp_path / "set"], NO_SECRETS)
    assert {file.name: bool(file.packed) for file in found} == {
        "data/.env": False,
        "data/set/.git/config": False,
        "data/set/a.csv": True,
    }
    assert all(file.sha256 for file in found)


def test_journal_and_notebook_give_the_data_back(run: Trajectory, tmp_path: Path) -> None:
    (tmp_path / "it's.csv").write_bytes(bytes(range(256)) * 20)
    (tmp_path / "large").write_bytes(bytes(FILE_BYTES + 1))
    files = record_data([tmp_path / "it's.csv", tmp_path / "large"], NO_SECRETS)
    told = replace(run, info=replace(run.info, setup=setup_source(SetupSpec("run-1", files=files))))
    path = tmp_path / "run.ipynb"
    recorder = JournalRecorder(path, NO_SECRETS)
    recorder.begin(told.info)
    recorder.close()
    assert read_journal(recorder.journal).info == told.info
    recorder.journal.unlink()
    write(told, path, NO_SECRETS)
    assert load(path) == told
    spec = setup_spec(load(path).info.setup)
    assert spec is not None
    assert spec.files == files
    before = path.read_bytes()
    write(load(path), path, NO_SECRETS)
    assert path.read_bytes() == before
