"""Owns what a server offers, and a copy of it on disk, so that a run need not start every server first."""

from __future__ import annotations

import contextlib
import hmac
import json
import os
import secrets
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import mcp_types as types
from pydantic import BaseModel, ConfigDict, ValidationError

from . import private_files
from .connection import Connection
from .server import ServerConfig

FORMAT = 1
EXPIRY_S = 24 * 3600.0
"""An older copy is not used: the server is asked at the start."""
KEPT_S = 30 * 24 * 3600.0
MAX_BYTES = 48 * 1024 * 1024
KEY_BYTES = 32


@dataclass(frozen=True)
class Catalogue:
    """What a server says of itself and its tools. `remarks`: what of it could not be used, and why."""

    tools: tuple[types.Tool, ...]
    info: types.Implementation | None = None
    instructions: str | None = None
    capabilities: types.ServerCapabilities = field(default_factory=types.ServerCapabilities)
    remarks: tuple[str, ...] = ()

    @classmethod
    async def of(cls, connection: Connection) -> Catalogue:
        """Asked of the server. Raises: as `Connection.list_tools`."""
        await connection.open()
        client = connection.client
        assert client is not None
        can = client.server_capabilities
        tools = await connection.list_tools() if can.tools is not None else ()
        return cls(tools, client.server_info, client.instructions, can, connection.remarks)


class _Stored(BaseModel):
    """A file."""

    model_config = ConfigDict(extra="forbid")
    format: int
    digest: str
    at: float
    tools: list[types.Tool]
    info: types.Implementation | None
    instructions: str | None
    capabilities: types.ServerCapabilities
    remarks: list[str]


class CatalogueCache:
    """Copies of catalogues in a folder of the user's. It is a cache: what goes wrong with it is no error.

    Files are named by a keyed digest of the server's configuration, so that they tell nothing of the
    credentials in there. The key is in a file beside them that only the user can read.

    Args:
        folder: default: `CODEACT_CACHE`, else `codeact` in the user's folder for caches.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = (folder if folder is not None else user_cache()) / "mcp"

    def load(self, config: ServerConfig, now: float | None = None) -> Catalogue | None:
        """The copy of what the server offered within the last day; None: there is none that can be used."""
        with _no_error():
            key = self._key()
            path = self._path(config, key)
            if not private_files.is_own(path) or path.stat().st_size > MAX_BYTES:
                return None
            stored = _Stored.model_validate_json(path.read_bytes(), by_name=False, by_alias=True)
            age = (time.time() if now is None else now) - stored.at
            same = hmac.compare_digest(stored.digest, config.digest(key))
            if stored.format == FORMAT and same and 0 <= age < EXPIRY_S:
                return Catalogue(
                    tuple(stored.tools),
                    stored.info,
                    stored.instructions,
                    stored.capabilities,
                    tuple(stored.remarks),
                )
        return None

    def save(self, config: ServerConfig, catalogue: Catalogue) -> None:
        """In place of what there was, at once or not at all."""
        with _no_error():
            key = self._key()
            stored = _Stored(
                format=FORMAT,
                digest=config.digest(key),
                at=time.time(),
                tools=list(catalogue.tools),
                info=catalogue.info,
                instructions=catalogue.instructions,
                capabilities=catalogue.capabilities,
                remarks=list(catalogue.remarks),
            )
            text = stored.model_dump_json(by_alias=True, exclude_none=False).encode()
            if len(text) <= MAX_BYTES:
                private_files.write(self._path(config, key), text)
            self._forget_old()

    def forget(self, config: ServerConfig) -> None:
        """The server turned out to offer something else, or nothing."""
        with _no_error():
            self._path(config, self._key()).unlink(missing_ok=True)

    def _path(self, config: ServerConfig, key: bytes) -> Path:
        return self._folder / f"{config.digest(key)}.json"

    def _key(self) -> bytes:
        """Made when there is none. Raises OSError: it cannot be, or others could read it."""
        private_files.own_folder(self._folder)
        path = self._folder / "key"
        if not path.exists():
            private_files.write(path, secrets.token_bytes(KEY_BYTES), keep=True)
        key = path.read_bytes()
        if not private_files.is_own(path) or len(key) != KEY_BYTES:
            path.unlink()
            raise PermissionError(str(path))
        return key

    def _forget_old(self) -> None:
        for path in self._folder.glob("*.json"):
            if time.time() - path.stat().st_mtime > KEPT_S:
                path.unlink()


def user_cache() -> Path:
    """The folder for caches of this program."""
    if given := os.environ.get("CODEACT_CACHE"):
        return Path(given).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "codeact"
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "codeact"


@contextlib.contextmanager
def _no_error() -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError, ValueError, ValidationError, json.JSONDecodeError):
        pass  # RuntimeError: the user has no home.
