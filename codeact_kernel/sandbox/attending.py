"""Owns what a person's front end has of a kernel beside its cells: completion, widgets, late outputs.

Only while somebody attends is anything of this read, or sent. All of it is untrusted: nothing here changes
what is known of the running cell, and how fast it comes is bounded (`Pace`) by reading no faster: the kernel
then waits, and loses nothing. But a cell does not wait for what others send: too much of that is dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from ..interfaces import Attendant
from ..outputs import CommMessage
from ..wire.messages import Json
from .beside import Beside
from .mailbox import COMMS, KernelDied, Mailbox
from .translate import completion_of, inspection_of

MAX_CODE = 1 << 20
"""Characters of a cell that the kernel is asked about."""
LOOK_S = 1.0
"""Seconds between two looks at how much came, while nothing of it is a message."""


def aside(message: Mapping[str, Any], cell: str) -> bool | None:
    """Whether a message that is for the front end, or for nobody, is of this cell; None: it is its output."""
    if message["parent_header"].get("msg_id") != cell:
        return False
    return True if str(message["header"].get("msg_type")) in COMMS else None


class Attended:
    """The part of a session that a front end talks to, an `InteractiveExecutor` with `KernelSession`."""

    answer_s = 5.0
    """Seconds that a front end waits for a completion; the first one of a kernel takes most of one."""

    def __init__(self) -> None:
        self._attendant: Attendant | None = None
        self._beside: Beside | None = None
        """Of the kernel that is up."""
        self._reader: asyncio.Task[None] | None = None

    # --- the front end's side ---

    def attend(self, attendant: Attendant | None) -> None:
        """From now on widgets and late outputs go to `attendant`. On the session's event loop."""
        self._attendant = attendant
        self._listen()

    async def complete(self, code: str, cursor: int) -> Mapping[str, Json]:
        """As `InteractiveExecutor.complete`."""
        reply = await self._answer("complete_request", code, {"cursor_pos": cursor})
        return completion_of(reply, code, cursor)

    async def inspect(self, code: str, cursor: int, detail: int) -> Mapping[str, Json]:
        """As `InteractiveExecutor.inspect`."""
        reply = await self._answer("inspect_request", code, {"cursor_pos": cursor, "detail_level": detail})
        return inspection_of(reply)

    def send_comm(self, message: CommMessage, token: object) -> None:
        """As `InteractiveExecutor.send_comm`. Only to comms that the kernel has opened, or that open here."""
        if self._beside is not None and self._attendant is not None:
            self._beside.send(message, token)

    # --- the session's side ---

    def _kernel_up(self, mailbox: Mailbox) -> None:
        """A kernel is ready for its first cell."""
        self._beside = Beside(mailbox)
        self._listen()

    def _kernel_down(self) -> None:
        """It is gone, and with it whatever the front end had of it."""
        beside, self._beside = self._beside, None
        self._listen()
        if beside is None:
            return
        beside.close()
        if self._attendant is not None:
            for comm_id in beside.comms:
                self._attendant.comm(CommMessage("close", comm_id))

    def _cell_begins(self) -> None:
        """It is about to read for itself."""
        if self._beside is not None:
            self._beside.cell_runs = True
            self._listen()

    def _cell_ended(self, message_id: str) -> None:
        """From now on somebody else has to read what the kernel sends."""
        if self._beside is not None:
            self._beside.cell_runs = False
            self._beside.remember(message_id)
            self._listen()

    async def _aside(self, message: Mapping[str, Any], size: int, *, own: bool) -> float:
        """Takes what is no output of the running cell, nor of others, when it sends too much (`own`); the
        seconds that the cell had to wait for that."""
        if self._attendant is None or self._beside is None:
            return 0.0
        pace = self._beside.pace
        if own or not pace.over:
            pace.spend(size)
            self._beside.take(self._attendant, message)
        return await pace.wait() if own else 0.0

    # --- between two cells ---

    def _listen(self) -> None:
        """Reads, or no longer: while somebody attends a kernel that runs no cell."""
        beside, attended = self._beside, self._attendant is not None
        if beside is not None:
            beside.mailbox.wanted = beside.wants if attended else None
        if self._reader is not None:
            self._reader.cancel()  # It takes nothing more, whatever it waits for.
            self._reader = None
        if beside is not None and attended and not beside.cell_runs:
            self._reader = asyncio.ensure_future(self._read(beside))

    async def _read(self, beside: Beside) -> None:
        clock, mailbox = asyncio.get_running_loop().time, beside.mailbox
        while True:
            await beside.pace.wait()
            before = mailbox.taken_bytes
            try:
                received = await mailbox.receive(clock() + LOOK_S)
            except KernelDied:
                return  # The next cell says so.
            beside.pace.spend(mailbox.taken_bytes - before, messages=received is not None)
            if received is not None and self._attendant is not None:
                beside.take(self._attendant, received[1])

    async def _answer(self, kind: str, code: str, about: Mapping[str, Any]) -> Mapping[str, Any]:
        """The kernel's answer to a question about code; empty when there is none in time."""
        if self._beside is None or self._attendant is None or len(code) > MAX_CODE:
            return {}
        asked = self._beside.ask(kind, {"code": code, **about})
        if asked is None:
            return {}
        await asyncio.wait([asked], timeout=self.answer_s)
        if asked.done() and not asked.cancelled():
            return asked.result()
        asked.cancel()  # It stays among the questions until it is answered.
        return {}
