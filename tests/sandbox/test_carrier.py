"""The host's end of the tool channel against a socket: on the spot or later, in turn with others."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from codeact_kernel.config import ToolLimits
from codeact_kernel.interfaces import CallHandler, Later
from codeact_kernel.sandbox.carrier import Carrier
from codeact_kernel.sandbox.duplex import BREATH
from codeact_kernel.trajectory import Refusal
from codeact_kernel.wire.frames import FrameReader, pack
from codeact_kernel.wire.messages import Json, Returned, ToolOutcome, ToolRequest

PATIENCE_S = 60.0


class Handler(CallHandler):
    """`now` on the spot, `later` turns out to be awaitable, `hang` waits for ever, `broken` fails."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []
        self.hung = 0

    async def call(self, request: ToolRequest) -> ToolOutcome:
        self.asked.append(("call", request.call_id))
        try:
            await asyncio.Event().wait()
        finally:
            self.hung += 1
        return Returned(None)

    def at_once(self, request: ToolRequest) -> ToolOutcome | Later | None:
        self.asked.append((request.tool, request.call_id))
        if request.tool == "broken":
            raise OSError(28, "No space left on device")
        if request.tool == "later":
            return self._later(request)
        return Returned(list(request.args)) if request.tool == "now" else None

    async def _later(self, request: ToolRequest) -> ToolOutcome:
        await asyncio.sleep(0)
        return Returned("later")

    def refused(self, refusal: Refusal) -> None: ...


class Kernel:
    """The other end, on the same event loop."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._sock.setblocking(False)
        self._reader = FrameReader()
        self._waiting: list[dict[str, Json]] = []

    async def send(self, *messages: dict[str, Json]) -> None:
        data = b"".join(map(pack, messages))
        await asyncio.wait_for(asyncio.get_running_loop().sock_sendall(self._sock, data), PATIENCE_S)

    async def answers(self, count: int) -> list[dict[str, Json]]:
        while len(self._waiting) < count:
            reading = asyncio.get_running_loop().sock_recv(self._sock, 1 << 20)
            data = await asyncio.wait_for(reading, PATIENCE_S)
            assert data, "the host closed it"
            self._waiting.extend(self._reader.feed(data))
        found, self._waiting = self._waiting[:count], self._waiting[count:]
        return found


@asynccontextmanager
async def channel(
    handler: CallHandler, limits: ToolLimits = ToolLimits()
) -> AsyncIterator[tuple[Carrier, Kernel]]:
    ours, theirs = socket.socketpair()
    carrier = Carrier(limits, lambda: None, ours)
    carrier.begin(handler)
    try:
        yield carrier, Kernel(theirs)
    finally:
        await carrier.aclose()
        theirs.close()


def call(call_id: int, tool: str = "now", *args: Json) -> dict[str, Json]:
    return {"t": "call", "id": call_id, "tool": tool, "args": list(args), "kwargs": {}}


def test_many_at_once_are_answered_in_order_and_others_get_their_turn() -> None:
    async def scene() -> None:
        handler, turns = Handler(), 0
        loop = asyncio.get_running_loop()

        def another() -> None:
            nonlocal turns
            turns += 1
            if len(handler.asked) < 1000:
                loop.call_soon(another)

        async with channel(handler, ToolLimits(max_concurrent=10)) as (_, kernel):
            await kernel.send(*(call(n, "now", n) for n in range(1000)))
            loop.call_soon(another)
            answers = await kernel.answers(1000)
        assert [(answer["id"], answer["value"]) for answer in answers] == [(n, [n]) for n in range(1000)]
        assert turns >= 1000 // BREATH

    asyncio.run(scene())


def test_on_the_spot_overtakes_what_waits_and_later_comes_later() -> None:
    async def scene() -> None:
        handler = Handler()
        async with channel(handler) as (carrier, kernel):
            await kernel.send(call(1, "hang"), call(2, "later"), call(3, "now"))
            answers = await kernel.answers(2)
            assert [(answer["id"], answer["value"]) for answer in answers] == [(3, []), (2, "later")]
            await kernel.send({"t": "cancel", "id": 1}, call(4))
            assert [answer["id"] for answer in await kernel.answers(1)] == [4]
            await carrier.end()
            assert handler.hung == 1
        assert handler.asked == [("hang", 1), ("later", 2), ("now", 3), ("call", 1), ("now", 4)]

    asyncio.run(scene())


def test_a_call_that_is_cancelled_before_it_began_leaves_nothing() -> None:
    async def scene() -> None:
        handler = Handler()
        async with channel(handler, ToolLimits(max_concurrent=1)) as (carrier, kernel):
            for n in range(0, 20, 2):
                await kernel.send(call(n, "hang"), {"t": "cancel", "id": n}, call(n + 1))
                answer = (await kernel.answers(1))[0]
                while answer["t"] == "raise":  # The cancelled one has not gone yet.
                    await kernel.send(call(n + 1))
                    answer = (await kernel.answers(1))[0]
            assert carrier.broken is None
            assert carrier.failure is None

    asyncio.run(scene())


def test_a_handler_that_fails_on_the_spot_is_the_hosts_failure() -> None:
    async def scene() -> None:
        handler = Handler()
        async with channel(handler) as (carrier, kernel):
            await kernel.send(call(1, "broken"), call(2))
            assert [answer["id"] for answer in await kernel.answers(1)] == [2]
            assert isinstance(carrier.failure, OSError)

    asyncio.run(scene())


def test_the_end_of_a_cell_takes_what_it_sent_and_refuses_what_comes_later() -> None:
    async def scene() -> None:
        handler = Handler()
        async with channel(handler) as (carrier, kernel):
            await kernel.send(*(call(n) for n in range(3 * BREATH)))
            await carrier.end()
            assert len(handler.asked) == 3 * BREATH
            await kernel.answers(3 * BREATH)
            await kernel.send(call(1000))
            (answer,) = await kernel.answers(1)
            assert "no cell is running" in str(answer["message"])
            await kernel.send({"t": "call", "id": True, "tool": "now", "args": [], "kwargs": {}})
            with_end = asyncio.get_running_loop().sock_recv(kernel._sock, 10)
            assert await asyncio.wait_for(with_end, PATIENCE_S) == b""
            assert str(carrier.broken).startswith("the kernel broke the protocol: no message of ours")

    asyncio.run(scene())


def test_a_kernel_that_never_pauses_does_not_keep_the_end_of_a_cell() -> None:
    """Its thread sends faster than is read: 64 MiB, which nobody has to have read by then."""
    frames = pack({"t": "refused", "kind": "import", "name": "os"}) * 20_000
    sent, begun = 0, threading.Event()

    def flood(sock: socket.socket) -> None:
        nonlocal sent
        try:
            while sent < 64 << 20:
                sock.sendall(frames)
                sent += len(frames)
                begun.set()
        except OSError:
            pass  # The test is over.

    async def scene() -> None:
        ours, theirs = socket.socketpair()
        carrier = Carrier(ToolLimits(), lambda: None, ours)
        carrier.begin(Handler())
        flooding = threading.Thread(target=flood, args=(theirs,))
        flooding.start()
        try:
            assert await asyncio.to_thread(begun.wait, PATIENCE_S)
            await carrier.end()
            assert sent < 64 << 20
            assert carrier.broken is None
        finally:
            await carrier.aclose()
            await asyncio.to_thread(flooding.join)
            theirs.close()

    asyncio.run(scene())
