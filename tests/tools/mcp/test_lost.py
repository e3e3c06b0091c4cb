"""Connections that get lost: what it costs, whom, and that the next call has another."""

from __future__ import annotations

import asyncio
import threading

import mcp_types as types
import pytest
from mcp.shared.exceptions import MCPError

from codeact_kernel.tools.mcp.connection import Connection
from codeact_kernel.tools.mcp.patience import Patience
from codeact_kernel.tools.mcp.problems import Unavailable
from codeact_kernel.tools.mcp.server import Http, ServerConfig

from .reach import connected, raw, until, within
from .serving import Sessions, failing_once, held_port, plain_server, running, served

JSON = "application/json"
NOT_FOUND = b'{"jsonrpc": "2.0", "id": null, "error": {"code": -32001, "message": "Session not found"}}'
NO_SESSION = (
    b'{"jsonrpc": "2.0", "id": null, "error": {"code": -32000, "message": "Bad Request: No session"}}'
)
UPSTREAM = b'{"jsonrpc": "2.0", "id": null, "error": {"code": -32000, "message": "Connection closed"}}'
TERMINATED = b'{"jsonrpc": "2.0", "id": null, "error": {"code": -32600, "message": "Session terminated"}}'
NO_METHOD = b'{"jsonrpc": "2.0", "id": null, "error": {"code": -32601, "message": "no such method"}}'
BAD_PARAMS = b'{"jsonrpc": "2.0", "id": null, "error": {"code": -32602, "message": "no such thing"}}'


def text(result: types.CallToolResult) -> str:
    assert isinstance(result.content[0], types.TextContent)
    return result.content[0].text


def web(url: str, sse: bool = False) -> ServerConfig:
    return ServerConfig("web", "web", Http(url, sse=sse))


# --- sessions -----------------------------------------------------------------------------------


@pytest.mark.parametrize("refusal", [(404, b"", ""), (404, NOT_FOUND, JSON), (404, b"gone", "text/plain")])
def test_a_session_that_is_forgotten_by_404_is_begun_anew_unseen(refusal: tuple[int, bytes, str]) -> None:
    sessions = Sessions(refusal)

    async def one(connection: Connection) -> None:
        for _ in range(2):
            assert text(await connection.call_tool("fine", {})) == "call 1"
            sessions.forget()

    with running(sessions) as url:
        within(web(url), one)
    assert sessions.begun == 2


@pytest.mark.parametrize("refusal", [(400, NO_SESSION, JSON), (400, b"", ""), (400, b"no", "text/plain")])
def test_a_session_that_is_forgotten_by_400_costs_a_call(refusal: tuple[int, bytes, str]) -> None:
    sessions = Sessions(refusal)

    async def one(connection: Connection) -> None:
        assert text(await connection.call_tool("fine", {})) == "call 1"
        sessions.forget()
        with pytest.raises(Unavailable, match=r"is not known \(it does not know the session any more\)"):
            await connection.call_tool("fine", {})
        assert text(await connection.call_tool("fine", {})) == "call 1"

    with running(sessions) as url:
        within(web(url), one)
    assert sessions.begun == 2


@pytest.mark.parametrize("status", [400, 404])
def test_what_is_wrong_with_a_message_costs_no_session(status: int) -> None:
    sessions = Sessions(odd={"odd": (status, BAD_PARAMS, JSON)})

    async def one(connection: Connection) -> None:
        for _ in range(3):
            with pytest.raises(MCPError, match="no such thing"):
                await connection.call_tool("odd", {})

    with running(sessions) as url:
        within(web(url), one)
    assert sessions.begun == 1


@pytest.mark.parametrize(
    ("odd", "ping", "said"),
    [
        ((400, BAD_PARAMS, JSON), (400, NO_METHOD, JSON), "^no such thing$"),
        ((404, NO_METHOD, JSON), (404, NO_METHOD, JSON), "^no such method$"),
        ((400, BAD_PARAMS, JSON), (404, b"", ""), "^no such thing$"),
        ((404, b"", ""), None, "^HTTP 404$"),
        ((404, b"{}", JSON), (404, NO_METHOD, JSON), "^HTTP 404$"),
        ((400, b"no", "text/plain"), None, "^HTTP 400$"),
        ((404, TERMINATED, JSON), None, "^Session terminated$"),
    ],
)
def test_what_is_wrong_with_a_message_costs_no_call_beside_it(
    odd: tuple[int, bytes, str], ping: tuple[int, bytes, str] | None, said: str
) -> None:
    sessions = Sessions(odd={"odd": odd}, ping=ping)

    async def one(connection: Connection) -> None:
        other = asyncio.create_task(connection.call_tool("wait", {}))
        await until(lambda: sessions.waiting)
        try:
            with pytest.raises(MCPError, match=said):
                await connection.call_tool("odd", {})
        finally:
            sessions.go.set()
        assert text(await other) == "call 1"

    with running(sessions) as url:
        within(web(url), one)
    assert sessions.begun == 1


def test_a_call_is_sent_twice_at_most() -> None:
    sessions = Sessions()

    async def one(connection: Connection) -> None:
        with pytest.raises(Unavailable, match="it forgets each session at once; not done: call forget"):
            await connection.call_tool("forget", {})

    with running(sessions) as url:
        within(web(url), one)
    assert sessions.begun == 2


# --- answers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("odd", "kind", "said"),
    [
        ((200, b"xx", "gzip"), MCPError, "the answer is compressed"),
        ((200, b"{", "cut"), Unavailable, r"is not known \(RemoteProtocolError: "),
        ((401, b"", ""), Unavailable, r"is not known \(it wants a login, and nobody is there"),
    ],
)
def test_an_answer_that_gets_lost_costs_its_call_only(
    odd: tuple[int, bytes, str], kind: type[Exception], said: str
) -> None:
    sessions = Sessions(odd={"odd": odd})

    async def one(connection: Connection) -> None:
        other = asyncio.create_task(connection.call_tool("wait", {}))
        await until(lambda: sessions.waiting)
        for _ in range(4):
            with pytest.raises(kind, match=said):
                await connection.call_tool("odd", {})
        sessions.go.set()
        assert text(await other) == "call 1"

    with running(sessions) as url:
        within(web(url), one)
    assert sessions.begun == 1


@pytest.mark.parametrize("over_http", [False, True])
def test_what_a_server_passes_on_of_a_connection_behind_it_is_not_about_its_own(over_http: bool) -> None:
    sessions = Sessions(odd={"upstream": (400, UPSTREAM, JSON)})

    async def one(connection: Connection) -> None:
        await connection.open()
        client = connection.client
        other = asyncio.create_task(connection.call_tool("wait" if over_http else "hang", {}))
        for _ in range(2):
            with pytest.raises(MCPError, match=r"^Connection closed$"):
                await connection.call_tool("upstream", {})
        assert text(await connection.call_tool("fine", {}))
        assert not other.done()
        assert connection.client is client
        sessions.go.set()
        other.cancel()

    if over_http:
        with running(sessions) as url:
            within(web(url), one)
    else:
        within(raw("old"), one)


# --- transports ---------------------------------------------------------------------------------


# The server of 2024, in this process, does not close its streams when it is ended with clients there.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("kind", ["mcp", "sse"])
def test_a_server_over_http_that_comes_back_is_asked_again(kind: str) -> None:
    async def run(port: int) -> None:
        with served(kind, port=port) as url:
            connection = Connection(web(url, sse=kind == "sse"))
            assert text(await connection.call_tool("add", {"a": 1})) == "2"
        with pytest.raises(Unavailable):
            await connection.call_tool("add", {"a": 1})
        with served(kind, port=port):
            assert text(await connection.call_tool("add", {"a": 2})) == "3"
            await connection.aclose()

    with held_port() as port:
        asyncio.run(run(port))


def test_a_message_that_is_refused_over_http_of_2024_costs_the_connection_not_the_server() -> None:
    fails = threading.Event()

    async def one(connection: Connection) -> None:
        assert text(await connection.call_tool("add", {"a": 1})) == "2"
        fails.set()
        with pytest.raises(Unavailable, match=r"\(a message was answered by HTTP 503\)"):
            await connection.call_tool("add", {"a": 1})
        assert text(await connection.call_tool("add", {"a": 2})) == "3"

    with running(failing_once(plain_server().sse_app(), fails)) as base:
        within(web(f"{base}/sse", sse=True), one)


def test_a_server_that_closes_its_stdin_is_gone() -> None:
    async def one(connection: Connection) -> None:
        assert text(await connection.call_tool("deafen", {})) == "fine"
        with pytest.raises(Unavailable, match="had answered to: call fine"):
            await connection.call_tool("fine", {})
        assert text(await connection.call_tool("fine", {})) == "fine"

    within(raw("old"), one)


# --- starts -------------------------------------------------------------------------------------


def test_a_start_that_one_gives_up_is_there_for_the_other() -> None:
    async def one(connection: Connection) -> None:
        opening = asyncio.create_task(connection.open())
        call = asyncio.create_task(connection.call_tool("fine", {}))
        await asyncio.sleep(0)  # Both wait for the start now.
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        assert text(await call) == "fine"

    within(raw("old"), one)


def test_nothing_is_started_while_the_last_one_is_closed() -> None:
    async def run() -> None:
        async with connected(raw("old")) as connection:
            await connection.open()
            dying = asyncio.create_task(connection.call_tool("close", {}))
            await until(lambda: not connection.running)
            late = asyncio.create_task(connection.call_tool("fine", {}))
            await asyncio.sleep(0)  # It waits for the end of the one that closed its stdout.
            await connection.aclose()
            with pytest.raises(Unavailable, match="it was stopped, with the run"):
                await late
            assert not connection.running
            await asyncio.gather(dying, return_exceptions=True)

    asyncio.run(run())


# --- time ---------------------------------------------------------------------------------------


def test_a_person_can_be_asked_while_a_call_unwinds_whose_time_is_up() -> None:
    async def run() -> None:
        patience = Patience()
        unwinding, asked = asyncio.Event(), asyncio.Event()

        async def slow() -> None:
            async with patience.limit(0.01):
                try:
                    await asyncio.sleep(1000)
                finally:
                    unwinding.set()
                    await asked.wait()

        call = asyncio.create_task(slow())
        await unwinding.wait()
        with patience.a_person():
            assert patience.waits
        asked.set()
        with pytest.raises(TimeoutError):
            await call
        assert not patience.waits

    asyncio.run(run())
