"""Owns what a server may ask and tell besides its answers: callbacks, and the bounds of their use."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, TypeVar

import mcp_types as types
from mcp.client.session import ClientRequestContext, IncomingMessage

from .patience import Patience
from .tail import Tail

Elicit: TypeAlias = Callable[[types.ElicitRequestParams], Awaitable[types.ElicitResult]]
Sample: TypeAlias = Callable[[types.CreateMessageRequestParams], Awaitable[types.CreateMessageResult]]
Authorize: TypeAlias = Callable[[str], Awaitable[str]]
List: TypeAlias = Literal["tools", "prompts", "resources"]
Progress: TypeAlias = Callable[[float, float | None, str | None], None]
"""Of one call: how much is done, of how much, and a word about it."""

P = TypeVar("P")
T = TypeVar("T")
QUESTIONS = 20
"""Of a server that wait for a person at once; more are declined."""
SOON_S = 0.05
BETWEEN_S = 2.0
_LISTS: Mapping[str, List] = {
    "notifications/tools/list_changed": "tools",
    "notifications/prompts/list_changed": "prompts",
    "notifications/resources/list_changed": "resources",
}


@dataclass(frozen=True)
class Callbacks:
    """Of one connection, called on its event loop. What is None is not offered to the server.

    Attributes:
        elicit: asks a person what the server wants to know; may take as long as a person does.
        sample: lets a model answer the server.
        on_changed: the server says that a list is another now; at most every two seconds for each.
        authorize: shows a person the address where a login is done, and waits for a word of theirs: "" that
            it is done, else why it will not be. It is cancelled when the login is done without a word.
        secrets: what is shown of the server's words has none of them.
    """

    elicit: Elicit | None = None
    sample: Sample | None = None
    on_changed: Callable[[List], None] | None = None
    authorize: Authorize | None = None
    secrets: tuple[str, ...] = field(default=(), repr=False)


class Handlers:
    """The callbacks of one life of a server, as the SDK's client takes them."""

    def __init__(self, callbacks: Callbacks, patience: Patience, tail: Tail) -> None:
        self._callbacks = callbacks
        self._patience = patience
        self._tail = tail
        tail.secrets = callbacks.secrets
        self._asking = 0
        self._due: dict[List, asyncio.TimerHandle] = {}
        self._told: dict[List, float] = {}

    def of_client(self) -> dict[str, Any]:
        """Keyword arguments of `mcp.Client`: what is not offered must not be given."""
        offered: dict[str, Any] = {"logging_callback": self._log, "message_handler": self._message}
        if self._callbacks.elicit is not None:
            offered["elicitation_callback"] = self._elicit
        if self._callbacks.sample is not None:
            offered["sampling_callback"] = self._sample
        return offered

    async def _elicit(
        self, context: ClientRequestContext, params: types.ElicitRequestParams
    ) -> types.ElicitResult | types.ErrorData:
        assert self._callbacks.elicit is not None
        return await self._asked(self._callbacks.elicit, params)

    async def _sample(
        self, context: ClientRequestContext, params: types.CreateMessageRequestParams
    ) -> types.CreateMessageResult | types.ErrorData:
        assert self._callbacks.sample is not None
        return await self._asked(self._callbacks.sample, params)

    async def _asked(self, ask: Callable[[P], Awaitable[T]], question: P) -> T | types.ErrorData:
        if self._asking >= QUESTIONS:
            return types.ErrorData(code=types.INVALID_REQUEST, message="too many questions at once")
        self._asking += 1
        try:
            with self._patience.a_person():
                return await ask(question)
        finally:
            self._asking -= 1

    async def _log(self, params: types.LoggingMessageNotificationParams) -> None:
        self._tail.note(f"[{params.level}] {self._tail.masked(str(params.data)):.1000}")

    async def _message(self, message: IncomingMessage) -> None:
        if isinstance(message, Exception):
            self._tail.note(f"[{type(message).__name__}] {self._tail.masked(str(message)):.500}")
        else:
            self.heard(message.method)

    def heard(self, method: str) -> None:
        """A notification of the server."""
        if (changed := _LISTS.get(method)) is not None:
            self.changed(changed)

    def changed(self, which: List) -> None:
        """Tells of it soon; of several changes once."""
        if self._callbacks.on_changed is None or which in self._due:
            return
        loop = asyncio.get_running_loop()
        wait = max(SOON_S, self._told.get(which, -BETWEEN_S) + BETWEEN_S - loop.time())
        self._due[which] = loop.call_later(wait, self._tell, which)

    def _tell(self, which: List) -> None:
        del self._due[which]
        self._told[which] = asyncio.get_running_loop().time()
        if self._callbacks.on_changed is not None:
            self._callbacks.on_changed(which)

    def close(self) -> None:
        for timer in self._due.values():
            timer.cancel()
        self._due.clear()
