"""Owns servers over HTTP for tests: the plain one, in a thread, on a port of its own; what answers badly."""

from __future__ import annotations

import asyncio
import gzip
import importlib.util
import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from .reach import PATIENCE_S, SERVERS

Answer: TypeAlias = tuple[int, bytes, str]


def plain_server() -> Any:
    """A new one: what its tools do to it, they do to it alone."""
    spec = importlib.util.spec_from_file_location("plain_server", SERVERS / "plain.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.server


@contextmanager
def served(kind: str = "mcp", *, token: str = "", bad: str = "", port: int = 0) -> Iterator[str]:
    """The address of the plain server. `token`: what it wants; `bad`: how it answers calls of tools."""
    server = plain_server()
    app = server.sse_app() if kind == "sse" else server.streamable_http_app()
    if token:
        app = _guarded(app, token)
    if bad:
        app = _spoilt(app, bad)
    with running(app, port) as base:
        yield f"{base}/{kind}"


@contextmanager
def held_port() -> Iterator[int]:
    """A port that nobody gets by chance meanwhile, for who says that the address may be used twice."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


@contextmanager
def running(app: Any, port: int = 0) -> Iterator[str]:
    """The address of an ASGI application."""
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", port))
    config = uvicorn.Config(app, log_level="critical", lifespan="on", timeout_graceful_shutdown=1, ws="none")
    uvicorn_server = uvicorn.Server(config)
    thread = threading.Thread(target=uvicorn_server.run, args=([listening],))
    thread.start()
    deadline = time.monotonic() + PATIENCE_S
    while not uvicorn_server.started:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        uvicorn_server.should_exit = True
        thread.join()
        listening.close()


class Sessions:
    """An ASGI server of before 2026, which knows a client by its session, until it forgets.

    The tool `wait` answers when `go` is set; at `forget` the session is forgotten.

    Args:
        refusal: to sessions that it does not know: status, body, and its type.
        odd: such answers of tools, by their names.
        ping: of a server that has none.
    """

    def __init__(
        self,
        refusal: Answer = (404, b"", ""),
        odd: Mapping[str, Answer] | None = None,
        ping: Answer | None = None,
    ) -> None:
        self.begun = 0
        self.waiting = 0
        self.go = threading.Event()
        self._refusal = refusal
        self._odd = odd or {}
        self._ping = ping
        self._calls = 0
        self._session = ""

    def forget(self) -> None:
        self._session = ""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return await _lifespan(receive, send)
        request = Request(scope, receive)
        asked = json.loads(await request.body()) if request.method == "POST" else {}
        if asked.get("params", {}).get("name") == "wait":
            self.waiting += 1
            await asyncio.to_thread(self.go.wait, PATIENCE_S)
        response = self._answer(request, asked)
        return await response(scope, receive, send)

    def _answer(self, request: Request, asked: Any) -> Response:
        method, number = asked.get("method"), asked.get("id")
        if method == "initialize":
            self.begun, self._calls = self.begun + 1, 0
            self._session = str(self.begun)
            info = {"serverInfo": {"name": "sessions", "version": "1"}, "capabilities": {"tools": {}}}
            result = {"protocolVersion": "2025-06-18", **info}
            return JSONResponse(_result(number, result), headers={"mcp-session-id": self._session})
        if method == "server/discover":
            return Response(status_code=400)
        if method == "tools/call" and asked["params"]["name"] == "forget":
            self.forget()
        if request.headers.get("mcp-session-id") != self._session:
            return _response(*self._refusal)
        if method == "ping" and self._ping is not None:
            return _response(*self._ping)
        if method == "tools/call" and (odd := self._odd.get(asked["params"]["name"])) is not None:
            return _response(*odd)
        if method == "tools/call":
            self._calls += 1
            return JSONResponse(
                _result(number, {"content": [{"type": "text", "text": f"call {self._calls}"}]})
            )
        return Response(status_code=202 if request.method == "POST" else 405)


def _response(status: int, body: bytes, kind: str) -> Response:
    """ "cut": one that ends before its end; "gzip": one that says it is compressed."""
    headers = {"cut": {"content-length": "1000"}, "gzip": {"content-encoding": "gzip"}}.get(kind, {})
    return Response(body, status, headers, media_type="application/json" if headers else kind or None)


def _result(number: Any, result: Any) -> Any:
    return {"jsonrpc": "2.0", "id": number, "result": result}


async def _lifespan(receive: Any, send: Any) -> None:
    for event in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{event}.complete"})


def _guarded(app: Any, token: str) -> Any:
    async def guarded(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and Request(scope).headers.get("authorization") != f"Bearer {token}":
            await Response("no", 403)(scope, receive, send)
        else:
            await app(scope, receive, send)

    return guarded


def failing_once(app: Any, fails: threading.Event) -> Any:
    """`app`, but that it refuses the next message when `fails` is set, and clears it."""

    async def failing(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["method"] == "POST" and fails.is_set():
            fails.clear()
            await Response("busy", 503)(scope, receive, send)
        else:
            await app(scope, receive, send)

    return failing


def _spoilt(app: Any, how: str) -> Any:
    bodies = {
        "bomb": lambda: (gzip.compress(b"[" * 200_000_000, 1), {"content-encoding": "gzip"}),
        "big": lambda: (b" " * 70_000_000, {}),
        "events": lambda: (b"data: [" + b"[]," * 3_000_000 + b"1]\n\n", {}),
        "heavy": lambda: (b"[" + b"[]," * 3_000_000 + b"1]", {}),
    }

    async def spoilt(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and Request(scope).headers.get("mcp-method") == "tools/call":
            body, headers = bodies[how]()
            kind = "text/event-stream" if how == "events" else "application/json"
            await Response(body, 200, headers, kind)(scope, receive, send)
        else:
            await app(scope, receive, send)

    return spoilt
