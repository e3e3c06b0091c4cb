"""Owns messages over HTTP: a client whose answers are bounded, and says what went wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import httpx2
from mcp.client._transport import TransportStreams
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client

from .event_weight import EventWeight
from .messages import MAX_MESSAGE, MAX_VALUES, is_heavy
from .server import Http
from .tail import Tail

CONNECT_S = 30.0
STREAM = "text/event-stream"


class TooMuch(httpx2.StreamError):
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
                raise TooMuch(f"an answer of over {MAX_MESSAGE} bytes is not taken")
        if is_heavy(body):
            raise TooMuch(f"an answer of over {MAX_VALUES} values is not taken")
        yield bytes(body)

    async def aclose(self) -> None:
        await self._stream.aclose()


class _Events(httpx2.AsyncByteStream):
    """A stream of events, none of which is too heavy."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        weight = EventWeight()
        async for chunk in self._stream:
            if not weight.feed(chunk):
                raise httpx2.SSEError(f"an answer of over {MAX_VALUES} values is not taken")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _received(tail: Tail, response: httpx2.Response) -> None:
    """Bodies are bounded, and each event, its length by the SDK. Nothing is unpacked: a bomb has no bound."""
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise httpx2.RemoteProtocolError("the answer is compressed, which it was asked not to be")
    is_stream = response.headers.get("content-type", "").lower().startswith(STREAM)
    response.stream = _Events(response.stream) if is_stream else _Bounded(response.stream)
    if response.status_code >= 400:
        tail.note(
            f"[HTTP {response.status_code} {response.reason_phrase[:100]} for {response.request.method}]"
        )


@asynccontextmanager
async def http(launch: Http, tail: Tail, auth: httpx2.Auth | None) -> AsyncIterator[TransportStreams]:
    """A transport of the SDK."""

    def client(
        headers: Mapping[str, str] | None = None,
        timeout: httpx2.Timeout | None = None,
        auth: httpx2.Auth | None = auth,
    ) -> httpx2.AsyncClient:
        # No limit for reading: each call has its own, and a stream of events may be silent for hours. Nor one
        # of connections: how many calls there are at once is for who makes them.
        return httpx2.AsyncClient(
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
