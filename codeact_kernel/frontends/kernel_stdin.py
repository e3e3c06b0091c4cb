"""Owns questions to a person at the front end of the cell that runs (Jupyter's stdin), one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import zmq

from ..outputs import MimeBundle
from .approving_jupyter import StdinAsker

LOOK_S = 0.05
END_OF_FILE = "\x04"
MAX_PROMPT = 2_000
MAX_STALE = 1_000


@dataclass(frozen=True)
class Asker:
    """The front end of a cell. `parent`: its request; `before`: shows what came before the question."""

    parent: Mapping[str, Any]  # a message, as jupyter_client has it
    ident: object
    before: Callable[[], None]


class FrontEndStdin:
    """Asks at the front end of the current cell. Lives on the kernel's main loop.

    ipykernel's own `raw_input` blocks the loop, so that nobody could interrupt and no output would come.
    """

    def __init__(self, session: Any, socket: Any) -> None:  # of jupyter_client and pyzmq
        self._session = session
        self._socket = socket
        self._lock = asyncio.Lock()
        self._asker: Asker | None = None

    def open(self, asker: Asker | None) -> None:
        """A cell begins (or ends: None); None too where its front end does not allow questions."""
        self._asker = asker

    @property
    def is_open(self) -> bool:
        """Whether somebody can be asked."""
        return self._asker is not None

    async def ask(self, prompt: str, *, password: bool = False) -> str | None:
        """What the person says; None when nobody can be asked, or when the person ends the input."""
        async with self._lock:
            asker = self._asker
            if asker is None:
                return None
            asker.before()
            for _ in range(MAX_STALE):  # Answers that came after their question was given up.
                if self._receive() is None:
                    break
            content = {"prompt": prompt[:MAX_PROMPT], "password": password}
            asked = self._session.send(
                self._socket, "input_request", content, asker.parent, ident=asker.ident
            )
            while self._asker is asker:
                reply = self._receive()
                if reply is not None and _answers(reply, asked["header"]["msg_id"]):
                    value = reply["content"].get("value")
                    return value if isinstance(value, str) and value != END_OF_FILE else None
                await asyncio.sleep(0 if reply is not None else LOOK_S)
            return None

    def _receive(self) -> Any:  # a message; None: there is none
        try:
            return self._session.recv(self._socket, zmq.NOBLOCK)[1]
        except ValueError:  # It was not signed by who has the key.
            return {"content": {}, "header": {}, "parent_header": {}}


def _answers(reply: Mapping[str, Any], asked: str) -> bool:
    """Whether it is the answer to this question; some front ends do not say which one they answer."""
    if reply["header"].get("msg_type") != "input_reply":
        return False
    answered: object = (reply.get("parent_header") or {}).get("msg_id", asked)
    return answered == asked


def approval_asker(
    stdin: FrontEndStdin,
    show: Callable[[MimeBundle], None],
    caught_up: Callable[[], Awaitable[None]],
    home: asyncio.AbstractEventLoop,
) -> StdinAsker:
    """Where a person is asked whether a tool may be called. It is called on the portal thread; `stdin`,
    `show`, which shows something at the current cell, and `caught_up`, which waits until all that came
    before is shown, live on the loop `home`."""
    boxes: list[MimeBundle] = []

    async def ask_there(prompt: str) -> str | None:
        await caught_up()
        while boxes:
            show(boxes.pop(0))
        return await stdin.ask(prompt)

    async def ask(prompt: str) -> str | None:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(ask_there(prompt), home))

    return StdinAsker(ask, boxes.append, lambda: stdin.is_open)
