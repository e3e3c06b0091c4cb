"""Owns the tokens of servers over HTTP on disk: a file for each address, that only the user may read."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

from jupyter_core.paths import jupyter_data_dir
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken
from pydantic import BaseModel, ValidationError

from . import private_files

MAX_BYTES = 256 * 1024
EARLY_S = 30.0
"""A token is renewed so long before it expires."""


class _Stored(BaseModel):
    url: str
    client: OAuthClientInformationFull | None = None
    tokens: OAuthToken | None = None
    expires: float | None = None


class TokenFile:
    """A `TokenStorage` of the SDK.

    Args:
        url: of the server.
        folder: default: `codeact/mcp` in Jupyter's data folder.
    """

    def __init__(self, url: str, folder: Path | None = None) -> None:
        self._url = url
        self._folder = folder if folder is not None else Path(jupyter_data_dir()) / "codeact" / "mcp"
        self._path = self._folder / f"{hashlib.sha256(url.encode()).hexdigest()[:40]}.json"

    @property
    def expires(self) -> float | None:
        """When the access token does, as `time.time()`; None: nobody knows."""
        return self._read().expires

    async def get_tokens(self) -> OAuthToken | None:
        return self._read().tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        life = tokens.expires_in
        expires = None if life is None else time.time() + life - min(EARLY_S, life / 2)
        self._write(self._read().model_copy(update={"tokens": tokens, "expires": expires}))

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self._read().client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self._write(_Stored(url=self._url, client=client_info))  # Tokens of another client are none.

    async def know_client(self, client_id: str, secret: str) -> None:
        """A client that the user has registered; tokens of another are none of its."""
        known = self._read().client
        if known is None or (known.client_id, known.client_secret or "") != (client_id, secret):
            how = "client_secret_post" if secret else "none"
            await self.set_client_info(
                OAuthClientInformationFull(
                    client_id=client_id,
                    client_secret=secret or None,
                    redirect_uris=None,
                    token_endpoint_auth_method=how,
                )
            )

    def _read(self) -> _Stored:
        """What there is; nothing, when others could have read or written it."""
        try:
            if private_files.is_own(self._path) and self._path.stat().st_size <= MAX_BYTES:
                stored = _Stored.model_validate_json(self._path.read_bytes())
                if stored.url == self._url:
                    return stored
        except (OSError, ValidationError):
            pass
        return _Stored(url=self._url)

    def _write(self, stored: _Stored) -> None:
        private_files.own_folder(self._folder)
        private_files.write(self._path, stored.model_dump_json(exclude_none=True).encode())
