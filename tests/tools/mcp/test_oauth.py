"""Servers that want a login: with a real authorization server, and a browser that is a request."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx2
import mcp_types as types
import pytest
from mcp.shared.auth import OAuthClientInformationFull
from pydantic import AnyUrl

from codeact_kernel.tools.mcp import oauth_store
from codeact_kernel.tools.mcp.callbacks import Callbacks
from codeact_kernel.tools.mcp.config import parse_config
from codeact_kernel.tools.mcp.connection import Connection
from codeact_kernel.tools.mcp.oauth import Access
from codeact_kernel.tools.mcp.oauth_listener import Listener
from codeact_kernel.tools.mcp.oauth_store import TokenFile
from codeact_kernel.tools.mcp.patience import Patience
from codeact_kernel.tools.mcp.problems import Unavailable
from codeact_kernel.tools.mcp.server import Http, ServerConfig

from .authority import Authority, guarded
from .reach import within
from .serving import held_port


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def authority() -> Iterator[Authority]:
    return Authority()


class Browser:
    """Goes where it is sent. It says that it is done, or nothing, and the listener has to know."""

    def __init__(self, spoil: Callable[[str], str] = lambda address: address, silent: bool = False) -> None:
        self.sent: list[str] = []
        self.shown: list[str] = []
        self._spoil = spoil
        self.left = False
        self._silent = silent

    async def go(self, login: str) -> str:
        self.sent.append(login)
        try:
            async with httpx2.AsyncClient() as client:
                back = (await client.get(login)).headers["location"]
                for address in dict.fromkeys((self._spoil(back), back)):
                    self.shown.append((await client.get(address)).text)
            if self._silent:
                await asyncio.sleep(1000)
        finally:
            self.left = True
        return ""


async def whisper(connection: Connection) -> str:
    result = await connection.call_tool("whisper", {})
    assert isinstance(result.content[0], types.TextContent)
    return result.content[0].text


def config(url: str, **more: float) -> ServerConfig:
    return ServerConfig("guarded", "guarded", Http(url), **more)


def test_a_login_lets_in_and_is_remembered(authority: Authority, home: Path) -> None:
    browser = Browser()
    with guarded(authority) as url:
        assert within(config(url), whisper, Callbacks(authorize=browser.go)) == "psst"
        assert within(config(url), whisper) == "psst"  # Nobody is there, nor needed.
    assert authority.logins == 1
    (stored,) = (home / "codeact" / "mcp").iterdir()
    assert stat.S_IMODE(stored.stat().st_mode) == 0o600
    assert stat.S_IMODE(stored.parent.stat().st_mode) == 0o700
    assert next(iter(authority.tokens)) in stored.read_text()


def test_what_is_in_the_way_of_a_login_is_told(authority: Authority) -> None:
    with guarded(authority) as url:
        with pytest.raises(Unavailable, match=r"'guarded': it wants a login, and nobody is there for it"):
            within(config(url), whisper)

        async def no(login: str) -> str:
            return "the person declined"

        with pytest.raises(Unavailable, match="it wants a login, which is not made: the person declined"):
            within(config(url), whisper, Callbacks(authorize=no))
        authority.refuses = True
        with pytest.raises(Unavailable, match=r"its login was refused: No\.\ufffd\[31m"):
            within(config(url), whisper, Callbacks(authorize=Browser().go))


def test_who_comes_with_another_state_is_sent_away(authority: Authority) -> None:
    def forged(back: str) -> str:
        return back.partition("?")[0] + "?code=evil&state=guessed"

    browser = Browser(forged)
    with guarded(authority) as url:
        assert within(config(url), whisper, Callbacks(authorize=browser.go)) == "psst"
    assert browser.shown[0] == "This is not the login that codeact waits for."


def test_a_token_that_has_expired_is_renewed_without_anybody(authority: Authority) -> None:
    with guarded(authority) as url:
        within(config(url), whisper, Callbacks(authorize=Browser().go))
        (path,) = TokenFile(url)._folder.iterdir()
        stored = oauth_store._Stored.model_validate_json(path.read_bytes())
        path.write_text(stored.model_copy(update={"expires": time.time() - 1}).model_dump_json())
        authority.tokens.clear()
        assert within(config(url), whisper) == "psst"
    assert (authority.logins, authority.refreshed) == (1, 1)


def test_a_token_that_was_taken_back_needs_another_login(authority: Authority) -> None:
    with guarded(authority) as url:
        within(config(url), whisper, Callbacks(authorize=Browser().go))
        authority.tokens.clear()
        assert within(config(url), whisper, Callbacks(authorize=Browser().go)) == "psst"
    assert authority.logins == 2
    assert len(authority.clients) == 1  # The port is the one of before.


def test_no_limit_runs_while_a_person_logs_in(authority: Authority) -> None:
    browser = Browser()
    patience: list[Patience] = []
    waits: list[bool] = []

    async def one(connection: Connection) -> str:
        patience.append(connection._patience)
        return await whisper(connection)

    async def go(login: str) -> str:
        waits.append(patience[0].waits)
        return await browser.go(login)

    with guarded(authority) as url:
        assert within(config(url), one, Callbacks(authorize=go)) == "psst"
    assert waits == [True]
    assert not patience[0].waits


def test_who_comes_back_need_not_say_so(authority: Authority) -> None:
    browser = Browser(silent=True)
    with guarded(authority) as url:
        assert within(config(url), whisper, Callbacks(authorize=browser.go)) == "psst"
    assert browser.left


def test_a_client_that_the_user_has_registered(authority: Authority) -> None:
    with held_port() as port:
        _registered(authority, port)


def _registered(authority: Authority, port: int) -> None:
    back = AnyUrl(f"http://127.0.0.1:{port}/callback")
    authority.clients["me"] = OAuthClientInformationFull(
        client_id="me",
        client_secret="s3cret",
        redirect_uris=[back],
        token_endpoint_auth_method="client_secret_post",
    )
    with guarded(authority, registers=False) as url:
        entry = {"url": url, "oauth": {"clientId": "me", "clientSecret": "s3cret", "callbackPort": port}}
        (one,) = parse_config({"mcpServers": {"guarded": entry}})
        assert "s3cret" in one.confidential
        assert "s3cret" not in repr(one)
        assert within(one, whisper, Callbacks(authorize=Browser().go)) == "psst"
        assert within(one, whisper) == "psst"
        authority.tokens.clear()
        with socket.create_server(("127.0.0.1", port)):
            with pytest.raises(Unavailable, match=rf"comes back to port {port}, which is not free"):
                within(one, whisper, Callbacks(authorize=Browser().go))
    assert authority.clients.keys() == {"me"}


def test_calls_do_not_wait_for_each_other(authority: Authority) -> None:
    """The SDK's provider alone has a lock from a request until its answer begins."""

    async def many(connection: Connection) -> list[str]:
        return list(await asyncio.gather(*(whisper(connection) for _ in range(20))))

    with guarded(authority) as url:
        assert within(config(url), many, Callbacks(authorize=Browser().go)) == ["psst"] * 20
    assert authority.logins == 1


def test_tokens_that_others_can_read_are_not_used(authority: Authority) -> None:
    with guarded(authority) as url:
        within(config(url), whisper, Callbacks(authorize=Browser().go))
        (path,) = TokenFile(url)._folder.iterdir()
        path.chmod(0o644)
        with pytest.raises(Unavailable, match="it wants a login"):
            within(config(url), whisper)
        path.chmod(0o600)
        path.write_text("{damaged")
        with pytest.raises(Unavailable, match="it wants a login"):
            within(config(url), whisper)


@pytest.mark.parametrize("address", ["javascript:alert(1)", "file:///etc/passwd", "http://example.com/login"])
def test_a_browser_is_sent_to_no_odd_place(address: str) -> None:
    async def run() -> None:
        browser = Browser()
        with pytest.raises(Unavailable, match="none that a browser is sent to"):
            await Access(Http("https://example.com/mcp"), browser.go, Patience())._redirect(address)
        assert browser.sent == []

    asyncio.run(run())


def test_the_listener_takes_another_port_where_its_own_is_not_free() -> None:
    async def run() -> None:
        first = Listener()
        await first.listen("https://example.com/login?state=abc")
        port = urlsplit(first.redirect).port
        assert port is not None
        second = Listener(port)
        assert urlsplit(second.redirect).port != port
        second.close()
        answered = asyncio.to_thread(
            lambda: urllib.request.urlopen(f"{first.redirect}?state=abc&code=1").read()
        )
        assert await answered == b"You can close this page: codeact has what it needs."
        assert (await first.result()).code == "1"
        first.close()

    asyncio.run(run())


def test_the_redirect_has_what_oauth_wants(authority: Authority) -> None:
    browser = Browser()
    with guarded(authority) as url:
        within(config(url), whisper, Callbacks(authorize=browser.go))
    asked = parse_qs(urlsplit(browser.sent[0]).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["resource"] == [url]
    assert urlsplit(asked["redirect_uri"][0]).hostname == "127.0.0.1"
    assert os.environ["JUPYTER_DATA_DIR"] not in str(asked)
