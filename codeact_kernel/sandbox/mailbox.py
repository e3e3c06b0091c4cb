"""Owns the Jupyter sockets of one kernel as the host reads them: bounded, and never trusted.

Plain zmq sockets with their file descriptor on the event loop: a step costs no thread switch, and
what nobody reads between two cells stays in the kernel, which then waits.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import zmq
from jupyter_client.session import Session

from ..exceptions import SandboxError

Channel: TypeAlias = Literal["iopub", "shell", "control"]
MAX_MESSAGE_BYTES = 32 * 1024 * 1024
"""A larger one ends the connection. The kernel shortens what an honest cell shows to less."""
QUEUE = 50
"""Messages that wait in this process when nobody reads; the rest waits in the kernel."""
BREATH = 64
"""Messages handled before other tasks of this event loop get a turn."""
RECONNECT_MS = 5


class KernelDied(Exception):
    """The kernel's process is gone. Caught inside `sandbox`."""


class Mailbox:
    """Sends requests to one kernel and receives what comes back, in order of arrival per channel.

    `connection`: as in a connection file, transport ipc.
    """

    def __init__(self, connection: Mapping[str, Any]) -> None:
        self._session = Session(key=connection["key"], signature_scheme=connection["signature_scheme"])
        self._connection = connection
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._died = self._closed = self._stirred = False
        self._taken = 0
        self._control = self._connect("control", zmq.DEALER)
        self._shell = self._connect("shell", zmq.DEALER)
        self._iopub = self._connect("iopub", zmq.SUB)
        for sock in (self._shell, self._control, self._iopub):
            self._loop.add_reader(sock.FD, self._wake.set)

    def _connect(self, channel: str, kind: int) -> zmq.Socket[Any]:
        sock: zmq.Socket[Any] = zmq.Context.instance().socket(kind)
        sock.linger = 0
        sock.set(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
        sock.set(zmq.RCVHWM, QUEUE)
        sock.set(zmq.RECONNECT_IVL, RECONNECT_MS)
        if kind == zmq.SUB:
            sock.subscribe(b"")
        else:
            sock.identity = self._session.bsession
        sock.connect(f"ipc://{self._connection['ip']}-{self._connection[f'{channel}_port']}")
        return sock

    def close(self) -> None:
        """Whoever is in `receive` gets KernelDied."""
        self._closed = True
        self._wake.set()
        for sock in (self._shell, self._control, self._iopub):
            self._loop.remove_reader(sock.FD)
            sock.close(linger=0)

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
        request = self._session.msg("execute_request", content)
        # Jupyter counts its messages; what has run before must not know how this one will be called.
        request["header"]["msg_id"] = request["msg_id"] = secrets.token_hex(16)
        message = self._session.send(self._shell, request)
        self._wake.set()  # Sending may have consumed the descriptor's edge.
        return str(message["header"]["msg_id"])

    def interrupt(self) -> None:
        """Asks the control channel, which answers when the signal has been sent."""
        self._session.send(self._control, "interrupt_request", {})
        self._wake.set()

    async def receive(self, deadline: float | None) -> tuple[Channel, dict[str, Any], int] | None:
        """The next message, its channel and its size in bytes; None when `deadline` (loop time) passed
        or `kernel_stirred` was called.

        In order within a channel, and replies before outputs: a flood of these cannot hide them.
        Malformed messages are dropped.
        Raises: KernelDied, once everything that had arrived was handed out.
        """
        while True:
            self._wake.clear()
            if self._stirred:
                self._stirred = False
                return None
            for channel, sock in self._channels():
                while (frames := await self._take(sock)) is not None:
                    message = self._parse(frames)
                    if message is not None:
                        return channel, message, sum(map(len, frames))
                    if deadline is not None and self._loop.time() > deadline:
                        return None  # A flood of malformed messages must not outlast the deadline.
            if self._died or self._closed:
                raise KernelDied
            try:
                async with asyncio.timeout_at(deadline):
                    await self._wake.wait()
            except TimeoutError:
                return None

    def _channels(self) -> tuple[tuple[Channel, zmq.Socket[Any]], ...]:
        return ("shell", self._shell), ("control", self._control), ("iopub", self._iopub)

    async def _take(self, sock: zmq.Socket[Any]) -> list[bytes] | None:
        if self._taken >= BREATH:
            self._taken = 0
            await asyncio.sleep(0)
        if self._closed:
            return None
        try:
            frames = sock.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return None
        self._taken += 1
        return frames

    def _parse(self, frames: list[bytes]) -> dict[str, Any] | None:
        try:
            _, rest = self._session.feed_identities(frames, copy=True)
            message: dict[str, Any] = self._session.deserialize(rest, content=True, copy=True)
        except Exception:  # Whatever a hostile message does to the parser, it is only dropped.
            return None
        parts = (message.get(part) for part in ("header", "parent_header", "content"))
        return message if all(isinstance(part, dict) for part in parts) else None
