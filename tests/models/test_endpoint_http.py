"""The real SDK over real loopback HTTP, against the scripted endpoint."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from codeact_kernel.events import AssistantMessage, CodeDelta, Event, Image, Notice, ObservationMessage, Text
from codeact_kernel.exceptions import CredentialsError, ModelError, ModelRefusal
from codeact_kernel.models.anthropic import PLACEHOLDER_KEY, AnthropicModel
from codeact_kernel.models.spec import load_model
from codeact_kernel.trajectory import Reply

from .endpoint import Answer, Endpoint, sse, sse_code, sse_error, sse_text, status, truncated
from .support import KEY, request, user

OK = sse_code("print(1)", thought="Look.")


def converse(
    answers: list[Answer], *, turns: int = 1, **more: Any
) -> tuple[list[Reply], Endpoint, list[float], list[Event]]:
    """`turns` requests in one conversation, each reply answered with text and an image."""
    waits: list[float] = []
    events: list[Event] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    async def talk(url: str) -> list[Reply]:
        model = AnthropicModel("test-model", **{"api_key": KEY, "base_url": url, "sleep": sleep, **more})
        messages: list[Any] = [user("Do it.")]
        replies: list[Reply] = []
        try:
            for _ in range(turns):
                replies.append(await model.respond(request(*messages), events.append))
                parts = (Text("1\n"), Image("image/png", "aGVsbG8="))
                messages += [AssistantMessage(replies[-1]), ObservationMessage(replies[-1].call_id, parts)]
        finally:
            await model.aclose()
        return replies

    with Endpoint(answers) as endpoint:
        return asyncio.run(talk(endpoint.url)), endpoint, waits, events


def test_a_conversation_with_a_tool_and_an_image() -> None:
    replies, endpoint, _, events = converse([OK, sse_text("One.")], turns=2)
    assert [(reply.code, reply.answer) for reply in replies] == [("print(1)", None), (None, "One.")]
    assert "".join(event.text for event in events if isinstance(event, CodeDelta)) == "print(1)"
    first, second = endpoint.requests
    assert first.path == "/v1/messages"
    assert first.headers["authorization"] == f"Bearer {KEY}"
    result = second.body["messages"][2]["content"][0]
    assert result["tool_use_id"] == replies[0].call_id
    assert [part["type"] for part in result["content"]] == ["text", "image"]
    assert replies[0].cost_usd is None  # this is not Anthropic's price list
    assert all(reply.duration_s > 0 for reply in replies)


def test_the_text_dialect() -> None:
    replies, endpoint, _, _ = converse(
        [sse_text("Hm\n<code>\nf()\n</code>"), sse_text("4")], turns=2, dialect="text"
    )
    assert [(reply.code, reply.answer) for reply in replies] == [("f()", None), (None, "4")]
    assert "tools" not in endpoint.requests[0].body


@pytest.mark.parametrize(
    "fault",
    [
        status(429, {"retry-after": "3"}),
        status(529, {"retry-after": "3"}, kind="overloaded_error"),
    ],
)
def test_retry_after_over_http(fault: Answer) -> None:
    [reply], endpoint, waits, events = converse([fault, OK])
    assert reply.code == "print(1)"
    assert waits == [3.0]
    assert len(endpoint.requests) == 2  # the SDK adds no retries of its own
    assert any("asking again in 3.0 s" in event.text for event in events if isinstance(event, Notice))


@pytest.mark.parametrize(
    "fault",
    [
        sse_error(after=OK),
        truncated(OK, b"event: message_delta", "drop"),
        truncated(OK, b"event: message_delta"),
        truncated(OK, b"event: message_start", "drop"),
        sse([{"type": "tool_use", "id": "t", "name": "execute_python", "json": '{"code": nope'}], "tool_use"),
    ],
    ids=["error in the stream", "dropped", "truncated", "dropped at once", "invalid tool JSON"],
)
def test_a_broken_stream_is_asked_for_again(fault: Answer) -> None:
    [reply], endpoint, waits, _ = converse([fault, OK])
    assert reply.code == "print(1)"
    assert len(endpoint.requests) == 2
    assert len(waits) == 1


def test_max_tokens_in_the_code() -> None:
    cut = sse(
        [{"type": "tool_use", "id": "t1", "name": "execute_python", "json": '{"code": "rm('}], "max_tokens"
    )
    replies, endpoint, _, _ = converse([cut, OK], turns=2)
    assert replies[0].code is None
    assert replies[0].problem
    assert endpoint.requests[1].body["messages"][2]["content"][0]["tool_use_id"] == "t1"


def test_refusal() -> None:
    details = {"type": "refusal", "category": "bio", "explanation": None}
    with pytest.raises(ModelRefusal) as caught:
        converse([sse_text("No", stop_reason="refusal", stop_details=details)])
    assert caught.value.category == "bio"


def test_errors_name_what_to_do() -> None:
    with pytest.raises(CredentialsError, match="ANTHROPIC_API_KEY"):
        converse([status(401)])
    with pytest.raises(ModelError, match="no model 'test-model'"):
        converse([status(404)])
    with pytest.raises(ModelError, match="the endpoint has 0 answers"):
        converse([])


def test_an_endpoint_that_is_down_is_named() -> None:
    with Endpoint([]) as endpoint:
        url = endpoint.url
    with pytest.raises(
        ModelError, match=rf"{url.removeprefix('http://')} cannot be reached .* Check that it is running"
    ):
        converse_at(url.replace("http://", "http://me:pass@"))


def converse_at(url: str) -> None:
    async def sleep(seconds: float) -> None:
        assert seconds < 10

    async def talk() -> None:
        model = AnthropicModel("m", api_key=KEY, base_url=url, sleep=sleep, max_retries=1)
        try:
            await model.respond(request(), lambda event: None)
        finally:
            await model.aclose()

    asyncio.run(talk())


def test_cancelling_closes_the_stream() -> None:
    async def talk(endpoint: Endpoint) -> None:
        model = AnthropicModel("m", api_key=KEY, base_url=endpoint.url)
        begun = asyncio.Event()
        task = asyncio.create_task(model.respond(request(), lambda event: begun.set()))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(endpoint.closed_early.wait, 10)
        await model.aclose()

    with Endpoint([truncated(OK, b"event: message_delta", "hang")]) as endpoint:
        asyncio.run(talk(endpoint))
        assert len(endpoint.requests) == 1


def test_base_url_from_the_environment_needs_no_key(monkeypatch: pytest.MonkeyPatch, no_keys: None) -> None:
    async def talk() -> Reply:
        model = load_model("anthropic:llama3")
        try:
            return await model.respond(request(), lambda event: None)
        finally:
            await model.aclose()

    with Endpoint([sse_text("hi")]) as endpoint:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", endpoint.url)
        assert asyncio.run(talk()).answer == "hi"
    assert endpoint.requests[0].headers["authorization"] == f"Bearer {PLACEHOLDER_KEY}"
    assert endpoint.requests[0].body["model"] == "llama3"
