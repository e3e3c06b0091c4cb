"""The real servers of these tests: pinned, from the registries by name, and named when they cannot be had."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from . import installed
from .installed import NPM, PINS, PLACES, SERVERS, document


def test_every_server_is_pinned_and_no_host_is_named() -> None:
    for place in PLACES:
        for name in place.pinned:
            text = (PINS / name).read_text()
            assert not re.search(r'"resolved"|--index-url|://[^"\s]*\.(tgz|whl)', text), name
    for path in PINS.glob("requirements*.txt"):
        assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in path.read_text().splitlines()), path
    wanted = json.loads((PINS / "package.json").read_text())["dependencies"]
    locked = json.loads((PINS / "package-lock.json").read_text())["packages"]
    assert {name: locked[f"node_modules/{name}"]["version"] for name in wanted} == wanted


def test_what_cannot_be_installed_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(installed, "CACHE", tmp_path / "cache")
    assert NPM.problem == "the servers of package.json are not installed: make servers"
    monkeypatch.setenv("PATH", str(tmp_path))
    failure = NPM.install()
    assert failure is not None
    assert "npm" in failure
    assert NPM.problem == f"the servers of package.json could not be installed here: {failure}"


def test_an_mcp_json_has_a_folder_for_each(tmp_path: Path) -> None:
    found = document(tmp_path)["mcpServers"]
    assert set(found) == set(SERVERS)
    assert all((tmp_path / name).is_dir() for name in found)
    assert found["memory"]["env"] == {"MEMORY_FILE_PATH": str(tmp_path / "memory" / "memory.jsonl")}
