"""Owns the model behind an Anthropic-compatible endpoint, by the anthropic SDK, always streaming."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, Literal, cast

import anthropic
import httpx2

from codeact_kernel.events import ModelRequest, Notice
from codeact_kernel.exceptions import CredentialsError, ModelError, ModelRefusal, UsageError
from codeact_kernel.interfaces import Emit
from codeact_kernel.trajectory import Reply, Usage
from codeact_kernel.wire.messages import Json

from . import catalog, pricing
from ._failures import FAILURES, Failure, backoff, judge
from ._messages import api_messages, system_blocks
from ._received import Broken, Collector, Received
from .coming import sendable
from .dialects import Dialect, TextDialect, ToolDialect

NO_KEY = (
    "No key for the Anthropic API. Set ANTHROPIC_API_KEY; or set ANTHROPIC_BASE_URL to a compatible "
    "endpoint (Ollama, llama.cpp, vLLM and LM Studio serve one); or try `codeact demo`, which needs no key."
)
PLACEHOLDER_KEY = "no-key-needed"
"""What a compatible endpoint gets when there is no key: the SDK will not send a request without."""

Sleep = Callable[[float], Awaitable[None]]


class AnthropicModel:
    """A model served over the Messages API.

    Args:
        name: as the endpoint knows it, such as ``claude-sonnet-5-5``.
        dialect: "tool" asks for code by a tool call, "text" by marked text, for models without tools.
        api_key: default: what the SDK finds, ANTHROPIC_API_KEY first.
        base_url: default: ANTHROPIC_BASE_URL, else Anthropic's.
        max_retries: of one request, whatever fails: before the stream begins or within it.
        http_client: stays the caller's to close.
        sleep: waits between attempts; seconds.

    Raises: CredentialsError when there is no key for Anthropic's own endpoint, or one that cannot
        be sent; UsageError for a base URL that is no URL.
    """

    def __init__(
        self,
        name: str,
        *,
        dialect: Literal["tool", "text"] = "tool",
        api_key: str | None = None,
        base_url: str | None = None,
        max_retries: int = 4,
        http_client: httpx2.AsyncClient | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.name = name
        self._client = _client(api_key, base_url, http_client)
        self._owns_client = http_client is None
        self._first_party = self._client.base_url.host == pricing.HOST
        self._facts = catalog.facts(name)
        self._dialect: Dialect = TextDialect() if dialect == "text" else ToolDialect()
        self._max_retries = max_retries
        self._sleep = sleep
        self.context_window = self._facts.context_window
        self.instructions = self._dialect.instructions

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    def cost(self, usage: Usage) -> float | None:
        """US dollars for the usage of one request; None unless Anthropic itself serves the model."""
        return pricing.cost(self.name, usage) if self._first_party else None

    async def respond(self, request: ModelRequest, emit: Emit) -> Reply:
        """One reply. Its usage and cost count the attempts that failed, as far as they reported any.

        Raises: CredentialsError, ModelRefusal, ModelError (after retries).
        """
        started = time.monotonic()
        body = self._body(request)
        usages: list[Usage] = []
        forgiving = False  # of tool input that is no JSON: asked again once, then the model is told
        for attempt in range(1, self._max_retries + 2):
            collector = Collector(self._dialect.live(emit))
            try:
                received = await self._receive(body, collector)
                if received.bad_input and received.stop_reason == "tool_use" and not forgiving:
                    forgiving = True
                    raise Broken(f"tool input that is not JSON: {next(iter(received.bad_input.values()))}")
                reply = self._read(received)
            except FAILURES as problem:
                usages.append(collector.usage)
                failure = judge(problem, self.name, self._host)
                if not failure.retry or attempt > self._max_retries:
                    raise self._error(failure, attempt) from problem
                await self._pause(failure, attempt, collector.begun, emit)
            else:
                usages.append(collector.usage)
                return self._accounted(reply, usages, time.monotonic() - started)
        raise AssertionError("the last attempt returned or raised")

    async def aclose(self) -> None:
        if self._owns_client:
            await self._client.close()

    async def _receive(self, body: Mapping[str, Any], collector: Collector) -> Received:
        # Raw events, not the SDK's accumulated message: that one repairs and drops what is broken.
        create = cast("Callable[..., Awaitable[anthropic.AsyncStream[object]]]", self._client.messages.create)
        async with await create(**body, stream=True) as stream:
            async for event in stream:
                collector.feed(
                    event.to_dict(warnings=False) if isinstance(event, anthropic.BaseModel) else event
                )
        return collector.finish()

    def _read(self, received: Received) -> Reply:
        if received.stop_reason == "refusal":
            category, why = (received.refusal.get(key) for key in ("category", "explanation"))
            raise ModelRefusal(
                f"{self.name!r} declined to go on (category {category!r}): {why or 'no reason given'}. "
                "Put the task differently.",
                category if isinstance(category, str) else None,
            )
        if received.stop_reason == "model_context_window_exceeded":
            raise ModelError(
                f"The conversation does not fit into the context window of {self.name!r} any more "
                "(model_context_window_exceeded). Start a new run, or show less output in a step."
            )
        return self._dialect.read(received)

    def _body(self, request: ModelRequest) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.name,
            "max_tokens": request.max_output_tokens,
            "system": system_blocks(request.system),
            "messages": api_messages(request.messages, self._dialect),
        }
        if tools := [self._offered(tool) for tool in self._dialect.tools]:
            body |= {"tools": tools, "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}
        if self._first_party and self._facts.adaptive:
            # Summarized: the thought belongs into the notebook.
            body["thinking"] = {"type": "adaptive", "display": "summarized"}
        return body

    def _offered(self, tool: Mapping[str, Json]) -> dict[str, Json]:
        """The tool; streamed eagerly where that is known to work, for `_received` judges the whole."""
        return {**tool, "eager_input_streaming": True} if self._first_party else dict(tool)

    async def _pause(self, failure: Failure, attempt: int, begun: bool, emit: Emit) -> None:
        delay = backoff(attempt, failure.after)
        gone = " What it had written so far does not count." if begun else ""
        nth = f"attempt {attempt + 1} of {self._max_retries + 1}"
        emit(Notice(self._scrubbed(f"{failure.reason}; asking again in {delay:.1f} s ({nth}).{gone}")))
        await self._sleep(delay)

    def _error(self, failure: Failure, attempt: int) -> ModelError:
        tries = f" after {attempt} attempts" if attempt > 1 else ""
        return failure.error(
            self._scrubbed(
                f"The model {self.name!r} gave no reply{tries}: {failure.reason}. {failure.advice}"
            )
        )

    def _accounted(self, reply: Reply, usages: list[Usage], duration_s: float) -> Reply:
        """Every attempt is priced by itself: prices may depend on the size of one prompt."""
        costs = [self.cost(usage) for usage in usages]
        known = [cost for cost in costs if cost is not None]
        return replace(
            reply,
            usage=sum(usages, Usage()),
            cost_usd=sum(known) if len(known) == len(costs) else None,
            duration_s=duration_s,
        )

    @property
    def _host(self) -> str:
        """For messages: no path, and no user name or password that a base URL may carry."""
        url = self._client.base_url
        return f"{url.host}:{url.port}" if url.port else url.host

    def _scrubbed(self, text: str) -> str:
        """An endpoint may quote the key it was sent."""
        for secret in (self._client.api_key, self._client.auth_token):
            text = text.replace(secret, "***") if secret else text
        return text


def _client(
    api_key: str | None, base_url: str | None, http_client: httpx2.AsyncClient | None
) -> anthropic.AsyncAnthropic:
    try:
        # No retries of its own: `respond` has one budget for what fails before the stream and in it.
        client = anthropic.AsyncAnthropic(
            api_key=api_key or None, base_url=base_url or None, http_client=http_client, max_retries=0
        )
    except anthropic.AnthropicError as problem:
        raise CredentialsError(
            f"The credentials of the Anthropic profile cannot be used: {problem}"
        ) from problem
    except (httpx2.InvalidURL, ValueError) as problem:
        raise UsageError(f"The base URL is no URL ({problem}). Check ANTHROPIC_BASE_URL.") from problem
    if client.base_url.scheme not in {"http", "https"} or not client.base_url.host:
        raise UsageError(
            "The base URL must begin with http:// or https:// and a host. Check ANTHROPIC_BASE_URL."
        )
    if client.credentials is not None:
        client.max_retries = 1  # the SDK renews the token of a profile only as part of a retry
    elif not {"authorization", "x-api-key"} & {name.lower() for name in client.default_headers}:
        if client.base_url.host == pricing.HOST:
            raise CredentialsError(NO_KEY)
        client.api_key = PLACEHOLDER_KEY
    for secret in (client.api_key, client.auth_token):
        if secret and not sendable(secret):
            raise CredentialsError(
                "The key has blanks at an end or characters that cannot be sent. Check ANTHROPIC_API_KEY."
            )
    return client
