"""Owns the conversation as the API takes it, laid out so that request n+1 extends request n.

The prefix stays stable: tools and system text are constant, an assistant's content is sent back as
it came (`Reply.raw`), earlier messages never change. Cache breakpoints (at most four are taken) sit
on the system text and on the last two user messages: the one is written, the other is read.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TypeAlias

from codeact_kernel.events import AssistantMessage, Message, ObservationMessage, UserMessage
from codeact_kernel.trajectory import Reply
from codeact_kernel.wire.messages import Json

from ._blocks import Block, content_blocks, foreign_blocks, text_block
from .dialects import Dialect

ApiMessage: TypeAlias = dict[str, Json]

CACHE: Json = {"type": "ephemeral"}


def system_blocks(text: str) -> list[Block]:
    """The system text with the breakpoint that covers it and the tools before it."""
    return [{**text_block(text), "cache_control": CACHE}] if text.strip() else []


def api_messages(messages: Sequence[Message], dialect: Dialect) -> list[ApiMessage]:
    """All messages; neighbours of one role become one message, every tool call has its result."""
    turns: list[tuple[str, list[Block]]] = []
    for message in messages:
        role, blocks = _turn(message, dialect)
        if turns and turns[-1][0] == role:
            turns[-1][1].extend(blocks)
        else:
            turns.append((role, blocks))
    answered = [
        (role, _with_results(turns[i - 1][1], blocks) if i and role == "user" else blocks)
        for i, (role, blocks) in enumerate(turns)
    ]
    return _marked([{"role": role, "content": blocks} for role, blocks in answered])


def _turn(message: Message, dialect: Dialect) -> tuple[str, list[Block]]:
    match message:
        case UserMessage(parts=parts):
            return "user", content_blocks(parts)
        case ObservationMessage():
            return "user", dialect.observation(message)
        case AssistantMessage(reply=reply):
            return "assistant", _own_blocks(reply, dialect) or foreign_blocks(
                reply, with_tool=bool(dialect.tools)
            )


def _own_blocks(reply: Reply, dialect: Dialect) -> list[Block]:
    """The content as it came, if a model of this dialect wrote it; else nothing."""
    try:
        blocks = json.loads(reply.raw)
    except (ValueError, RecursionError):
        return []
    if not isinstance(blocks, list) or not all(isinstance(b, dict) and "type" in b for b in blocks):
        return []
    called = any(block["type"] == "tool_use" for block in blocks)
    return [] if called and not dialect.tools else blocks


def _with_results(before: list[Block], blocks: list[Block]) -> list[Block]:
    """Results first, as the API wants them, and one for a call that was never answered."""
    results = [block for block in blocks if block["type"] == "tool_result"]
    others = [block for block in blocks if block["type"] != "tool_result"]
    answered = {block["tool_use_id"] for block in results}
    missing: list[Block] = [
        {
            "type": "tool_result",
            "tool_use_id": block["id"],
            "content": [text_block("There is no result: the run was interrupted.")],
            "is_error": True,
        }
        for block in before
        if block["type"] == "tool_use" and block["id"] not in answered
    ]
    return [*missing, *results, *others]


def _marked(messages: list[ApiMessage]) -> list[ApiMessage]:
    """A breakpoint on the last block of the last two user messages."""
    users = [index for index, message in enumerate(messages) if message["role"] == "user"]
    for index in users[-2:]:
        content = messages[index]["content"]
        assert isinstance(content, list)  # built above
        messages[index]["content"] = [*content[:-1], {**content[-1], "cache_control": CACHE}]
    return messages
