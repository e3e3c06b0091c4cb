"""`codeact mcp-server --http`: several clients, a kernel each, and who may not come in."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from codeact_kernel.exceptions import UsageError
from codeact_kernel.frontends.mcp_server_http import FrontDoor, address

pytest.importorskip("mcp")
import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(400)]
Command = Callable[..., "subprocess.CompletedProcess[str]"]
DEADLINE_S = 180.0
JSON = {"Accept": "application/json, text/event-stream"}
PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


@contextmanager
def served(out: Path, *options: str, **env: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A server, and its URL. It is ended by SIGTERM, and ends well."""
    argv = [sys.executable, "-m", "codeact_kernel", "mcp-server", "--out", str(out), "--http", "0", *options]
    environment = {**os.environ, **env}
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            found = re.search(r"http://127\.0\.0\.1:\d+/mcp", line)
            assert found is not None, line + process.stderr.read()
            yield found[0], process
            process.send_signal(signal.SIGTERM)
            said = process.stderr.read()
            assert process.wait(DEADLINE_S) == 0, said
            assert "Traceback" not in said
        finally:
            process.kill()


def run(work: Callable[[], Awaitable[None]]) -> None:
    async def within() -> None:
        async with asyncio.timeout(DEADLINE_S):
            await work()

    asyncio.run(within())


async def cell(at: Client, code: str) -> Any:
    return await at.call_tool("run_cell", {"code": code})


def test_each_client_has_a_kernel_and_there_are_so_many(tmp_path: Path) -> None:
    async def work(url: str) -> None:
        async with Client(url) as one, Client(url) as other:
            assert one.protocol_version == "2025-11-25"  # 2026-07-28 has no sessions over HTTP.
            first, second = await asyncio.gather(
                cell(one, "x = 'of one'\nx"), cell(other, "'x' in globals()")
            )
            assert "of one" in first.structured_content["output"]
            assert "False" in second.structured_content["output"]
            async with Client(url) as third:
                refused = await cell(third, "1")
                assert refused.is_error
                assert "all 2 kernels are in use" in refused.content[0].text
        async with Client(url) as later:  # Those have ended their sessions.
            while (seen := await cell(later, "6 * 7")).is_error:
                assert "in use" in seen.content[0].text  # They are ended meanwhile.
                await asyncio.sleep(0.05)
            assert "42" in seen.structured_content["output"]

    with served(tmp_path, "--sessions", "2") as (url, _):
        run(lambda: work(url))
    assert len([*tmp_path.glob("mcp-*.ipynb")]) == 3
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".ipynb"]


def test_a_kernel_that_is_idle_ends_and_its_client_is_told(tmp_path: Path) -> None:
    async def work(url: str, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        async with Client(url) as at:
            assert not (await cell(at, "x = 1")).is_error
            while "saved" not in (line := await asyncio.to_thread(process.stderr.readline)):
                assert line, "the server has ended"
            new = await cell(at, "'x' in globals()")
            assert "False" in new.structured_content["output"]
            assert "the kernel was idle for long and was ended" in new.structured_content["output"]

    with served(tmp_path, "--idle", "1") as (url, process):
        run(lambda: work(url, process))


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (b"Bearer s3cret", 200),
        (b"bearer s3cret", 200),
        (b"BEARER  s3cret", 200),
        (b"Bearer S3CRET", 401),
        (b"Bearer s3cret2", 401),
        (b"Basic s3cret", 401),
        (b"Bearer", 401),
        (b"Bearer ", 401),
        (b"s3cret", 401),
        (b"", 401),
    ],
)
def test_the_token_counts_and_not_how_its_scheme_is_written(authorization: bytes, status: int) -> None:
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message: Any) -> None:
        sent.append(message)

    async def scene() -> None:
        scope = {"type": "http", "method": "POST", "headers": [(b"authorization", authorization)]}
        await FrontDoor(app, "s3cret", print)(scope, receive, send)

    async def receive() -> Any:
        raise AssertionError("nothing is read")

    asyncio.run(scene())
    assert sent[0]["status"] == status


def test_other_names_other_pages_and_strangers_do_not_come_in(tmp_path: Path) -> None:
    async def work(url: str) -> None:
        token = {"Authorization": "Bearer s3cret"}
        async with httpx2.AsyncClient(headers=JSON) as web:
            assert (await web.post(url, json=PING)).status_code == 401
            wrong = await web.post(url, json=PING, headers={"Authorization": "Bearer s3cre"})
            assert (wrong.status_code, wrong.headers["www-authenticate"]) == (401, "Bearer")
            rebound = await web.post(url, json=PING, headers={**token, "Host": "evil.example"})
            assert rebound.status_code == 421
            page = await web.post(url, json=PING, headers={**token, "Origin": "http://evil.example"})
            assert page.status_code == 403
            forged = await web.post(url, json=PING, headers={**token, "Mcp-Session-Id": "stdio"})
            assert forged.status_code == 404
            large = await web.post(url, content=b"x" * (5 * 1024 * 1024), headers=token)
            assert large.status_code == 413
        async with (
            httpx2.AsyncClient(headers=token) as known,
            Client(streamable_http_client(url, http_client=known)) as at,
        ):
            assert (await at.list_tools()).tools[0].name == "run_cell"

    with served(tmp_path, CODEACT_MCP_TOKEN="s3cret") as (url, _):
        run(lambda: work(url))
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("8765", "127.0.0.1", 8765), ("0.0.0.0:80", "0.0.0.0", 80), ("[::1]:1", "::1", 1)],
)
def test_addresses(text: str, host: str, port: int) -> None:
    assert address(text) == (host, port)


@pytest.mark.parametrize("text", ["", "x", ":80", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:99999", "-1", "١"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(UsageError, match="give PORT or HOST:PORT"):
        address(text)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--http", "0.0.0.0:0"], "CODEACT_MCP_TOKEN"),
        (["--http", "0", "--workspace", "."], "--sessions 1"),
        (["--http", "203.0.113.1:0"], "CODEACT_MCP_TOKEN"),
        (["--sessions", "0"], "at least 1"),
        (["--idle", "0"], "at least 1"),
    ],
)
def test_what_is_not_served(command: Command, options: list[str], said: str) -> None:
    done = command("mcp-server", *options)
    assert done.returncode == 2
    assert said in done.stderr
