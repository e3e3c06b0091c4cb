"""The host's end of the wire speaks with libzmq, and nothing that a peer sends costs more than its bound."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path

import pytest
import zmq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codeact_kernel.config import Limits, Settings
from codeact_kernel.sandbox.zmtp import GREETING, MAX_COMMANDS, MAX_PARTS, Connection, ProtocolError

from .support import OpenLab, until, value_of

MOST = 1 << 20
READY = b"\x04\x29\x05READY\x0bSocket-Type\x00\x00\x00\x06ROUTER\x08Identity\x00\x00\x00\x00"


class Peer:
    """Whoever listens: says what bytes it likes."""

    def __init__(self, folder: Path) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / "s"))
        self._listener.listen()
        self.host = Connection(str(folder / "s"), "DEALER", b"me", MOST)
        self.socket, _ = self._listener.accept()
        self.socket.setblocking(False)

    def says(self, data: bytes) -> None:
        """Sends it all; what the host's socket does not take has to wait for the host."""
        while data:
            try:
                data = data[self.socket.send(data) :]
            except BlockingIOError:
                assert self.host.receive() is None

    def close(self) -> None:
        for end in (self.host, self.socket, self._listener):
            end.close()


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[Peer]:
    peer = Peer(tmp_path)
    yield peer
    peer.close()


def frame(body: bytes, flags: int = 0) -> bytes:
    if len(body) > 255:
        return struct.pack(">BQ", flags | 2, len(body)) + body
    return bytes([flags, len(body)]) + body


def test_with_libzmq_both_ways(tmp_path: Path) -> None:
    context = zmq.Context()
    with context, context.socket(zmq.ROUTER) as router, context.socket(zmq.XPUB) as xpub:
        router.bind(f"ipc://{tmp_path}/r")
        xpub.bind(f"ipc://{tmp_path}/p")
        dealer = Connection(str(tmp_path / "r"), "DEALER", b"the host", 64 * MOST)
        sub = Connection(str(tmp_path / "p"), "SUB", b"", 64 * MOST)
        parts = [b"", b"x" * 255, b"y" * 256, b"z" * (8 * MOST)]
        dealer.send(parts)
        assert until(lambda: bool(dealer.receive() or (dealer.flush() and router.poll(0))))
        assert router.recv_multipart() == [b"the host", *parts]
        router.send_multipart([b"the host", *parts])
        got: list[list[bytes]] = []
        assert until(lambda: bool(got.extend(filter(None, [dealer.receive()])) or got))
        assert got == [parts]
        assert until(lambda: bool(sub.receive() or xpub.poll(0)))
        assert xpub.recv() == b"\1"
        for number in range(200):
            xpub.send_multipart([b"topic", b"%d" % number])
        got.clear()
        assert until(lambda: bool(got.extend(filter(None, [sub.receive()])) or len(got) == 200))
        assert got == [[b"topic", b"%d" % number] for number in range(200)]
        dealer.close()
        sub.close()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.lists(st.binary(max_size=600), min_size=1, max_size=4), max_size=5),
    st.lists(st.integers(1, 300), min_size=1, max_size=9),
)
def test_messages_arrive_however_they_are_cut(
    tmp_path: Path, messages: list[list[bytes]], cuts: list[int]
) -> None:
    for old in tmp_path.iterdir():
        old.unlink()
    peer = Peer(tmp_path)
    stream = GREETING + READY
    for message in messages:
        stream += b"".join(frame(part, 1) for part in message[:-1]) + frame(message[-1])
    got = []
    for size in cycle(cuts):
        if not stream:
            break
        peer.socket.send(stream[:size])
        stream = stream[size:]
        while (message := peer.host.receive()) is not None:
            got.append(message)
    peer.close()
    assert got == messages


@pytest.mark.parametrize(
    ("attack", "why"),
    [
        (lambda: b"HTTP/1.1 200 OK".ljust(64), "no greeting"),
        (lambda: GREETING + frame(b"early"), "a message before it was ready"),
        (lambda: GREETING + READY + b"\xff" + bytes(20), "flags 0xff"),
        (lambda: GREETING + READY + b"\x05\x01x", "flags 0x5"),
        (lambda: GREETING + READY + struct.pack(">BQ", 2, 2**63), "more than 1,048,576 bytes"),
        (lambda: GREETING + READY + frame(b"x" * 10_000, 1) * 200, "more than 1,048,576 bytes"),
        (lambda: GREETING + READY + frame(b"", 1) * (MAX_PARTS + 1), f"more than {MAX_PARTS} parts"),
        (lambda: GREETING + READY + frame(b"\4PING", 4) * (MAX_COMMANDS + 1), "too many commands"),
        (lambda: GREETING + READY + frame(b"\5ERROR\x03no!", 4), "refused the connection"),
        (lambda: GREETING + READY + frame(b"x" * MOST + b"x", 4), "more than 1,048,576 bytes"),
    ],
)
def test_what_is_beyond_the_bounds_ends_it(peer: Peer, attack: Callable[[], bytes], why: str) -> None:
    with pytest.raises(ProtocolError, match=why):
        peer.says(attack())
        while True:
            assert peer.host.receive() is None


def test_the_end_of_the_connection_is_told_after_what_had_arrived(peer: Peer) -> None:
    peer.says(GREETING + READY + frame(b"last words") + frame(b"cut of")[:-2])
    peer.socket.close()
    assert peer.host.receive() == [b"last words"]
    assert peer.host.receive() is None
    assert peer.host.ended


def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        Connection(str(tmp_path / "s"), "SUB", b"", MOST)


ENDLESS = """
import os, socket, struct, time
ends = []
for number in range(3, 200):
    try:
        end = socket.socket(fileno=os.dup(number))
        if end.family == socket.AF_UNIX and end.getsockname().endswith('CHANNEL'):
            end.getpeername()
            ends.append(end)
    except OSError:
        pass
part = bytes([3]) + struct.pack('>Q', 2**20) + bytes(2**20)
ends[-1].setblocking(True)
for _ in range(1000):
    ends[-1].sendall(part)
"""


def own_memory() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.kernel
@pytest.mark.parametrize("number", [1, 2], ids=["shell", "iopub"])
def test_a_message_without_end_costs_the_host_its_bound_and_ends_the_kernel(
    open_lab: OpenLab, number: int
) -> None:
    lab = open_lab(Settings(limits=Limits(step_timeout_s=30, interrupt_grace_s=1)))
    before = own_memory()
    cell = lab.run(ENDLESS.replace("CHANNEL", f"-{number}"))
    assert cell.status == "killed"
    assert "it broke the protocol of the" in cell.reason
    assert own_memory() - before < 150 * MOST
    lab.restart()
    assert value_of(lab, "6 * 7") == "42"
