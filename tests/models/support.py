"""Owns what the tests of the model layer share: a model over scripted bytes, and what it did."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx2

from codeact_kernel.events import (
    CodeDelta,
    Event,
    Message,
    ModelRequest,
    Notice,
    Text,
    ThoughtDelta,
    UserMessage,
)
from codeact_kernel.models.anthropic import AnthropicModel
from codeact_kernel.trajectory import Reply

from .endpoint import Answer, Seen

KEY = "sk-secret-for-tests"


@dataclass
class Run:
    """A model over a MockTransport that sends exact bytes, what it emitted, how long it waited."""

    model: AnthropicModel
    seen: list[Seen]
    waits: list[float]
    events: list[Event] = field(default_factory=list)

    def ask(self, *messages: Message, system: str = "You act.", tokens: int = 1000) -> Reply:
        return asyncio.run(
            self.model.respond(request(*messages, system=system, tokens=tokens), self.events.append)
        )

    @property
    def shown_code(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, CodeDelta))

    @property
    def shown_thought(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, ThoughtDelta))

    @property
    def notices(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Notice)]


class _Bytes(httpx2.AsyncByteStream):
    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._answer.sent), 100):
            yield self._answer.sent[start : start + 100]
        if self._answer.ending == "drop":
            raise httpx2.RemoteProtocolError("peer closed connection without sending complete message body")


def run_of(
    answers: Iterable[Answer],
    *,
    name: str = "claude-sonnet-5-5",
    dialect: Literal["tool", "text"] = "tool",
    **more: Any,
) -> Run:
    script, seen, waits = list(answers), list[Seen](), list[float]()

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(Seen(request.url.path, dict(request.headers), request.content))
        found = script[len(seen) - 1]
        return httpx2.Response(found.status, headers=dict(found.headers), stream=_Bytes(found))

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    client = httpx2.AsyncClient(transport=httpx2.MockTransport(answer))
    model = AnthropicModel(name, dialect=dialect, http_client=client, sleep=sleep, **{"api_key": KEY, **more})
    return Run(model, seen, waits)


def request(*messages: Message, system: str = "You act.", tokens: int = 1000) -> ModelRequest:
    return ModelRequest(system, messages or (user("Do it."),), tokens)


def user(text: str) -> UserMessage:
    return UserMessage((Text(text),))
