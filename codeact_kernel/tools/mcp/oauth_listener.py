"""Owns the end of a login: a listener on 127.0.0.1 that the browser comes back to."""

from __future__ import annotations

import asyncio
import hmac
import socket
from urllib.parse import parse_qs, urlsplit

from mcp.shared.auth import AuthorizationCodeResult

from .problems import Unavailable, plain

PATH = "/callback"
MAX_REQUEST = 16 * 1024
READ_S = 10.0
DONE = "You can close this page: codeact has what it needs."
OTHER = "This is not the login that codeact waits for."


class Listener:
    """Waits for the redirect with the state of this login; what else comes is answered and forgotten.

    Args:
        port: one that is wanted; another is taken where that is not free.
    """

    def __init__(self, port: int = 0) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind(("127.0.0.1", port))
        except OSError:
            self._socket.bind(("127.0.0.1", 0))
        self._state = ""
        self._server: asyncio.Server | None = None
        self._result: asyncio.Future[AuthorizationCodeResult] = asyncio.get_running_loop().create_future()

    @property
    def redirect(self) -> str:
        """The address to come back to."""
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}{PATH}"

    async def listen(self, login: str) -> None:
        """From now on. `login`: the address that the browser is sent to, which has the state."""
        self._state = parse_qs(urlsplit(login).query).get("state", [""])[0]
        self._server = await asyncio.start_server(self._answer, sock=self._socket, limit=MAX_REQUEST)

    async def result(self) -> AuthorizationCodeResult:
        """Raises: Unavailable: the access was refused."""
        return await asyncio.shield(self._result)

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
        self._socket.close()
        self._result.cancel()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(READ_S):
                line = (await reader.readuntil(b"\r\n\r\n")).partition(b"\r\n")[0]
                status, text = self._taken(line.decode("ascii", "replace").split(" "))
                body = text.encode()
                head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n"
                writer.write(f"{head}Connection: close\r\n\r\n".encode() + body)
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # Whoever it was.
        finally:
            writer.close()

    def _taken(self, request: list[str]) -> tuple[str, str]:
        target = urlsplit(request[1]) if len(request) == 3 and request[0] == "GET" else None
        said = {} if target is None else {name: one[0] for name, one in parse_qs(target.query).items()}
        ours = hmac.compare_digest(said.get("state", "").encode(), self._state.encode())
        if target is None or target.path != PATH or not self._state or not ours or self._result.done():
            return "404 Not Found", OTHER
        if "code" in said:
            self._result.set_result(
                AuthorizationCodeResult(code=said["code"], state=said["state"], iss=said.get("iss"))
            )
        else:
            why = plain(said.get("error_description") or said.get("error") or "no reason given", 300)
            self._result.set_exception(Unavailable(f"its login was refused: {why}"))
        return "200 OK", DONE
