"""Owns the code channel: cells, by our own policy, prompt and conversation.

It counts what `models.anthropic` would send, so it looks into that package's private modules.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile

from codeact_kernel.events import AssistantMessage, Message, ModelRequest, ObservationMessage, Text
from codeact_kernel.interfaces import Emit
from codeact_kernel.models._blocks import TOOL_NAME
from codeact_kernel.models._messages import api_messages
from codeact_kernel.models.dialects import ToolDialect
from codeact_kernel.trajectory import Reply, Usage

from .task import Task
from .tokens import Block, Meter, compact

PRINTED = re.compile(r"<stdout>\n(.*)\n</stdout>", re.DOTALL)


class CodeModel:
    """A perfect model that writes code: the cells of a task, then the answer, which is what the last printed.

    Our prompt prefers `final_answer(…)` in the cell, which spares the second turn. This one looks at what it
    did before it answers, as the JSON channels do.
    """

    name = "scripted"
    context_window = 200_000
    instructions = ToolDialect.instructions

    def __init__(self, task: Task, meter: Meter) -> None:
        self._task, self._meter = task, meter
        self._dialect = ToolDialect()

    def cost(self, usage: Usage) -> float | None:
        return 0.0

    async def respond(self, request: ModelRequest, emit: Emit) -> Reply:
        messages = [_uncached(each) for each in api_messages(request.messages, self._dialect)]
        self._meter.request(request.system, self._dialect.tools, messages)
        answered = sum(map(_is_answer, request.messages))
        asked, last = self._task.rounds[answered], request.messages[-1]
        seen = _seen(request.messages)
        if seen == len(asked.cells) and isinstance(last, ObservationMessage):
            answer = _printed(last)
            return self._replied([{"type": "text", "text": answer}], Reply(answer=answer))
        cell, name = asked.cells[seen], f"c{len(messages)}"
        call = {"type": "tool_use", "id": name, "name": TOOL_NAME, "input": {"code": cell}}
        content = [{"type": "text", "text": asked.thought}, call]
        return self._replied(content, Reply(asked.thought, code=cell, call_id=name))

    async def aclose(self) -> None: ...

    def _replied(self, content: list[Block], reply: Reply) -> Reply:
        self._meter.reply(content)
        return replace(reply, raw=compact(content))


def _uncached(message: Block) -> Block:
    """Without the marks that say up to where to cache: they are no content, and move."""
    content = [
        {key: value for key, value in block.items() if key != "cache_control"} for block in message["content"]
    ]
    return {**message, "content": content}


def _seen(messages: Sequence[Message]) -> int:
    """Observations since the last answer."""
    since = takewhile(lambda each: not _is_answer(each), reversed(messages))
    return sum(isinstance(each, ObservationMessage) for each in since)


def _is_answer(message: Message) -> bool:
    return isinstance(message, AssistantMessage) and message.reply.answer is not None


def _printed(observation: ObservationMessage) -> str:
    """What the cell printed. Raises RuntimeError when it printed nothing, or failed."""
    text = "".join(part.text for part in observation.parts if isinstance(part, Text))
    found = PRINTED.search(text)
    if found is None or observation.is_error:
        raise RuntimeError(f"the cell printed nothing: {text!r:.500}")
    return found[1]
