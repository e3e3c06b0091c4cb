"""What servers offer, kept on disk: used when it is theirs and fresh, ignored when it is anything else."""

from __future__ import annotations

import json
import os
import stat
import time
from pathlib import Path

import pytest

from codeact_kernel.tools.mcp.catalogue import EXPIRY_S, Catalogue, CatalogueCache, user_cache
from codeact_kernel.tools.mcp.server import ServerConfig, Stdio

from .reach import hostile, plain, raw, within

CONFIG = ServerConfig("one", "one", Stdio("x", env={"KEY": "s3cret"}))


@pytest.fixture(scope="module")
def offered() -> Catalogue:
    """Of a real server."""
    catalogue = within(plain(), Catalogue.of)
    assert isinstance(catalogue, Catalogue)
    return catalogue


@pytest.fixture
def cache(tmp_path: Path) -> CatalogueCache:
    return CatalogueCache(tmp_path / "cache")


def stored(tmp_path: Path) -> Path:
    (path,) = (tmp_path / "cache" / "mcp").glob("*.json")
    return path


def test_what_a_server_offers(offered: Catalogue) -> None:
    assert {"add", "boom"} < {tool.name for tool in offered.tools}
    assert offered.info is not None
    assert offered.info.name == "plain"
    assert offered.instructions == "For tests."
    assert offered.capabilities.prompts is not None
    assert within(raw("odd"), Catalogue.of).remarks


def test_it_is_there_again(offered: Catalogue, cache: CatalogueCache, tmp_path: Path) -> None:
    assert cache.load(CONFIG) is None
    cache.save(CONFIG, offered)
    assert cache.load(CONFIG) == offered
    assert CatalogueCache(tmp_path / "cache").load(CONFIG) == offered
    assert cache.load(ServerConfig("one", "one", Stdio("x", env={"KEY": "another"}))) is None
    cache.forget(CONFIG)
    assert cache.load(CONFIG) is None


def test_odd_catalogues_too(cache: CatalogueCache) -> None:
    for config in (hostile("names"), hostile("descriptions"), hostile("surrogate-text"), raw("odd")):
        catalogue = within(config, Catalogue.of)
        cache.save(config, catalogue)
        assert cache.load(config) == catalogue
        assert catalogue.tools


def test_only_the_user_can_read_it_and_it_has_no_secret(
    offered: Catalogue, cache: CatalogueCache, tmp_path: Path
) -> None:
    cache.save(CONFIG, offered)
    folder = tmp_path / "cache" / "mcp"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert len([*folder.iterdir()]) == 2  # The key, the catalogue, and nothing that was being written.
    assert all(b"s3cret" not in path.read_bytes() for path in folder.iterdir())


def test_it_is_used_for_a_day(offered: Catalogue, cache: CatalogueCache) -> None:
    cache.save(CONFIG, offered)
    now = time.time()
    assert cache.load(CONFIG, now + EXPIRY_S - 60) is not None
    assert cache.load(CONFIG, now + EXPIRY_S + 60) is None
    assert cache.load(CONFIG, now - 60) is None  # Of a clock that was wrong.


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_text("{"),
        lambda path: path.write_bytes(b"\xff" * 100),
        lambda path: path.write_text("[" * 100_000),
        lambda path: path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 2})),
        lambda path: path.write_text(json.dumps(json.loads(path.read_text()) | {"digest": "another"})),
        lambda path: path.write_text(json.dumps(json.loads(path.read_text()) | {"tools": [{"name": "x"}]})),
        lambda path: path.chmod(0o644),
        lambda path: (path.parent / "key").write_bytes(b"x" * 32),
        lambda path: (path.parent / "key").write_bytes(b"short"),
        lambda path: (path.parent / "key").chmod(0o644),
        lambda path: (path.rename(path.with_suffix(".other")), path.symlink_to(path.with_suffix(".other"))),
        lambda path: (path.unlink(), path.mkdir()),
        lambda path: os.truncate(path, 50 * 1024 * 1024),
    ],
)
def test_a_copy_that_is_damaged_or_somebody_elses_is_ignored(
    damage: object, offered: Catalogue, cache: CatalogueCache, tmp_path: Path
) -> None:
    cache.save(CONFIG, offered)
    assert callable(damage)
    damage(stored(tmp_path))
    assert cache.load(CONFIG) is None


def test_after_damage_it_is_written_anew(offered: Catalogue, cache: CatalogueCache, tmp_path: Path) -> None:
    cache.save(CONFIG, offered)
    stored(tmp_path).write_text("{")
    (stored(tmp_path).parent / "key").chmod(0o644)
    assert cache.load(CONFIG) is None
    cache.save(CONFIG, offered)
    assert cache.load(CONFIG) == offered


def test_a_folder_that_others_can_write_to_is_not_used(
    offered: Catalogue, cache: CatalogueCache, tmp_path: Path
) -> None:
    cache.save(CONFIG, offered)
    (tmp_path / "cache" / "mcp").chmod(0o777)
    assert cache.load(CONFIG) is None


def test_a_folder_that_cannot_be_made_is_no_error(offered: Catalogue, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cache = CatalogueCache(tmp_path / "file")
    cache.save(CONFIG, offered)
    assert cache.load(CONFIG) is None


def test_old_copies_are_removed(offered: Catalogue, cache: CatalogueCache, tmp_path: Path) -> None:
    cache.save(CONFIG, offered)
    old = stored(tmp_path)
    os.utime(old, (0, 0))
    cache.save(ServerConfig("two", "two", Stdio("y")), offered)
    assert not old.exists()
    assert stored(tmp_path)


def test_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CODEACT_CACHE", str(tmp_path / "here"))
    assert user_cache() == tmp_path / "here"
    monkeypatch.delenv("CODEACT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "there"))
    assert user_cache() == tmp_path / "there" / "codeact"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_cache() == tmp_path / ".cache" / "codeact"
