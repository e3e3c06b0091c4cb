"""Owns the Jupyter channels of one kernel as the host reads them: bounded, and never trusted.

On the event loop, without a thread: a step costs no thread switch, and what nobody reads between two
cells stays in the kernel, which then waits.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

from jupyter_client.session import DELIM, Session

from ..exceptions import SandboxError
from ..wire.frames import structure_of
from .zmtp import Connection, ProtocolError

Channel: TypeAlias = Literal["iopub", "shell", "control"]
MIB = 1024 * 1024
MAX_BYTES: Mapping[Channel, int] = {"shell": 8 * MIB, "control": MIB, "iopub": 32 * MIB}
"""Of one message. A larger one ends the kernel, which shortens what an honest cell shows to less."""
KINDS: Mapping[Channel, str] = {"shell": "DEALER", "control": "DEALER", "iopub": "SUB"}
"""In the order in which they are read: replies before outputs, so that a flood cannot hide them."""
MAX_HEAD_BYTES = 64 * 1024
"""Of header, parent and metadata each; honest ones have some hundred."""
MAX_STRUCTURE = 500_000
"""Values in the content of one message (`wire.frames.structure_of`). Parsing so many takes tenths of a
second and some 50 MB; 32 MiB of `[],` would take six seconds and 800 MB."""
BREATH = 64
"""Messages handled before other tasks of this event loop get a turn."""
BREATH_BYTES = 16 * 1024
"""A message counts as one more for each so many bytes."""
COMMS = frozenset({"comm_open", "comm_msg", "comm_close"})
MAX_SEEN = 1 << 16
"""Signatures of a cell and the one before that are remembered, so that no message arrives twice."""


class KernelDied(Exception):
    """The kernel's process is gone, or of no more use; then the message says why. Caught inside `sandbox`."""


class Mailbox:
    """Sends requests to one kernel and receives what comes back, in order of arrival per channel.

    `connection`: as in a connection file, transport ipc. Raises OSError when nobody listens there.
    """

    def __init__(self, connection: Mapping[str, Any]) -> None:
        self._session = Session(key=connection["key"], signature_scheme=connection["signature_scheme"])
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._died = self._closed = self._stirred = False
        self._taken = 0
        self._signatures = _Signatures(self._session)
        self.cell = ""
        """Id of the request whose answers are read. Of other messages the content is not looked at."""
        self.wanted: Callable[[str, str], bool] | None = None
        """Asked whether it is, for a message of that type with that parent."""
        self.taken_bytes = 0
        """Of all messages so far, the malformed ones too."""
        self._watched: set[int] = set()
        self._channels: dict[Channel, Connection] = {}
        for channel, kind in KINDS.items():
            path = f"{connection['ip']}-{connection[f'{channel}_port']}"
            identity = self._session.bsession if kind == "DEALER" else b""
            self._channels[channel] = Connection(path, kind, identity, MAX_BYTES[channel])

    def close(self) -> None:
        """Whoever is in `receive` gets KernelDied."""
        self._closed = True
        self._wake.set()
        for connection in self._channels.values():
            self._unwatch(connection)
            connection.close()

    def kernel_died(self) -> None:
        """Called once by whoever watches the process."""
        self._died = True
        self._wake.set()

    def kernel_stirred(self) -> None:
        """Something changed, the deadline mostly: the current `receive` returns None."""
        self._stirred = True
        self._wake.set()

    async def ready(self, seconds: float) -> None:
        """Waits until this mailbox is subscribed, so that no output is lost. Raises: SandboxError."""
        deadline = self._loop.time() + seconds
        while True:
            try:
                received = await self.receive(deadline)
            except KernelDied:
                raise SandboxError("the sandbox kernel died while it started") from None
            if received is None:
                raise SandboxError(f"the sandbox kernel did not answer within {seconds:.0f} s")
            if received[1]["header"].get("msg_type") == "iopub_welcome":
                return

    def execute(self, code: str) -> str:
        """Sends a cell; returns the message id that its outputs refer to."""
        content = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": False,
        }
        self._signatures.begin_cell()
        self.cell = str(self.post("shell", "execute_request", content))
        return self.cell

    def interrupt(self) -> None:
        """Asks the control channel, which answers when the signal has been sent."""
        self.post("control", "interrupt_request", {})

    def post(
        self,
        channel: Channel,
        kind: str,
        content: Mapping[str, Any],
        metadata: Mapping[str, Any] = MappingProxyType({}),
        buffers: Sequence[bytes] = (),
        *,
        most: int | None = None,
    ) -> str | None:
        """Sends a message; its id, None when more than `most` bytes wait for the kernel to read them."""
        connection = self._channels[channel]
        if most is not None and connection.unsent > most:
            return None
        message = self._session.msg(kind, dict(content), metadata=dict(metadata))
        # Jupyter counts its messages; what has run before must not know how this one will be called.
        message["header"]["msg_id"] = message["msg_id"] = secrets.token_hex(16)
        connection.send([*self._session.serialize(message), *buffers])
        return str(message["msg_id"])

    async def receive(self, deadline: float | None) -> tuple[Channel, dict[str, Any], int] | None:
        """The next message, its channel and its size in bytes; None when `deadline` (loop time) passed
        or `kernel_stirred` was called.

        In order within a channel, and replies before outputs: a flood of these cannot hide them.
        Malformed messages are dropped; the content of those that belong to no cell, or to an earlier one,
        is empty.
        Raises: KernelDied, once everything that had arrived was handed out.
        """
        while True:
            self._wake.clear()
            if self._stirred:
                self._stirred = False
                return None
            for channel, connection in self._channels.items():
                while (parts := await self._take(channel, connection)) is not None:
                    message = self._parse(parts)
                    if message is not None:
                        return channel, message, sum(map(len, parts))
                    if deadline is not None and self._loop.time() > deadline:
                        return None  # A flood of malformed messages must not outlast the deadline.
            if self._died or self._closed:
                raise KernelDied
            if not await self._woken(deadline):
                return None

    async def _take(self, channel: Channel, connection: Connection) -> list[bytes] | None:
        self._taken += 1
        if self._taken >= BREATH:
            self._taken = 0
            await asyncio.sleep(0)
        if self._closed:
            return None
        try:
            parts = connection.receive()
        except ProtocolError as problem:
            raise KernelDied(f"it broke the protocol of the {channel} channel: {problem}") from None
        size = sum(map(len, parts or ()))
        self._taken += size // BREATH_BYTES
        self.taken_bytes += size
        return parts

    async def _woken(self, deadline: float | None) -> bool:
        """Waits until there is something to receive; False when the deadline came first."""
        for connection in self._channels.values():
            if not connection.ended and connection.fileno() not in self._watched:
                self._watched.add(connection.fileno())
                self._loop.add_reader(connection.fileno(), self._on_readable, connection)
            if not connection.flush():
                self._loop.add_writer(connection.fileno(), self._on_writable, connection)
        try:
            async with asyncio.timeout_at(deadline):
                await self._wake.wait()
        except TimeoutError:
            return False
        return True

    def _on_readable(self, connection: Connection) -> None:
        # Once is enough: while nobody receives, what waits there is not to keep the event loop busy.
        self._loop.remove_reader(connection.fileno())
        self._watched.discard(connection.fileno())
        self._wake.set()

    def _on_writable(self, connection: Connection) -> None:
        if connection.flush():
            self._loop.remove_writer(connection.fileno())

    def _unwatch(self, connection: Connection) -> None:
        self._watched.discard(connection.fileno())
        self._loop.remove_reader(connection.fileno())
        self._loop.remove_writer(connection.fileno())

    def _parse(self, parts: list[bytes]) -> dict[str, Any] | None:
        """What is cheap first: nothing is parsed that is not signed, and no content that nobody asked for."""
        try:
            signature, *frames = parts[parts.index(DELIM) + 1 :][:5]
            header, parent, metadata, content = frames
            heads = max(len(header), len(parent), len(metadata))
            if heads > MAX_HEAD_BYTES or not self._signatures.new(signature, frames):
                return None
            message = {"header": _parsed(header), "parent_header": _parsed(parent), "content": {}}
            of, kind = message["parent_header"].get("msg_id"), message["header"].get("msg_type")
            wanted = self.wanted is not None and self.wanted(str(kind), str(of))
            if of == self.cell or wanted:
                message["content"] = _content(content)
            if wanted and kind in COMMS:
                message["metadata"] = _parsed(metadata)
        except Exception:  # Whatever a hostile message does to the parser, it is only dropped.
            return None
        if not all(isinstance(part, dict) for part in message.values()):
            return None
        if "metadata" in message:
            message["buffers"] = parts[parts.index(DELIM) + 6 :]
        return message


class _Signatures:
    """Knows the key, and what has been there."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._seen: set[bytes] = set()
        self._before: set[bytes] = set()

    def begin_cell(self) -> None:
        """What is older than the cell that ends here is forgotten: a session that lives long holds no more
        than one that began."""
        self._before, self._seen = self._seen, set()

    def new(self, signature: bytes, frames: Sequence[bytes]) -> bool:
        """Whether the signature is right, and was not there before."""
        if not hmac.compare_digest(signature, self._session.sign(list(frames))):
            return False
        if signature in self._seen or signature in self._before:
            return False
        if len(self._seen) >= MAX_SEEN:
            self._seen.clear()
        self._seen.add(signature)
        return True


def _parsed(frame: bytes) -> Any:
    return json.loads(frame.decode("utf-8", "replace"))


def _content(frame: bytes) -> Any:
    if len(frame) <= MAX_STRUCTURE or structure_of(frame) <= MAX_STRUCTURE:
        return _parsed(frame)
    note = f"[… {len(frame):,} bytes not taken: more than {MAX_STRUCTURE:,} values …]"
    return {"data": {"text/plain": note}}  # An output of data is shown so, everything else is dropped.
