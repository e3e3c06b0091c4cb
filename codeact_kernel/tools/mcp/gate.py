"""Owns what a server may say unasked: so much a second reaches the session, of the rest some is lost."""

from __future__ import annotations

import time
from types import TracebackType

import anyio
from mcp.client._transport import ReadStream
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCNotification, JSONRPCRequest

A_SECOND = 100.0
BURST = 500.0
LOSSY = frozenset({"notifications/progress", "notifications/message", "notifications/resources/updated"})
"""The next one says as much."""
BUSY = 100
REST = 3.0


class Gate:
    """A read stream that passes answers as they come, and what nobody asked for at a rate.

    Beyond it progress and logs are dropped; anything else waits, and with it what comes after: a server that
    floods holds itself up. For each second that dropping took, three are slept.
    """

    def __init__(self, stream: ReadStream[SessionMessage | Exception]) -> None:
        self._stream = stream
        self._left, self._at = BURST, time.monotonic()
        self._dropped, self._since = 0, 0.0

    @property
    def last_context(self) -> object:
        """Of the sender, where the stream knows it; the SDK asks for it."""
        return getattr(self._stream, "last_context", None)

    async def receive(self) -> SessionMessage | Exception:
        while True:
            item = await self._stream.receive()
            if not self._unasked(item) or self._allowed():
                return item
            if self._lossy(item):
                await self._rest()
                continue
            await anyio.sleep(1 / A_SECOND)
            return item

    def _unasked(self, item: SessionMessage | Exception) -> bool:
        return isinstance(item, Exception) or isinstance(item.message, JSONRPCNotification | JSONRPCRequest)

    def _lossy(self, item: SessionMessage | Exception) -> bool:
        if isinstance(item, Exception):
            return True
        return isinstance(item.message, JSONRPCNotification) and item.message.method in LOSSY

    def _allowed(self) -> bool:
        now = time.monotonic()
        self._left = min(BURST, self._left + (now - self._at) * A_SECOND)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        self._dropped = 0
        return True

    async def _rest(self) -> None:
        if not self._dropped:
            self._since = time.monotonic()
        self._dropped += 1
        if self._dropped >= BUSY:
            await anyio.sleep(REST * (time.monotonic() - self._since))
            self._dropped = 0

    async def aclose(self) -> None:
        await self._stream.aclose()

    def __aiter__(self) -> Gate:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> Gate:
        await self._stream.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        return await self._stream.__aexit__(kind, problem, trace)
