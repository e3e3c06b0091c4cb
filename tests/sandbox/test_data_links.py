"""Links to data are taken away after a session, wherever hostile code has moved them; nothing else is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from codeact_kernel.exceptions import UsageError
from codeact_kernel.sandbox.data_links import DataLinks


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "reports"
    folder.mkdir()
    (folder / "reports").write_text("a file of the user's, named as its folder")
    return folder


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def linked(work: Path, data: Path) -> DataLinks:
    links = DataLinks(work)
    links.make([data])
    assert (work / "data" / "reports" / "reports").exists()
    return links


def left(work: Path) -> list[str]:
    return sorted(str(path.relative_to(work)) for path in work.rglob("*"))


def test_made_and_removed(work: Path, data: Path) -> None:
    linked(work, data).remove()
    assert left(work) == []


def test_moved_to_another_folder(work: Path, data: Path) -> None:
    links = linked(work, data)
    (work / "a" / "b").mkdir(parents=True)
    (work / "data" / "reports").rename(work / "a" / "b" / "other")
    links.remove()
    assert left(work) == ["a", "a/b"]


def test_left_in_a_folder_that_was_renamed(work: Path, data: Path) -> None:
    links = linked(work, data)
    (work / "data").rename(work / "dd")
    links.remove()
    assert left(work) == ["dd"]


def test_moved_to_where_its_folder_was(work: Path, data: Path) -> None:
    """Then `data/reports` is the user's own file."""
    links = linked(work, data)
    (work / "data" / "reports").rename(work / "x")
    (work / "data").rmdir()
    (work / "x").rename(work / "data")
    links.remove()
    assert left(work) == []
    assert (data / "reports").exists()


def test_no_link_is_put_through_a_link(work: Path, data: Path) -> None:
    os.symlink(data, work / "data")
    with pytest.raises(UsageError, match="is a link; remove it"):
        DataLinks(work).make([data])
    assert os.listdir(data) == ["reports"]


def test_a_file_in_the_place_of_its_folder(work: Path, data: Path) -> None:
    (work / "data").touch()
    with pytest.raises(UsageError, match="cannot be made for it: File exists"):
        DataLinks(work).make([data])


def test_links_of_the_users_own_stay(work: Path, data: Path) -> None:
    (work / "data").mkdir()
    os.symlink(data, work / "data" / "reports")
    os.symlink(data, work / "mine")
    links = linked(work, data)
    links.remove()
    assert left(work) == ["data", "data/reports", "mine"]


def test_a_workspace_that_is_gone(work: Path, data: Path) -> None:
    links = linked(work, data)
    work.rename(work.with_name("elsewhere"))
    links.remove()
