"""Owns the way from stream events to a complete message: nothing leaves here half received."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import jiter

from codeact_kernel.trajectory import Usage
from codeact_kernel.wire.messages import Json

from ._blocks import Block
from ._live import Live


class Broken(Exception):
    """The stream cannot be trusted: cut, out of order, malformed. A reason to ask again."""


@dataclass(frozen=True)
class Received:
    """A message that was received to its end.

    `blocks` hold parsed tool input; `bad_input` is why the input of a tool call is no JSON object,
    by the call's id.
    """

    blocks: tuple[Block, ...]
    stop_reason: str
    refusal: Mapping[str, Json] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)
    bad_input: Mapping[str, str] = field(default_factory=dict)

    def of_type(self, *types: str) -> tuple[Block, ...]:
        return tuple(block for block in self.blocks if block.get("type") in types)


class Collector:
    """Takes the events of one stream in order; `finish` gives the message or raises Broken."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._blocks: list[Block] = []
        self._open: set[int] = set()
        self._inputs: dict[int, list[str]] = {}
        self._counts: dict[str, int] = {}
        self._delta: Mapping[str, Json] = {}
        self._started = self._stopped = False

    @property
    def usage(self) -> Usage:
        """Tokens so far; what a stream that breaks later has cost."""
        count = self._counts.get
        return Usage(
            input_tokens=count("input_tokens", 0),
            output_tokens=count("output_tokens", 0),
            cache_read_tokens=count("cache_read_input_tokens", 0),
            cache_write_tokens=count("cache_creation_input_tokens", 0),
        )

    @property
    def begun(self) -> bool:
        """Whether anything of the reply has been shown."""
        return bool(self._blocks)

    def feed(self, event: object) -> None:
        """One event. Raises Broken when it makes no sense; ignores types it does not know."""
        if not isinstance(event, Mapping):
            raise Broken(f"an event that is no JSON object: {event!r:.80}")
        kind = event.get("type")
        if kind == "message_start":
            self._started = True
            self._count(_object(event, "message"))
        elif (
            kind in {"content_block_start", "content_block_delta", "content_block_stop"} and not self._started
        ):
            raise Broken(f"a {kind} before the message_start")
        elif kind == "content_block_start":
            self._start_block(event)
        elif kind == "content_block_delta":
            self._extend(self._index(event), _object(event, "delta"))
        elif kind == "content_block_stop":
            self._open.discard(self._index(event))
        elif kind == "message_delta":
            self._count(event)
            self._delta = _object(event, "delta")
        elif kind == "message_stop":
            self._stopped = True

    def finish(self) -> Received:
        """The message. Raises Broken when the stream ended before it did."""
        reason = self._delta.get("stop_reason")
        if not (self._started and self._stopped and isinstance(reason, str)):
            raise Broken("the stream ended before the message did")
        if self._open and reason != "max_tokens":
            raise Broken("the message ended in the middle of a block")
        self._live.end()
        bad: dict[str, str] = {}
        for index, fragments in self._inputs.items():
            if text := "".join(fragments):
                block = self._blocks[index]
                block["input"], why = _parsed(text)
                bad |= {str(block.get("id")): why} if why else {}
        details = self._delta.get("stop_details")
        refusal = details if isinstance(details, Mapping) else {}
        return Received(tuple(self._blocks), reason, refusal, self.usage, bad)

    def _start_block(self, event: Mapping[str, Json]) -> None:
        block = dict(_object(event, "content_block"))
        if event.get("index") != len(self._blocks):
            raise Broken(f"content block {event.get('index')!r} where {len(self._blocks)} was due")
        self._open.add(len(self._blocks))
        self._blocks.append(block)
        # Some compatible endpoints put content into the start event already.
        self._show(str(block.get("type")), block)

    def _extend(self, index: int, delta: Mapping[str, Json]) -> None:
        block = self._blocks[index]
        match delta.get("type"):
            case "text_delta":
                _append(block, "text", delta)
                self._live.text(_string(delta, "text"))
            case "thinking_delta":
                _append(block, "thinking", delta)
                self._live.thinking(_string(delta, "thinking"))
            case "signature_delta":
                block["signature"] = _string(delta, "signature")
            case "citations_delta":
                cited = block.get("citations")
                block["citations"] = [*(cited if isinstance(cited, list) else []), delta.get("citation")]
            case "input_json_delta":
                fragment = _string(delta, "partial_json")
                self._inputs.setdefault(index, []).append(fragment)
                self._live.tool_input(fragment)

    def _show(self, kind: str, block: Block) -> None:
        if kind == "text":
            self._live.text(_string(block, "text"))
        elif kind == "thinking":
            self._live.thinking(_string(block, "thinking"))

    def _index(self, event: Mapping[str, Json]) -> int:
        index = event.get("index")
        if not isinstance(index, int) or index not in self._open:
            raise Broken(f"an event for content block {index!r}, which is not open")
        return index

    def _count(self, holder: Mapping[str, Json]) -> None:
        """Counts are totals so far, so later ones replace earlier ones; absent ones do not."""
        usage = holder.get("usage")
        if isinstance(usage, Mapping):
            counts = {key: value for key, value in usage.items() if type(value) is int and value >= 0}
            self._counts.update(counts)


def _parsed(text: str) -> tuple[Json, str | None]:
    """The input of a tool call, and what is wrong with it.

    Of a broken one what can be read is kept, so that the model sees what it had written.
    """
    try:
        value: Json = json.loads(text)
    except (ValueError, RecursionError) as problem:
        return _salvaged(text), str(problem)
    return (value, None) if isinstance(value, dict) else ({}, "it is no JSON object")


def _salvaged(text: str) -> Json:
    try:
        value: Json = jiter.from_json(text.encode("utf-8", "replace"), partial_mode="trailing-strings")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _object(holder: Mapping[str, Json], key: str) -> Mapping[str, Json]:
    value = holder.get(key)
    if not isinstance(value, Mapping):
        raise Broken(f"an event of type {holder.get('type')!r} without {key!r}")
    return value


def _string(holder: Mapping[str, Json], key: str) -> str:
    value = holder.get(key, "")
    if not isinstance(value, str):
        raise Broken(f"{key!r} is {value!r:.80}, not text")
    return value


def _append(block: Block, key: str, delta: Mapping[str, Json]) -> None:
    block[key] = _string(block, key) + _string(delta, key)
