"""Owns tokens: what each request of a conversation holds, and what it costs with and without a cache.

Counted is what a model reads, by one rule for all channels: the system prompt, the definitions of the tools,
and of every block of the conversation its text, or the name and the arguments of its call. `MARKS` stands for
what surrounds a block. Identifiers and the escapes of JSON that only transport a text are not counted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from codeact_kernel.conversation import CHARS_PER_TOKEN
from codeact_kernel.policy import MAX_OUTPUT

Block: TypeAlias = Mapping[str, Any]
Count: TypeAlias = Callable[[str], int]

MARKS = 4
"""Tokens around a block: its kind, the role of who speaks. The real ones are more, of calls most of all."""
READ, WRITTEN = 0.1, 1.25
"""Price of a token of the prompt that the cache has, or gets, against one without a cache."""


ESTIMATED = (
    f"estimated at {CHARS_PER_TOKEN} characters a token, for bpe-openai (extra `dev`) is not installed"
)


@dataclass(frozen=True)
class Tokenizer:
    """`said`: what it is, for the table."""

    count: Count
    said: str


def tokenizer() -> Tokenizer:
    """A public one whose data is in its package; without it the estimate of `conversation`."""
    try:
        from bpe_openai import get_encoding
    except ImportError:
        return Tokenizer(lambda text: -(-len(text) // CHARS_PER_TOKEN), ESTIMATED)
    encoding = get_encoding("o200k_base")
    return Tokenizer(lambda text: len(encoding.encode_ordinary(text)), "counted with o200k_base")


def compact(value: object) -> str:
    """JSON without blanks: what is cheapest to send."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def read_text(block: Block) -> str:
    """What a model reads of a content block."""
    match block["type"]:
        case "text":
            text: str = block["text"]
            return text
        case "tool_use":
            given = block["input"].items()
            said = (f"{name}: {value if isinstance(value, str) else compact(value)}" for name, value in given)
            return "\n".join([block["name"], *said])
        case "tool_result":
            return "\n".join(map(read_text, block["content"]))
        case kind:
            raise ValueError(f"a block of the kind {kind!r} cannot be counted")


@dataclass(frozen=True)
class Spent:
    """Tokens of a conversation. `cached`: what its input costs with a prompt cache, in tokens without one;
    `largest`: of its requests."""

    turns: int
    input: int
    cached: float
    output: int
    largest: int


@dataclass
class Meter:
    """Keeps what was sent and said; it counts when it is over, so that counting is not measured as work."""

    prefix: list[str] = field(default_factory=list)
    replies: list[list[Block]] = field(default_factory=list)
    _messages: list[Block] = field(default_factory=list)
    _grown: list[list[Block]] = field(default_factory=list)

    def request(self, system: str, tools: Sequence[Block], messages: Sequence[Block]) -> None:
        """One request. Raises ValueError unless it extends the one before: only then a cache can hold."""
        known = len(self._messages)
        prefix = [system, *map(compact, tools)]
        if known and (prefix != self.prefix or list(messages[:known]) != self._messages):
            raise ValueError("a request changed what was sent before it")
        self.prefix = prefix
        self._messages.extend(messages[known:])
        self._grown.append([block for message in messages[known:] for block in message["content"]])

    def reply(self, content: list[Block]) -> None:
        self.replies.append(content)

    def spent(self, count: Count) -> Spent:
        def of(blocks: list[Block]) -> int:
            return sum(MARKS + count(read_text(block)) for block in blocks)

        size = sum(MARKS + count(text) for text in self.prefix)
        whole, cached, before = 0, 0.0, 0
        for grown in self._grown:
            size += of(grown)
            whole += size
            cached += READ * before + WRITTEN * (size - before)
            before = size
        replies = [of(reply) for reply in self.replies]
        if max(replies) > MAX_OUTPUT:
            raise ValueError(f"a reply of {max(replies)} tokens; a model writes at most {MAX_OUTPUT} at once")
        return Spent(len(replies), whole, cached, sum(replies), size)
