"""Corrupt notebooks: each command that reads one says what is wrong with which file, and leaves it alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from codeact_kernel.frontends.cli import main

from .saved_runs import edit, save

COMMANDS = ("replay", "show", "verify")


def cut_in_the_middle(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:2000])


def changed(path: Path, **keys: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | keys))


def with_ours(path: Path, **keys: object) -> None:
    notebook = json.loads(path.read_text())
    notebook["metadata"]["codeact"] |= keys
    path.write_text(json.dumps(notebook))


def broken_tape(path: Path) -> None:
    edit(path, r'"pay","args":\[30\]', '"pay","args":30', "setup")


def lost_entry(path: Path) -> None:
    edit(path, r'\{"step":4,.*\n', "", "setup")


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda path: path.write_text(""), "damaged or cut off"),
    "truncated": (cut_in_the_middle, "damaged or cut off"),
    "not text": (lambda path: path.write_bytes(b"\xff\xfe\x00\x81" * 100), ""),
    "not an object": (lambda path: path.write_text("[1, 2]"), ""),
    "too deep": (lambda path: path.write_text("[" * 100_000), ""),
    "nbformat of the past": (lambda path: changed(path, nbformat=3), "nbformat"),
    "nbformat of the future": (lambda path: changed(path, nbformat=99), "nbformat"),
    "foreign": (lambda path: changed(path, metadata={}), "no run of codeact_kernel"),
    "format of the future": (lambda path: with_ours(path, schema_version=99), "99"),
    "no cells": (lambda path: changed(path, cells=7), "its cells are no list"),
    "a tape entry that is none": (broken_tape, ""),
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_read_is_named_and_left_alone(
    here: Path, capsys: pytest.CaptureFixture[str], command: str, name: str
) -> None:
    path = save(here / "run.ipynb")
    spoil, words = BROKEN[name]
    spoil(path)
    before = path.read_bytes()
    # It can be read, and is not as it was.
    tampered = command == "verify" and name in ("no cells", "a tape entry that is none")
    assert main([command, "run.ipynb"]) == (20 if tampered else 2)
    said = "".join(capsys.readouterr())
    assert "run.ipynb" in said
    assert words in said or tampered
    assert "bug in codeact" not in said
    assert path.read_bytes() == before
    assert [entry.name for entry in here.iterdir()] == ["run.ipynb"]


@pytest.mark.kernel
@pytest.mark.parametrize(("command", "code"), [("replay", 11), ("show", 0), ("verify", 20)])
def test_a_tape_entry_that_is_missing(
    here: Path, capsys: pytest.CaptureFixture[str], command: str, code: int
) -> None:
    path = save(here / "run.ipynb")
    lost_entry(path)
    before = path.read_bytes()
    assert main([command, "run.ipynb"]) == code
    if code:
        assert "step 4" in capsys.readouterr().out
    assert path.read_bytes() == before
