"""Owns MCP over HTTP: who may come in, the sessions that have kernels, and the server's end.

Only the protocol with sessions is spoken (up to 2025-11-25): a kernel is a state, and 2026-07-28 has none
over HTTP. A client that begins with that one is told, and falls back.
"""

from __future__ import annotations

import asyncio
import hmac
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

from ..exceptions import UsageError
from .mcp_server import SESSION

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
PATH = "/mcp"
MAX_BODY = 4 * 1024 * 1024
LEAST_IDLE_S = 300.0
"""Seconds that a session stays, whose kernel may have ended before."""
SESSIONS = 16
"""Sessions that may be open for each kernel: most clients that are gone do not say so."""
END_S = 3
"""Seconds that open connections get at the end."""
VERSION = b"mcp-protocol-version"

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def address(text: str) -> tuple[str, int]:
    """Of `PORT`, `HOST:PORT` or `[::1]:PORT`. Raises: UsageError."""
    host, colon, port = text.rpartition(":")
    host = host.strip("[]") if colon else "127.0.0.1"
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise UsageError(
            f"--http {text!r} is no address; give PORT or HOST:PORT, such as 8765 or 127.0.0.1:8765"
        )
    return host, int(port)


def listening(host: str, port: int) -> socket.socket:
    """Raises: UsageError."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as problem:
        raise UsageError(
            f"--http: {host}:{port} cannot be listened on: {problem.strerror or problem}"
        ) from None


class FrontDoor:
    """In front of the SDK's application: asks for the token, turns away the protocol without sessions, and
    tells when a client has ended its session."""

    def __init__(self, app: App, token: str, ended: Callable[[str], None]) -> None:
        self._app = app
        self._token = token.encode()
        self._ended = ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        if self._token and not self._is_known(headers.get(b"authorization", b"")):
            await _answered(send, 401, b'{"error": "the token of this server is needed"}', b"Bearer")
        elif _is_without_sessions(headers):
            await _answered(send, 400, _unsupported(headers[VERSION].decode("latin-1")))
        elif scope["method"] == "DELETE":
            await self._app(scope, receive, self._deleting(headers, send))
        else:
            await self._app(scope, receive, send)

    def _is_known(self, authorization: bytes) -> bool:
        scheme, _, token = authorization.partition(b" ")
        # The name of a scheme has no case (RFC 9110, 11.1).
        return scheme.lower() == b"bearer" and hmac.compare_digest(token.lstrip(b" "), self._token)

    def _deleting(self, headers: dict[bytes, bytes], send: Send) -> Send:
        async def watched(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start" and message["status"] < 300:
                self._ended(headers.get(SESSION.encode(), b"").decode("latin-1"))
            await send(message)

        return watched


def application(server: Any, host: str, *, kernels: int, idle_s: float) -> App:
    """The SDK's application of `server`, with its check of hosts and origins: a page in a browser cannot
    reach it under another name (DNS rebinding)."""
    from mcp.server.transport_security import TransportSecuritySettings

    names = LOOPBACK | {host} if host in LOOPBACK else {host}
    hosts = [f"[{name}]" if ":" in name else name for name in sorted(names)]
    security = TransportSecuritySettings(
        enable_dns_rebinding_protection=host not in ("0.0.0.0", "::"),  # Any name may lead there.
        allowed_hosts=[*hosts, *(f"{name}:*" for name in hosts)],
        allowed_origins=[f"http://{name}:*" for name in hosts],
    )
    app: App = server.streamable_http_app(
        streamable_http_path=PATH,
        transport_security=security,
        max_request_body_size=MAX_BODY,
        session_idle_timeout=max(idle_s, LEAST_IDLE_S),
        max_sessions=SESSIONS * kernels,
    )
    return app


async def serve_http(app: App, listener: socket.socket, stop: asyncio.Event) -> None:
    """Until `stop` is set."""
    import uvicorn

    class _Server(uvicorn.Server):
        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield  # Signals are ours: kernels are ended first.

    config = uvicorn.Config(
        app, log_config=None, access_log=False, lifespan="on", timeout_graceful_shutdown=END_S, ws="none"
    )
    server = _Server(config)

    async def stopped() -> None:
        await stop.wait()
        server.handle_exit(signal.SIGTERM, None)  # Open event streams listen to that, and end.

    stopping = asyncio.create_task(stopped())
    try:
        await server.serve(sockets=[listener])
    finally:
        stopping.cancel()


def _is_without_sessions(headers: dict[bytes, bytes]) -> bool:
    from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS

    return headers.get(VERSION, b"2025-11-25").decode("latin-1") not in HANDSHAKE_PROTOCOL_VERSIONS


def _unsupported(asked: str) -> bytes:
    from mcp_types import UNSUPPORTED_PROTOCOL_VERSION, ErrorData, JSONRPCError
    from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS

    data = {"supported": [*HANDSHAKE_PROTOCOL_VERSIONS], "requested": asked[:100]}
    said = "this server keeps a kernel for each session, and speaks the versions with sessions only"
    error = ErrorData(code=UNSUPPORTED_PROTOCOL_VERSION, message=said, data=data)
    return JSONRPCError(jsonrpc="2.0", id=None, error=error).model_dump_json(by_alias=True).encode()


async def _answered(send: Send, status: int, body: bytes, wants: bytes = b"") -> None:
    headers = [(b"content-type", b"application/json")]
    headers += [(b"www-authenticate", wants)] if wants else []
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
