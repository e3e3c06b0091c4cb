"""Owns asking the person at an MCP client whether a tool may be called: by elicitation.

Who answers there, a person or a program, we cannot know: the record says "the MCP client". Where a client
does not support it (and in the protocol of 2026-07-28, where a server cannot ask) nobody is there, and calls
that need an approval are denied.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .approval_text import Question, framed
from .eliciting import DECLINE
from .portal import Door

if TYPE_CHECKING:
    from mcp.server.context import ServerRequestContext

_DECISION: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "decision": {
            "type": "string",
            "title": "May it be called?",
            "enum": ["yes", "no", "always"],
            "description": "always: also every further call of this tool",
        },
        "reason": {"type": "string", "title": "If not, why (for the program that called)"},
    },
    "required": ["decision"],
}
_ANSWER: Mapping[str, Any] = {
    "type": "object",
    "properties": {"answer": {"type": "string", "title": "Answer"}},
    "required": ["answer"],
}
_WORDS = {"yes": "y", "always": "a"}


class ClientAsker:
    """An Asker. `call`: the request of the client that runs a cell now; asked are those who made it."""

    who = "the MCP client"

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.call: ServerRequestContext[Any] | None = None

    def ready(self) -> bool:
        call = self.call
        if call is None or not call.session.can_send_request:
            return False
        capabilities = call.session.client_capabilities
        return capabilities is not None and capabilities.elicitation is not None

    async def line(self, question: Question, door: Door) -> str | None:
        """Called on the portal; the client's connection lives on the loop of the server."""
        call = self.call
        if call is None:
            return None
        asking = asyncio.run_coroutine_threadsafe(_asked(call, question), self._loop)
        return await asyncio.wrap_future(asking)


async def _asked(call: ServerRequestContext[Any], question: Question) -> str | None:
    """The answer as a line at a terminal would be; None: the client could not ask."""
    from mcp import MCPError

    decides = not question.head
    shown = replace(question, choices="") if decides else question
    message = "\n".join(text for _, text in framed(shown))
    schema = dict(_DECISION if decides else _ANSWER)
    try:
        answer = await call.session.elicit_form(message, schema, call.request_id)
    except MCPError:
        return None
    given = answer.content or {}
    if answer.action != "accept":
        return "n" if decides else DECLINE  # For a field, "n" is a text like any other.
    if not decides:
        # A client that answers by itself accepts with nothing in it; an empty line is an answer to a field.
        return DECLINE if given.get("answer") is None else str(given["answer"])
    decision = str(given.get("decision", ""))
    return _WORDS.get(decision) or f"n {given.get('reason', '')}"
