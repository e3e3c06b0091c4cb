"""Owns messages over HTTP: a client whose answers are bounded, and says what went wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from uuid import uuid4

import anyio
import httpx2
import mcp_types as types
from mcp.client._transport import TransportStreams
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from pydantic import ValidationError

from .event_weight import EventWeight
from .messages import MAX_MESSAGE, MAX_VALUES, is_heavy
from .problems import Unavailable, plain
from .server import Http
from .tail import Tail

CONNECT_S = 30.0
STREAM = "text/event-stream"
SESSION_OVER = uuid4().hex
"""The data of our error for a session that is over, unseen: no server knows it, so none can say the same."""
FORGOTTEN = (400, 404)
"""By what servers refuse a session that they do not know."""


class NotTaken(httpx2.StreamError):
    """An answer that is not taken; the SDK gives it to the request that it is of."""


class _Bounded(httpx2.AsyncByteStream):
    """A body in one piece."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        body = bytearray()
        async for chunk in self._stream:
            body += chunk
            if len(body) > MAX_MESSAGE:
                raise NotTaken(f"an answer of over {MAX_MESSAGE} bytes is not taken")
        if is_heavy(body):
            raise NotTaken(f"an answer of over {MAX_VALUES} values is not taken")
        yield bytes(body)

    async def aclose(self) -> None:
        await self._stream.aclose()


class _Events(httpx2.AsyncByteStream):
    """A stream of events, none of which is too heavy."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.over: Callable[[str], None] = lambda why: None
        """Told why, when it has ended."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        weight = EventWeight()
        try:
            async for chunk in self._stream:
                if not weight.feed(chunk):
                    raise httpx2.SSEError(f"an answer of over {MAX_VALUES} values is not taken")
                yield chunk
        except httpx2.TransportError as problem:
            self.over(f"{type(problem).__name__}: {problem}")
            raise
        self.over("its stream of events has ended")

    async def aclose(self) -> None:
        await self._stream.aclose()


class _Client(httpx2.AsyncClient):
    """Of the streamable transport. What goes wrong with one message is made the answer to that message:
    raised, it would end the SDK's session, and with it all that is asked.

    Args:
        over: told why, when no more can be asked.
    """

    def __init__(self, over: Callable[[str], None], **options: Any) -> None:
        super().__init__(**options)
        self._over = over
        self._has_answered = False

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        if request.method != "POST":
            return await super().send(request, **options)
        try:
            response = await super().send(request, **options)
            try:
                failed = await self._failure(request, response, options)
            except BaseException:
                await response.aclose()
                raise
        except httpx2.StreamError as problem:
            return _failed(request, types.PARSE_ERROR, str(problem))
        except Exception as problem:  # Of the network, or of a login.
            if not self._has_answered:
                raise  # It never was well: its start has failed.
            why = str(problem) if isinstance(problem, Unavailable) else f"{type(problem).__name__}: {problem}"
            return _failed(request, types.CONNECTION_CLOSED, why)
        if failed is not None:
            await response.aclose()
            return failed
        self._has_answered = self._has_answered or response.is_success
        return response

    async def _failure(
        self, request: httpx2.Request, response: httpx2.Response, options: Mapping[str, Any]
    ) -> httpx2.Response | None:
        """What stands for an answer that says no more than that the session is over; the body is read."""
        if _kind(response).startswith("application/json"):
            await response.aread()
        if response.status_code not in FORGOTTEN or "mcp-session-id" not in request.headers:
            return None
        said = _error_code(response)
        if await self._is_known(request, options, said):
            # Without an error of the protocol the SDK takes 404 for the end of the session.
            why = f"HTTP {response.status_code}"
            return _failed(request, types.INTERNAL_ERROR, why) if said is None else None
        if response.status_code == 404:
            return _failed(request, types.INVALID_REQUEST, "Session terminated", SESSION_OVER)
        # The protocol has 404 for it. Of 400, which many use, nothing says that the message was not done.
        self._over("it does not know the session any more")
        return _failed(request, types.CONNECTION_CLOSED, "Connection closed")

    async def _is_known(self, request: httpx2.Request, options: Mapping[str, Any], said: int | None) -> bool:
        """Whether the session is. Asked by a ping: in a session that is well single messages are refused by
        the same status, and each server has words of its own. One that has no ping refuses it as a method
        that it lacks; a session that is over is refused in the same way (`said`) whatever is asked."""
        headers = request.headers.copy()
        del headers["content-length"]
        message = {"jsonrpc": "2.0", "id": uuid4().hex, "method": "ping"}
        ping = self.build_request("POST", request.url, json=message, headers=headers)
        response = await super().send(ping, **options)
        try:
            if response.status_code not in FORGOTTEN:
                return True
            if _kind(response).startswith("application/json"):
                await response.aread()
        finally:
            await response.aclose()
        code = _error_code(response)
        return code == types.METHOD_NOT_FOUND or (said is not None and code != said)


class _ClientOf2024(httpx2.AsyncClient):
    """Of the transport of that year. All answers come in one stream of events, and after a message that could
    not be sent the SDK sends no other.

    Args:
        over: told why, when no more can be asked.
    """

    def __init__(self, over: Callable[[str], None], **options: Any) -> None:
        super().__init__(**options)
        self._over = over

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        try:
            response = await super().send(request, **options)
        except Exception as problem:
            if request.method == "POST":
                self._over(f"{type(problem).__name__}: {problem}")
            raise
        if request.method == "POST" and not response.is_success:
            self._over(f"a message was answered by HTTP {response.status_code}")
        if isinstance(response.stream, _Events):
            response.stream.over = self._over
        return response


def _failed(request: httpx2.Request, code: int, why: str, data: str | None = None) -> httpx2.Response:
    """An error of the protocol; the SDK fills in to which message."""
    error = {"code": code, "message": why, "data": data}
    return httpx2.Response(502, json={"jsonrpc": "2.0", "id": None, "error": error}, request=request)


def _error_code(response: httpx2.Response) -> int | None:
    """Of what the SDK takes for an error of the protocol, in a body that is read, if JSON; else None."""
    if not _kind(response).startswith("application/json"):
        return None
    try:
        message = types.jsonrpc_message_adapter.validate_json(response.content, by_name=False)
    except ValidationError:
        return None
    return message.error.code if isinstance(message, types.JSONRPCError) else None


def _kind(response: httpx2.Response) -> str:
    return str(response.headers.get("content-type", "")).lower()


async def _received(tail: Tail, response: httpx2.Response) -> None:
    """Bodies are bounded, and each event, its length by the SDK. Nothing is unpacked: a bomb has no bound."""
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise NotTaken("the answer is compressed, which it was asked not to be")
    is_stream = _kind(response).startswith(STREAM)
    response.stream = _Events(response.stream) if is_stream else _Bounded(response.stream)
    if response.status_code >= 400:
        tail.note(
            f"[HTTP {response.status_code} {response.reason_phrase[:100]} for {response.request.method}]"
        )


@asynccontextmanager
async def http(
    launch: Http, tail: Tail, ended: anyio.Event, auth: httpx2.Auth | None
) -> AsyncIterator[TransportStreams]:
    """A transport of the SDK. `ended` is set when no more can be asked."""

    def over(why: str) -> None:
        tail.ended = tail.ended or plain(why, 200)
        ended.set()

    def client(
        headers: Mapping[str, str] | None = None,
        timeout: httpx2.Timeout | None = None,
        auth: httpx2.Auth | None = auth,
    ) -> httpx2.AsyncClient:
        # No limit for reading: each call has its own, and a stream of events may be silent for hours. Nor one
        # of connections: how many calls there are at once is for who makes them.
        kind = _ClientOf2024 if launch.sse else _Client
        return kind(
            over,
            headers={**(headers or {}), "accept-encoding": "identity"},
            auth=auth,
            timeout=httpx2.Timeout(CONNECT_S, read=None, pool=None),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=20),
            event_hooks={"response": [partial(_received, tail)]},
        )

    if launch.sse:
        transport = sse_client(launch.url, dict(launch.headers), httpx_client_factory=client, auth=auth)
        async with transport as streams:
            yield streams
    else:
        async with client(launch.headers) as shared:
            async with streamable_http_client(
                launch.url, http_client=shared, max_sse_event_size=MAX_MESSAGE
            ) as streams:
                yield streams
