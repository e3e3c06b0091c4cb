"""The kernel's end of the tool channel against a host made of a thread and a socket pair."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from codeact_kernel.in_kernel import channel as module
from codeact_kernel.in_kernel.channel import Channel
from codeact_kernel.wire.frames import FrameReader, pack
from codeact_kernel.wire.messages import Json, Raised, Returned

Message = dict[str, Json]


class Host:
    """Reads frames in a thread; `answer` makes the bytes that go back for each, in order of arrival."""

    def __init__(self, sock: socket.socket, answer: Callable[[Message], bytes]) -> None:
        self.seen: list[Message] = []
        self._sock = sock
        self._answer = answer
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self) -> None:
        reader = FrameReader()
        while data := self._sock.recv(65536):
            for message in reader.feed(data):
                self.seen.append(message)
                if back := self._answer(message):
                    self._sock.sendall(back)


def echo(message: Message) -> bytes:
    if message["t"] != "call":
        return b""
    return pack({"t": "return", "id": message["id"], "value": message["args"]})


@contextmanager
def served(answer: Callable[[Message], bytes] = echo) -> Iterator[tuple[Channel, Host]]:
    ours, theirs = socket.socketpair()
    host = Host(theirs, answer)
    try:
        yield Channel(ours), host
    finally:
        ours.shutdown(socket.SHUT_RDWR)
        host.thread.join()
        ours.close()
        theirs.close()


def test_a_call_and_its_outcomes() -> None:
    with served() as (channel, host):
        assert channel.call("f", (1, "a"), {"k": None}) == Returned([1, "a"])
    assert host.seen == [{"t": "call", "id": 1, "tool": "f", "args": [1, "a"], "kwargs": {"k": None}}]


def test_what_the_host_raises() -> None:
    def answer(message: Message) -> bytes:
        return pack({"t": "raise", "id": message["id"], "type": "KeyError", "message": "no"})

    with served(answer) as (channel, _):
        assert channel.call("f", (), {}) == Raised("KeyError", "no")


def test_answers_in_another_order_cut_anywhere() -> None:
    held: list[bytes] = []

    def answer(message: Message) -> bytes:
        held.append(pack({"t": "return", "id": message["id"], "value": message["args"][0]}))
        return b"".join(reversed(held)) if len(held) == 20 else b""

    with served(answer) as (channel, _):

        async def scene() -> list[object]:
            return list(await asyncio.gather(*(channel.acall("f", (i,), {}) for i in range(20))))

        assert asyncio.run(scene()) == [Returned(i) for i in range(20)]


def test_threads_lead_and_follow() -> None:
    with served() as (channel, _):
        found: list[object] = []

        def work(n: int) -> None:
            found.extend(channel.call("f", (n, i), {}) == Returned([n, i]) for i in range(50))

        threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [True] * 400


def test_cancelled_coroutine_tells_the_host_and_others_go_on() -> None:
    def answer(message: Message) -> bytes:
        return b"" if message.get("tool") == "never" else echo(message)

    with served(answer) as (channel, host):

        async def scene() -> object:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(channel.acall("never", (), {}), 0.05)
            return await channel.acall("f", (1,), {})

        assert asyncio.run(scene()) == Returned([1])
        assert {"t": "cancel", "id": 1} in host.seen


def test_call_too_large_to_send() -> None:
    with served() as (channel, host):
        said = (
            r"^big\(\): the arguments take 67,10\d,\d{3} bytes, and one call can send 67,108,864; send less"
        )
        with pytest.raises(ValueError, match=said):
            channel.call("big", ("x" * module.MAX_FRAME,), {})
        assert channel.call("f", (1,), {}) == Returned([1])
        assert [message["t"] for message in host.seen if message["t"] == "call"] == ["call"]


@pytest.mark.parametrize(
    "last_words", [b"", b"\xff\xff\xff\xff", pack({"t": "return", "id": 99, "value": 1})]
)
def test_host_that_goes_away_is_told_to_everybody(last_words: bytes) -> None:
    ours, theirs = socket.socketpair()
    channel = Channel(ours)
    outcomes: list[object] = []
    waiting = threading.Thread(target=lambda: outcomes.append(channel.call("f", (), {})))
    waiting.start()

    async def scene() -> object:
        pending = asyncio.ensure_future(channel.acall("g", (), {}))
        await asyncio.sleep(0)
        theirs.sendall(last_words)
        theirs.close()
        return await asyncio.wait_for(pending, 5)

    gone = Raised("ConnectionError", "the agent's host has closed the tool channel")
    assert asyncio.run(scene()) == gone
    waiting.join()
    assert outcomes == [gone]
    assert channel.call("later", (), {}) == gone
    channel.refused("import", "os")  # says nothing, to nobody
    ours.close()


def test_two_event_loops_one_of_which_ends_early() -> None:
    release = threading.Event()

    def answer(message: Message) -> bytes:
        if message.get("tool") == "slow":
            release.wait(5)
        return echo(message)

    with served(answer) as (channel, _):
        found: list[object] = []

        async def ask(tool: str) -> object:
            return await channel.acall(tool, (), {})

        first = threading.Thread(target=lambda: found.append(asyncio.run(ask("fast"))))
        first.start()
        first.join()
        second = threading.Thread(target=lambda: found.append(asyncio.run(ask("slow"))))
        second.start()
        release.set()
        second.join(5)
        assert found == [Returned([]), Returned([])]
