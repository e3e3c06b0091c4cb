"""Owns what of a server reaches the session: answers to questions; of the rest, so much a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

import anyio
from mcp.client._transport import ReadStream, WriteStream
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCError, JSONRPCRequest, JSONRPCResponse, RequestId

from .messages import Received

A_SECOND = 100.0
BURST = 500.0
LOSSY = frozenset(
    f"notifications/{name}"
    for name in (
        "progress",
        "message",
        "resources/updated",
        "tools/list_changed",
        "prompts/list_changed",
        "resources/list_changed",
    )
)
"""The next one says as much."""
BUSY = 100
REST = 1.0

Mend = Callable[[dict[str, Any]], None]
"""Takes out of the result of an answer what would spoil all of it."""


class Gate:
    """A pair of streams. What nobody asked for passes at a rate.

    Beyond it progress and logs are dropped; that a list has changed is told once (`missed`). Answers that
    nobody waits for are dropped always. Anything else waits, and with it what comes after: a server that
    floods holds itself up. What dropping takes is slept as well, so that the loop has time for others.
    `over` is called when nothing passes any more, in one direction or the other.
    """

    def __init__(
        self,
        incoming: ReadStream[Received],
        outgoing: WriteStream[SessionMessage],
        mend: Mend,
        missed: Callable[[str], None],
        over: Callable[[], None],
    ) -> None:
        self._waited: set[RequestId] = set()
        self.incoming = _Incoming(incoming, self, over)
        self.outgoing = _Outgoing(outgoing, self._waited, over)
        self._mend = mend
        self._missed = missed
        self._left, self._at = BURST, time.monotonic()
        self._dropped, self._since = 0, 0.0

    async def passes(self, item: Received) -> bool:
        message = item.message if isinstance(item, SessionMessage) else None
        if isinstance(message, JSONRPCResponse | JSONRPCError):
            if not self._is_waited(message.id):
                await self._rest()
                return False
            if isinstance(message, JSONRPCResponse):
                self._mend(message.result)
            return True
        if self._allowed():
            return True
        if message is not None and message.method not in LOSSY:
            await anyio.sleep(1 / A_SECOND)
            return True
        if message is not None:
            self._missed(message.method)
        await self._rest()
        return False

    def _is_waited(self, request: RequestId | None) -> bool:
        if isinstance(request, str) and request.isdecimal() and len(request) < 20:
            request = int(request)  # Some write it so; the SDK takes it.
        if request is None or request not in self._waited:
            return False
        self._waited.discard(request)
        return True

    def _allowed(self) -> bool:
        now = time.monotonic()
        self._left = min(BURST, self._left + (now - self._at) * A_SECOND)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True

    async def _rest(self) -> None:
        if not self._dropped:
            self._since = time.monotonic()
        self._dropped += 1
        if self._dropped >= BUSY:
            await anyio.sleep(min(1.0, REST * (time.monotonic() - self._since)))
            self._dropped = 0


class _Incoming:
    def __init__(self, stream: ReadStream[Received], gate: Gate, over: Callable[[], None]) -> None:
        self._stream = stream
        self._gate = gate
        self._over = over

    @property
    def last_context(self) -> object:
        """Of the sender, where the stream knows it; the SDK asks for it."""
        return getattr(self._stream, "last_context", None)

    async def receive(self) -> Received:
        try:
            while True:
                item = await self._stream.receive()
                if await self._gate.passes(item):
                    return item
        except Exception:  # Its end, too: the SDK takes nothing after it.
            self._over()
            raise

    async def aclose(self) -> None:
        await self._stream.aclose()

    def __aiter__(self) -> _Incoming:
        return self

    async def __anext__(self) -> Received:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> _Incoming:
        await self._stream.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._stream.__aexit__(kind, problem, trace)


class _Outgoing:
    def __init__(
        self, stream: WriteStream[SessionMessage], waited: set[RequestId], over: Callable[[], None]
    ) -> None:
        self._stream = stream
        self._waited = waited
        self._over = over

    async def send(self, item: SessionMessage) -> None:
        if isinstance(item.message, JSONRPCRequest):
            self._waited.add(item.message.id)
        try:
            await self._stream.send(item)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            self._over()
            raise

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def __aenter__(self) -> _Outgoing:
        await self._stream.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._stream.__aexit__(kind, problem, trace)
