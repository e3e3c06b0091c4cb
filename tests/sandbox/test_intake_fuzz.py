"""Whatever a kernel sends, the host's intake drops it or takes it: it never raises, and credits nothing
to a cell that is not the message's parent. A stand-in for the kernel sends through real sockets."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import tempfile
import tracemalloc
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
import zmq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jupyter_client.session import Session

from codeact_kernel.collect import Collector
from codeact_kernel.config import OutputLimits, ToolLimits
from codeact_kernel.digest import digest
from codeact_kernel.interfaces import CallHandler
from codeact_kernel.notebook.outputs import extras_of, outputs_of
from codeact_kernel.outputs import CommMessage, Display, Output
from codeact_kernel.sandbox.beside import Beside
from codeact_kernel.sandbox.carrier import Carrier
from codeact_kernel.sandbox.mailbox import Mailbox
from codeact_kernel.sandbox.run import Run
from codeact_kernel.sandbox.session import KernelSession, NoCalls
from codeact_kernel.trajectory import Observation
from codeact_kernel.wire.frames import HEADER
from codeact_kernel.wire.lines import dump_line

MINE = "the-cell-that-runs"
CHANNELS = ("shell", "control", "iopub")
QUICK = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**300), 10**300),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(
        [MINE, "idle", "ok", "error", "stdout", "stderr", "text/plain", "image/png", "5.4", "\ud800"]
    ),
    st.sampled_from(
        ["2026-01-01T00:00:00Z", "9999-99-99T99:99:99", "../../x", "\x1b]8;;http://x\x07", "\u202e"]
    ),
)
KEYS = """
msg_id msg_type session username date version name text data metadata transient display_id execution_count
ename evalue traceback execution_state status payload user_expressions codeact names truncated wait code
text/plain text/html image/png application/vnd.codeact.digest application/json
"""
documents = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(KEYS.split()), inner, max_size=6)
    ),
    max_leaves=15,
)
KINDS = """
stream display_data update_display_data execute_result clear_output error status execute_input execute_reply
interrupt_reply comm_open comm_msg comm_close input_request shutdown_reply iopub_welcome debug_event
"""
versions = st.one_of(st.sampled_from(["5.4", "4.1", "3", "", "6"]), documents)
kinds = st.one_of(st.sampled_from(KINDS.split()), documents)
bundles = st.dictionaries(
    st.one_of(st.text(max_size=8), st.sampled_from(["text/plain", "image/png"])), documents
)
contents = st.one_of(
    documents,
    st.fixed_dictionaries(
        {},
        optional={
            "name": st.one_of(st.sampled_from(["stdout", "stderr"]), documents),
            "text": st.one_of(st.text(), documents),
            "data": st.one_of(bundles, documents),
            "metadata": documents,
            "transient": st.one_of(st.fixed_dictionaries({"display_id": documents}), documents),
            "execution_count": documents,
            "execution_state": st.one_of(st.just("idle"), documents),
            "traceback": st.one_of(st.lists(documents, max_size=3), documents),
            "ename": documents,
            "evalue": documents,
            "status": st.one_of(st.sampled_from(["ok", "error", "aborted"]), documents),
            "codeact": st.one_of(
                st.fixed_dictionaries({"names": documents, "truncated": documents}), documents
            ),
        },
    ),
)
parents = st.one_of(st.fixed_dictionaries({"msg_id": st.one_of(st.just(MINE), documents)}), documents)


def headed(kind: Any) -> dict[str, Any]:
    """The header of a message that nobody has seen before."""
    return {"msg_id": os.urandom(8).hex(), "msg_type": kind, "version": "5.4"}


class StandIn:
    """A kernel's end of the sockets, and the mailbox of a host connected to it."""

    def __init__(self, folder: str) -> None:
        self._runner = asyncio.Runner()
        self._context = zmq.Context()
        connection: dict[str, Any] = {"key": b"a key", "signature_scheme": "hmac-sha256", "ip": f"{folder}/k"}
        self.signer = Session(key=connection["key"], signature_scheme="hmac-sha256")
        self._sockets = {}
        for number, channel in enumerate(CHANNELS, 1):
            sock = self._context.socket(zmq.XPUB if channel == "iopub" else zmq.ROUTER)
            sock.linger = 0
            sock.sndhwm = 0  # A drop would be mistaken for one of the mailbox's.
            sock.bind(f"ipc://{folder}/k-{number}")
            self._sockets[channel] = sock
            connection[f"{channel}_port"] = number
        self._peer = b""
        self.wait(self._connect(connection))

    def wait(self, doing: Any) -> Any:
        return self._runner.run(doing)

    async def _connect(self, connection: dict[str, Any]) -> None:
        self.mailbox = Mailbox(connection)
        self.mailbox.interrupt()
        self.mailbox.execute("1")
        self.mailbox.cell = MINE
        for sock in self._sockets.values():
            while not sock.poll(0):  # While it receives, it shakes hands.
                await self.mailbox.receive(asyncio.get_running_loop().time() + 0.01)
        self._sockets["iopub"].recv()  # It has subscribed.
        self._peer = self._sockets["shell"].recv_multipart()[0]
        self._sockets["control"].recv_multipart()

    def close(self) -> None:
        self.wait(self._close())
        self._runner.close()
        self._context.destroy(linger=0)

    async def _close(self) -> None:
        self.mailbox.close()

    def send(self, channel: str, frames: list[bytes]) -> None:
        head = [] if channel == "iopub" else [self._peer]
        self._sockets[channel].send_multipart([*head, *frames])

    def signed(self, header: Any, parent: Any, content: Any, metadata: Any = None) -> list[bytes]:
        """The frames of a message whose signature is right, whatever it says."""
        parts = [
            json.dumps(part).encode("utf-8", "surrogatepass") for part in (header, parent, metadata, content)
        ]
        return [b"<IDS|MSG>", self.signer.sign(parts), *parts]

    def taken(self) -> list[tuple[str, dict[str, Any], int]]:
        """What the mailbox hands out of everything that was sent, up to an honest message behind it."""
        return self.wait(self._taken())

    async def _taken(self) -> list[tuple[str, dict[str, Any], int]]:
        ends = {}
        for channel in CHANNELS:
            message = self.signer.msg("end")
            ends[message["msg_id"]] = channel
            frames = self.signer.serialize(message)
            self.send(channel, frames)
        got = []
        async with asyncio.timeout(20):
            while ends:
                received = await self.mailbox.receive(None)
                assert received is not None
                if ends.pop(str(received[1]["header"].get("msg_id")), None) is None:
                    got.append(received)
        return got


@pytest.fixture(scope="module")
def kernel() -> Iterator[StandIn]:
    with tempfile.TemporaryDirectory(prefix="codeact-fuzz-") as folder:
        stand_in = StandIn(folder)
        yield stand_in
        stand_in.close()


def credited(received: list[tuple[str, dict[str, Any], int]]) -> tuple[Run, list[Output]]:
    """Hands messages to a session as if the cell MINE were running; the run, and what was shown."""
    run = Run(MINE, None, None)
    session = KernelSession()

    async def scene() -> list[Output]:
        shown = []
        for channel, message, size in received:
            output = session._on_message(run, channel, message, size)
            if output is not None:
                assert message["parent_header"]["msg_id"] == MINE
                shown.append(output)
        return shown

    shown = asyncio.run(scene())
    told(run, shown)
    return run, shown


def told(run: Run, shown: list[Output]) -> None:
    """Everything downstream of the intake, up to the model and the notebook."""
    collector = Collector(OutputLimits())
    for output in shown:
        collector.add(output)
    finished = run.finished()
    assert all(isinstance(name, str) for name in finished.names)
    collector.add(finished)
    observation = Observation(
        finished.status, collector.shown(), execution_count=finished.execution_count, names=finished.names
    )
    digest(observation, OutputLimits())
    dump_line({"outputs": outputs_of(observation.shown), "extras": extras_of(observation.shown)})


@given(
    st.lists(
        st.tuples(st.sampled_from(CHANNELS), st.lists(st.binary(max_size=40), min_size=1, max_size=8)),
        max_size=5,
    )
)
@QUICK
def test_frames_of_anything_are_dropped(kernel: StandIn, sent: list[tuple[str, list[bytes]]]) -> None:
    for channel, frames in sent:
        kernel.send(channel, frames)
        kernel.send(channel, [b"<IDS|MSG>", *frames])
    assert kernel.taken() == []


@given(
    st.lists(
        st.tuples(
            st.sampled_from(CHANNELS),
            st.one_of(
                st.fixed_dictionaries({"msg_id": documents, "msg_type": kinds, "version": versions}),
                documents,
            ),
            parents,
            contents,
            documents,
        ),
        max_size=5,
    )
)
@QUICK
def test_signed_messages_of_any_shape_harm_nobody(kernel: StandIn, sent: list[tuple[Any, ...]]) -> None:
    for channel, header, parent, content, metadata in sent:
        kernel.send(channel, kernel.signed(header, parent, content, metadata))
    received = kernel.taken()
    for _, message, _ in received:
        assert all(isinstance(message[part], dict) for part in ("header", "parent_header", "content"))
    run, shown = credited(received)
    mine = [message for _, message, _ in received if message["parent_header"].get("msg_id") == MINE]
    if not mine:
        assert (run.reply, run.idle, run.begun, run.received, shown) == (None, False, False, 0, [])


KNOWN = "a-comm-that-is-open"
comm_ids = st.one_of(st.sampled_from([KNOWN, "x", "../x", "é"]), documents)
targets = st.one_of(st.sampled_from(["jupyter.widget", "jupyter.widget.control"]), documents)
comms = st.fixed_dictionaries({}, optional={"comm_id": comm_ids, "target_name": targets, "data": documents})


class Person:
    """An Attendant that keeps what it gets."""

    def __init__(self) -> None:
        self.comms: list[CommMessage] = []
        self.shown: list[tuple[Output, object]] = []

    async def input(self, prompt: str, password: bool) -> str | None:
        raise AssertionError("nobody asks")

    def comm(self, message: CommMessage) -> None:
        self.comms.append(message)

    def late(self, output: Output, token: object) -> None:
        self.shown.append((output, token))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(CHANNELS),
            kinds,
            parents,
            st.one_of(comms, contents),
            documents,
            st.lists(st.binary(max_size=20), max_size=3),
        ),
        max_size=5,
    )
)
@QUICK
def test_what_a_front_end_gets_has_its_shape(kernel: StandIn, sent: list[tuple[Any, ...]]) -> None:
    """Attended: also comm messages, and what comes of an earlier cell."""
    person = Person()

    async def beside() -> Beside:
        found = Beside(kernel.mailbox)
        found.remember(MINE, "token")
        found.send(CommMessage("open", KNOWN), None)
        return found

    books = kernel.wait(beside())
    kernel.mailbox.wanted = books.wants
    try:
        for channel, kind, parent, content, metadata, buffers in sent:
            kernel.send(channel, [*kernel.signed(headed(kind), parent, content, metadata), *buffers])
        for _, message, _ in kernel.taken():
            books.take(person, message)
    finally:
        kernel.mailbox.wanted = None
    for comm in person.comms:
        assert comm.kind != "open" or (comm.target == "jupyter.widget" and comm.comm_id != KNOWN)
        assert comm.comm_id in (KNOWN, "x")
        assert isinstance(comm.data, dict)
        assert isinstance(comm.metadata, dict)
        assert all(isinstance(buffer, bytes) for buffer in comm.buffers)
    assert all(token == "token" for _, token in person.shown)
    told(Run(MINE, None, None), [output for output, _ in person.shown])


@given(st.lists(st.tuples(st.sampled_from(KINDS.split()), contents), min_size=1, max_size=5), documents)
@QUICK
def test_nothing_is_credited_without_the_right_parent(
    kernel: StandIn, sent: list[tuple[str, Any]], parent: Any
) -> None:
    if isinstance(parent, dict) and parent.get("msg_id") == MINE:
        parent = {"msg_id": MINE + "?"}
    for kind, content in sent:
        for channel in CHANNELS:
            kernel.send(channel, kernel.signed(headed(kind), parent, content))
    run, shown = credited(kernel.taken())
    assert (run.reply, run.idle, run.begun, run.received, shown) == (None, False, False, 0, [])


@given(st.sampled_from(CHANNELS), st.sampled_from(KINDS.split()), contents)
@QUICK
def test_replayed_message_arrives_once(kernel: StandIn, channel: str, kind: str, content: Any) -> None:
    frames = kernel.signed(headed(kind), {"msg_id": MINE}, content)
    for _ in range(3):
        kernel.send(channel, frames)
    assert len(kernel.taken()) == isinstance(content, dict)


def raw(kernel: StandIn, parent: str, content: bytes, metadata: bytes = b"{}") -> list[bytes]:
    """The frames of a message whose content need not be what Python would write."""
    parts = [json.dumps(headed("display_data")).encode(), json.dumps({"msg_id": parent}).encode()]
    parts += [metadata, content]
    return [b"<IDS|MSG>", kernel.signer.sign(parts), *parts]


BOMB = b'{"data":{"a":[' + b"[]," * 1_000_000 + b"[]]}}"
"""3 MB that would be parsed to 64."""


@pytest.mark.parametrize("where", ["content", "content of nobody", "metadata", "parent"])
def test_a_message_costs_little_whatever_it_is_made_of(kernel: StandIn, where: str) -> None:
    messages = {
        "content": raw(kernel, MINE, BOMB),
        "content of nobody": raw(kernel, "nobody", BOMB),
        "metadata": raw(kernel, MINE, b"{}", BOMB),
        "parent": raw(kernel, MINE * 10_000, b"{}"),
    }
    parsed = [part for part in messages[where] if part != b"<IDS|MSG>"]
    tracemalloc.start()
    try:
        message = kernel.mailbox._parse([b"<IDS|MSG>", *parsed])
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()
    assert (message is None) == (where in ("metadata", "parent"))


def test_what_is_of_too_many_values_is_said_instead(kernel: StandIn) -> None:
    kernel.send("iopub", raw(kernel, MINE, BOMB))
    kernel.send("iopub", raw(kernel, MINE, b'{"data":{"text/plain":"' + b"[," * 1_000_000 + b'"}}'))
    (_, shown) = credited(kernel.taken())
    first, second = (output.data["text/plain"] for output in shown if isinstance(output, Display))
    assert first == "[… 3,000,019 bytes not taken: more than 500,000 values …]"
    assert second == "[," * 1_000_000


def test_large_messages_leave_the_event_loop_to_others(kernel: StandIn) -> None:
    """Also those of nobody, which the session does not count."""
    turns = 0

    async def scene() -> None:
        nonlocal turns

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.ensure_future(other())
        await kernel._taken()
        task.cancel()

    for _ in range(30):
        kernel.send("iopub", raw(kernel, "nobody", b'{"a":"' + b"x" * 1_500_000 + b'"}'))
    kernel.wait(scene())
    assert turns >= 30


@pytest.mark.parametrize(("limit", "credit"), [(0.5, 5.0), (60.0, 60.0)])
def test_a_slow_consumer_prolongs_a_cell_by_no_more_than_its_limit(limit: float, credit: float) -> None:
    run = Run(MINE, limit, 100.0)
    run.wait(1.0)
    assert run.deadline == 101.0
    for _ in range(1000):
        run.wait(1.0)
    assert run.deadline == 100.0 + credit


def test_a_cell_without_a_limit_has_credit_left_for_its_end() -> None:
    run = Run(MINE, None, None)
    run.wait(1000.0)
    run.expect_end(2000.0)
    run.wait(2.0)
    assert (run.deadline, run.trail_end) == (2007.0, 2008.0)


DEPTHS = [300, 800, *range(900, 1000, 7), 5_000, 100_000]


@pytest.mark.parametrize(
    "where", ["header", "parent", "content", "data", "evalue", "ename", "names", "metadata"]
)
def test_nesting_of_any_depth_harms_nobody(kernel: StandIn, where: str) -> None:
    """Also just below what the parser takes: what reads the document next has less stack left."""
    for depth in DEPTHS:
        for kind in KINDS.split():
            for opening, closing in (("[", "]"), ('{"a":', "}")):
                kernel.send("iopub", nested(kernel, kind, where, opening * depth + "1" + closing * depth))
    run, _ = credited(kernel.taken())
    assert run.reply is None


def nested(kernel: StandIn, kind: str, where: str, deep: str) -> list[bytes]:
    header = headed(kind)
    content: dict[str, Any] = {
        "name": "stdout",
        "text": "x",
        "data": {"text/plain": "x"},
        "execution_state": "busy",
    }
    parts = {"header": header, "parent": {"msg_id": MINE}, "metadata": {}, "content": content}
    hole = "the hole"
    match where:
        case "header" | "parent" | "content" | "metadata":
            parts[where]["a"] = hole
        case "data":
            content |= {"data": {"text/plain": hole}, "transient": {"display_id": "d"}}
        case _:
            content[where] = hole
    frames = [json.dumps(part).replace(f'"{hole}"', deep).encode() for part in parts.values()]
    return [b"<IDS|MSG>", kernel.signer.sign(frames), *frames]


@given(st.lists(st.tuples(st.sampled_from(CHANNELS), kinds, parents, contents), max_size=8))
@QUICK
def test_honest_end_of_a_cell_is_found_among_anything(kernel: StandIn, sent: list[tuple[Any, ...]]) -> None:
    for channel, kind, parent, content in sent:
        kernel.send(channel, kernel.signed(headed(kind), parent, content))
    for channel, kind, content in (
        ("iopub", "stream", {"name": "stdout", "text": "honest"}),
        ("shell", "execute_reply", {"status": "ok", "execution_count": 3}),
        ("iopub", "status", {"execution_state": "idle"}),
    ):
        kernel.send(
            channel,
            kernel.signed(headed(kind), {"msg_id": MINE}, content),
        )
    run, shown = credited(kernel.taken())
    assert run.over
    assert any(getattr(output, "text", "") == "honest" for output in shown)


# --- the tool channel ---------------------------------------------------------------------------

calls = st.one_of(
    documents,
    st.fixed_dictionaries(
        {"t": st.one_of(st.sampled_from(["call", "cancel", "refused", "return", "raise"]), documents)},
        optional={
            "id": st.one_of(st.integers(0, 3), documents),
            "tool": documents,
            "args": st.one_of(st.lists(documents, max_size=3), documents),
            "kwargs": documents,
            "kind": documents,
            "name": documents,
        },
    ),
)
pieces = st.one_of(
    st.binary(max_size=60),
    calls.map(lambda call: json.dumps(call).encode()).map(
        lambda body: len(body).to_bytes(HEADER, "big") + body
    ),
    st.integers(0, 2**32 - 1).map(lambda size: size.to_bytes(HEADER, "big")),
)


@given(st.lists(pieces, max_size=6), st.booleans())
@QUICK
def test_tool_channel_takes_anything_or_is_broken(sent: list[bytes], running: bool) -> None:
    async def scene() -> None:
        troubles: list[int] = []
        ours, inside = socket.socketpair()
        carrier = Carrier(ToolLimits(), lambda: troubles.append(1), ours)
        inside.setblocking(False)
        loop = asyncio.get_running_loop()
        raised: list[Any] = []
        loop.set_exception_handler(lambda _, context: raised.append(deepcopy(str(context))))
        if running:
            handler: CallHandler = NoCalls()
            carrier.begin(handler)
        try:
            for piece in sent:
                await loop.sock_sendall(inside, piece)
                await asyncio.sleep(0)
        except OSError:
            assert carrier.broken is not None
        await carrier.end()
        assert carrier.failure is None
        assert bool(troubles) == (carrier.broken is not None)
        await carrier.aclose()
        inside.close()
        assert raised == []

    asyncio.run(scene())
