"""Owns what a person's front end has of a kernel beside its cells: completion, widgets, late outputs.

Only while somebody attends is anything of this read, or sent. All of it is untrusted: nothing here changes
what is known of the running cell, and how fast it comes is bounded (`Pace`) by reading no faster: the kernel
then waits, and loses nothing. But a cell does not wait for what others send: too much of that is dropped.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from ..interfaces import Attendant
from ..outputs import CommMessage
from ..wire.messages import Json
from .mailbox import COMMS, KernelDied, Mailbox
from .translate import comm_of, completion_of, inspection_of, output_of

MAX_ASKED = 4
"""Questions that the kernel has not answered yet; then it gets no more."""
MAX_CODE = 1 << 20
"""Characters of a cell that the kernel is asked about."""
MAX_COMMS = 10_000
"""Open at once."""
MAX_TOKENS = 1000
"""Messages, sent and of cells, whose late outputs are still known."""
SHOWN = frozenset(
    {"stream", "display_data", "update_display_data", "execute_result", "error", "clear_output"}
)
LOOK_S = 1.0
"""Seconds between two looks at how much came, while nothing of it is a message."""


class Pace:
    """How fast a kernel is read: what is above the rate has to wait. A message costs its bytes and a few."""

    RATE = 4 * 1024 * 1024
    """Bytes a second."""
    BURST = 16 * 1024 * 1024
    MESSAGE = 4 * 1024
    LONGEST_S = 10.0

    def __init__(self) -> None:
        self._clock = asyncio.get_running_loop().time
        self._then = self._clock()
        self._owed = 0.0

    def spend(self, size: int, messages: int = 1) -> None:
        now = self._clock()
        self._owed = max(0.0, self._owed - (now - self._then) * self.RATE) + size + messages * self.MESSAGE
        self._then = now

    @property
    def over(self) -> float:
        """Seconds that it takes until it may go on."""
        over = self._owed - (self._clock() - self._then) * self.RATE - self.BURST
        return min(max(0.0, over / self.RATE), self.LONGEST_S)

    async def wait(self) -> float:
        """Returns when it may go on; the seconds that took."""
        if seconds := self.over:
            await asyncio.sleep(seconds)
        return seconds


def aside(message: Mapping[str, Any], cell: str) -> bool | None:
    """Whether a message that is for the front end, or for nobody, is of this cell; None: it is its output."""
    if message["parent_header"].get("msg_id") != cell:
        return False
    return True if message["header"].get("msg_type") in COMMS else None


class Attended:
    """The part of a session that a front end talks to, an `InteractiveExecutor` with `KernelSession`."""

    answer_s = 10.0
    """Seconds that a front end waits for a completion; the first one takes most of one, or some when the
    machine is busy."""

    def __init__(self) -> None:
        self._attendant: Attendant | None = None
        self._box: Mailbox | None = None
        self._pace: Pace | None = None
        self._reader: asyncio.Task[None] | None = None
        self._asked: dict[str, asyncio.Future[Mapping[str, Any]]] = {}
        self._tokens: OrderedDict[str, object] = OrderedDict()
        self._comms: set[str] = set()

    # --- the front end's side ---

    def attend(self, attendant: Attendant | None) -> None:
        """From now on widgets and late outputs go to `attendant`. On the session's event loop."""
        self._attendant = attendant
        if self._box is not None:
            self._box.wanted = self._wants if attendant is not None else None
        if attendant is None:
            self._busy()
        elif self._reader is None:
            self._idle()

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
        if self._box is None or self._attendant is None:
            return
        content: dict[str, Any] = {"comm_id": message.comm_id, "data": dict(message.data)}
        if message.kind == "open":
            if len(self._comms) >= MAX_COMMS:
                return
            self._comms.add(message.comm_id)
            content["target_name"] = message.target
        elif message.comm_id not in self._comms:
            return
        if message.kind == "close":
            self._comms.discard(message.comm_id)
        sent = self._box.send_comm(f"comm_{message.kind}", content, message.metadata, message.buffers)
        if sent is not None:
            self._remember(sent, token)

    # --- the session's side ---

    def _kernel_up(self, mailbox: Mailbox) -> None:
        """A kernel is ready for its first cell."""
        self._box, self._pace = mailbox, Pace()
        mailbox.wanted = self._wants if self._attendant is not None else None

    def _kernel_down(self) -> None:
        """It is gone, and with it whatever the front end had of it."""
        self._busy()
        self._box = None
        for asked in self._asked.values():
            asked.cancel()
        comms, self._comms = self._comms, set()
        self._asked.clear()
        self._tokens.clear()
        if self._attendant is not None:
            for comm_id in comms:
                self._attendant.comm(CommMessage("close", comm_id))

    def _idle(self) -> None:
        """No cell runs: from now on somebody else has to read what the kernel sends."""
        if self._attendant is not None and self._box is not None and self._reading_is_free():
            self._reader = asyncio.ensure_future(self._read(self._box, self._pace or Pace()))

    def _busy(self) -> None:
        """A cell is about to read for itself. The reader takes nothing more, whatever it waits for."""
        if self._reader is not None:
            self._reader.cancel()
            self._reader = None

    def _reading_is_free(self) -> bool:
        """Whether no cell runs."""
        raise NotImplementedError

    def _remember(self, message_id: str, token: object = None) -> None:
        """What comes of this message later belongs to `token`."""
        self._tokens[message_id] = token
        if len(self._tokens) > MAX_TOKENS:
            self._tokens.popitem(last=False)

    async def _aside(self, message: Mapping[str, Any], size: int, *, own: bool) -> float:
        """Takes what is no output of the running cell, nor of others, when it sends too much (`own`); the
        seconds that the cell had to wait for that."""
        if self._attendant is None or self._pace is None:
            return 0.0
        if own or not self._pace.over:
            self._pace.spend(size)
            self._take(self._attendant, message)
        return await self._pace.wait() if own else 0.0

    # --- what comes ---

    def _wants(self, kind: str, parent: str) -> bool:
        """Whether the content of such a message is worth parsing."""
        cell = self._box.cell if self._box is not None else ""
        others = not self._reading_is_free() and parent != cell and parent not in self._asked
        if others and self._pace is not None and self._pace.over:
            return False
        return kind in COMMS or parent in self._asked or (kind in SHOWN and parent in self._tokens)

    def _take(self, attendant: Attendant, message: Mapping[str, Any]) -> None:
        kind, parent = message["header"].get("msg_type"), message["parent_header"].get("msg_id")
        if kind in COMMS:
            comm = comm_of(message)
            if comm is not None and self._is_open(comm):
                attendant.comm(comm)
        elif parent in self._asked:
            if kind in ("complete_reply", "inspect_reply"):
                asked = self._asked.pop(parent)
                if not asked.done():
                    asked.set_result(message["content"])
        elif kind in SHOWN and parent in self._tokens:
            output = output_of(message)
            if output is not None:
                attendant.late(output, self._tokens[parent])

    def _is_open(self, comm: CommMessage) -> bool:
        """Keeps the books: a message is taken for a comm that was opened, once, and not closed."""
        known = comm.comm_id in self._comms
        if comm.kind == "open":
            if known or len(self._comms) >= MAX_COMMS:
                return False
            self._comms.add(comm.comm_id)
            return True
        if comm.kind == "close":
            self._comms.discard(comm.comm_id)
        return known

    async def _answer(self, kind: str, code: str, about: Mapping[str, Any]) -> Mapping[str, Any]:
        """The kernel's answer to a question about code; empty when there is none in time."""
        box = self._box
        if box is None or self._attendant is None or len(self._asked) >= MAX_ASKED or len(code) > MAX_CODE:
            return {}
        asked: asyncio.Future[Mapping[str, Any]] = asyncio.get_running_loop().create_future()
        self._asked[box.ask(kind, {"code": code, **about})] = asked
        await asyncio.wait([asked], timeout=self.answer_s)
        if asked.done() and not asked.cancelled():
            return asked.result()
        asked.cancel()  # It stays among the questions until it is answered.
        return {}

    async def _read(self, mailbox: Mailbox, pace: Pace) -> None:
        """Reads between two cells."""
        clock = asyncio.get_running_loop().time
        while True:
            await pace.wait()
            before = mailbox.taken_bytes
            try:
                received = await mailbox.receive(clock() + LOOK_S)
            except KernelDied:
                return  # The next cell says so.
            pace.spend(mailbox.taken_bytes - before, messages=received is not None)
            if received is not None and self._attendant is not None:
                self._take(self._attendant, received[1])
