"""Owns the books of what one kernel sends and is sent beside its cells, and how fast it is read."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..interfaces import Attendant
from ..outputs import CommMessage
from .mailbox import COMMS, Mailbox
from .translate import comm_of, output_of

MAX_ASKED = 4
"""Questions that the kernel has not answered yet; then it gets no more."""
MAX_COMMS = 10_000
"""Open at once."""
MAX_TOKENS = 1000
"""Messages, sent and of cells, whose late outputs are still known."""
SHOWN = frozenset(
    {"stream", "display_data", "update_display_data", "execute_result", "error", "clear_output"}
)
MAX_UNSENT = 8 * 1024 * 1024
"""Bytes that wait for a kernel which does not read, above which it is sent nothing of a widget's."""


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


class Beside:
    """The comms and questions that are open with one kernel."""

    def __init__(self, mailbox: Mailbox) -> None:
        self.mailbox = mailbox
        self.pace = Pace()
        self.cell_runs = False
        self.comms: set[str] = set()
        self._asked: dict[str, asyncio.Future[Mapping[str, Any]]] = {}
        self._tokens: OrderedDict[str, object] = OrderedDict()

    def wants(self, kind: str, parent: str) -> bool:
        """Whether the content of such a message is worth parsing."""
        others = self.cell_runs and parent != self.mailbox.cell and parent not in self._asked
        if others and self.pace.over:
            return False
        return kind in COMMS or parent in self._asked or (kind in SHOWN and parent in self._tokens)

    def take(self, attendant: Attendant, message: Mapping[str, Any]) -> None:
        """Hands on what is for the front end."""
        kind, parent = str(message["header"].get("msg_type")), str(message["parent_header"].get("msg_id"))
        if kind in COMMS:
            comm = comm_of(message)
            if comm is not None and self._is_open(comm):
                attendant.comm(replace(comm, token=self._tokens.get(parent)))
        elif parent in self._asked:
            if kind in ("complete_reply", "inspect_reply"):
                asked = self._asked.pop(parent)
                if not asked.done():
                    asked.set_result(message["content"])
        elif kind in SHOWN and parent in self._tokens:
            output = output_of(message)
            if output is not None:
                attendant.late(output, self._tokens[parent])

    def send(self, message: CommMessage, token: object) -> None:
        """A widget's message: to a comm that is open, or that opens here."""
        content: dict[str, Any] = {"comm_id": message.comm_id, "data": dict(message.data)}
        if message.kind == "open":
            content["target_name"] = message.target
        if not self._is_open(message):
            return
        sent = self.mailbox.post(
            "shell", f"comm_{message.kind}", content, message.metadata, message.buffers, most=MAX_UNSENT
        )
        if sent is not None:
            self.remember(sent, token)

    def ask(self, kind: str, content: Mapping[str, Any]) -> asyncio.Future[Mapping[str, Any]] | None:
        """A question to the control channel, which answers while a cell runs; None: too many are open."""
        if len(self._asked) >= MAX_ASKED:
            return None
        asked: asyncio.Future[Mapping[str, Any]] = asyncio.get_running_loop().create_future()
        self._asked[str(self.mailbox.post("control", kind, content))] = asked
        return asked

    def remember(self, message_id: str, token: object = None) -> None:
        """What comes of this message later belongs to `token`."""
        self._tokens[message_id] = token
        if len(self._tokens) > MAX_TOKENS:
            self._tokens.popitem(last=False)

    def close(self) -> None:
        """Nobody will be answered."""
        for asked in self._asked.values():
            asked.cancel()

    def _is_open(self, comm: CommMessage) -> bool:
        """Keeps the books: a message is taken for a comm that was opened, once, and not closed."""
        known = comm.comm_id in self.comms
        if comm.kind == "open":
            if known or len(self.comms) >= MAX_COMMS:
                return False
            self.comms.add(comm.comm_id)
            return True
        if comm.kind == "close":
            self.comms.discard(comm.comm_id)
        return known
