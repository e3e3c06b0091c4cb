"""Owns access to servers over HTTP that want a login: OAuth through the SDK, tokens kept for the next run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
from mcp.client.auth import OAuthClientProvider
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata
from pydantic import AnyUrl

from .callbacks import Authorize
from .oauth_listener import Listener
from .oauth_store import TokenFile
from .patience import Patience
from .problems import Unavailable
from .server import Http

LOGIN_S = 600.0
MAX_URL = 8192
NOBODY = "it wants a login, and nobody is there for it; start it once from a terminal or a notebook"


class Access(httpx2.Auth):
    """What lets requests to one server in.

    As long as there is nothing to do the SDK's provider is left out of it: it has a lock around each request
    until the answer begins, so that calls would wait for each other.

    Args:
        authorize: as of `Callbacks`; None: nobody is there.
        folder: where tokens are kept; default: the user's.
    """

    def __init__(
        self,
        launch: Http,
        authorize: Authorize | None,
        patience: Patience,
        folder: Path | None = None,
    ) -> None:
        self._launch = launch
        self._authorize = authorize
        self._patience = patience
        self._store = TokenFile(launch.url, folder)
        self._listener: Listener | None = None
        self._asking: asyncio.Future[str] | None = None
        self._login = asyncio.Lock()
        self._provider: OAuthClientProvider | None = None

    async def async_auth_flow(
        self, request: httpx2.Request
    ) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        provider = await self._provided()
        context = provider.context
        if context.is_token_valid() or not context.can_refresh_token():
            if context.is_token_valid() and context.current_tokens is not None:
                request.headers["Authorization"] = f"Bearer {context.current_tokens.access_token}"
            response = yield request
            if not _wants_login(response):
                return
        async with self._login:
            flow = provider.async_auth_flow(request)
            try:
                outgoing = await flow.__anext__()
                while True:
                    response = yield outgoing
                    if outgoing is request and _wants_login(response):
                        await self._expect(provider)
                    outgoing = await flow.asend(response)
            except StopAsyncIteration:
                return
            finally:
                await flow.aclose()
                self._close()

    async def _provided(self) -> OAuthClientProvider:
        if self._provider is None:
            login = self._launch.login
            metadata = OAuthClientMetadata(
                redirect_uris=[AnyUrl("http://127.0.0.1/callback")],
                client_name="codeact_kernel",
                scope=login.scope or None,
            )
            if login.client_id:
                await self._store.know_client(login.client_id, login.client_secret)
            self._provider = OAuthClientProvider(
                self._launch.url, metadata, self._store, self._redirect, self._redirected
            )
            self._provider.context.current_tokens = await self._store.get_tokens()
            self._provider.context.client_info = await self._store.get_client_info()
            self._provider.context.token_expiry_time = self._store.expires
        return self._provider

    async def _expect(self, provider: OAuthClientProvider) -> None:
        """Takes the port to come back to before the client is registered with it: where there is one already,
        its port; where that is not free, it is registered anew."""
        if self._authorize is None:
            raise Unavailable(NOBODY)
        known, login = provider.context.client_info, self._launch.login
        self._listener = Listener(login.port or _port_of(known))
        redirect = AnyUrl(self._listener.redirect)
        if login.port not in (0, redirect.port):
            raise Unavailable(f"its login comes back to port {login.port}, which is not free")
        provider.context.client_metadata.redirect_uris = [redirect]
        if known is not None and not login.client_id and redirect not in (known.redirect_uris or ()):
            provider.context.client_info = None

    async def _redirect(self, login: str) -> None:
        parts = urlsplit(login)
        local = parts.hostname in ("127.0.0.1", "localhost", "::1")
        if not (parts.scheme == "https" or (parts.scheme == "http" and local)) or len(login) > MAX_URL:
            raise Unavailable(f"the address of its login is none that a browser is sent to: {login[:100]!r}")
        if self._authorize is None or self._listener is None:
            raise Unavailable(NOBODY)
        await self._listener.listen(login)
        self._asking = asyncio.ensure_future(self._authorize(login))

    async def _redirected(self) -> AuthorizationCodeResult:
        assert self._listener is not None
        assert self._asking is not None
        came = asyncio.ensure_future(self._listener.result())
        both: tuple[asyncio.Future[Any], ...] = (came, self._asking)
        try:
            with self._patience.a_person():
                async with asyncio.timeout(LOGIN_S):
                    await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
                    if not came.done() and (why := self._asking.result()):
                        raise Unavailable(f"it wants a login, which is not made: {why}")
                    return await came
        except TimeoutError:
            raise Unavailable(f"its login was not finished within {LOGIN_S:g} s") from None
        finally:
            for task in both:
                task.cancel()
            await asyncio.wait(both)

    def _close(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None


def _wants_login(response: httpx2.Response) -> bool:
    """As the SDK sees it: any other refusal is the answer."""
    asked = response.headers.get("www-authenticate", "")
    return response.status_code == 401 or (response.status_code == 403 and "insufficient_scope" in asked)


def _port_of(client: OAuthClientInformationFull | None) -> int:
    for redirect in (client.redirect_uris if client is not None else None) or ():
        if redirect.host == "127.0.0.1" and redirect.port:
            return redirect.port
    return 0
