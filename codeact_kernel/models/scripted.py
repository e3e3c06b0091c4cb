"""Owns the model that reads its replies from a script: for demos, tests and replays. No network."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from codeact_kernel.events import CodeDelta, ModelRequest, ThoughtDelta
from codeact_kernel.exceptions import ScriptExhausted, UsageError
from codeact_kernel.interfaces import Emit
from codeact_kernel.trajectory import Reply, Usage
from codeact_kernel.wire.messages import Json

Fixed: TypeAlias = Reply | Mapping[str, Json]
Scripted: TypeAlias = Fixed | Callable[[ModelRequest], Fixed]
"""A reply, a mapping of the same form as a line of a script, or a function of the request to one."""

KEYS = ("thought", "code", "answer")


class ScriptedModel:
    """Answers with the given replies, in order, streamed like those of a real model.

    Args:
        replies: each a Reply, a mapping ``{"thought": "…", "code": "…"}`` or ``{"answer": "…"}``
            (thought is optional in both), or a function that makes one from the ModelRequest.

    Attributes:
        requests: the ModelRequests so far, in order.

    Raises: UsageError for a mapping of another form.
    """

    name = "scripted"
    context_window = 200_000
    instructions = "To act, reply with one Python cell; a reply without code is your final answer."

    def __init__(self, replies: Iterable[Scripted]) -> None:
        self._script = tuple(
            entry if callable(entry) else _reply(entry, f"reply {number} of the script")
            for number, entry in enumerate(replies, 1)
        )
        self._source = "the script"
        self.requests: list[ModelRequest] = []

    @classmethod
    def from_file(cls, path: str | Path) -> ScriptedModel:
        """A script of JSON lines, one reply a line. Raises UsageError naming file and line."""
        model = cls(_parsed(line, where) for where, line in _lines(Path(path)))
        model._source = f"the script {str(path)!r}"
        return model

    def cost(self, usage: Usage) -> float | None:
        """Always 0.0."""
        return 0.0

    async def respond(self, request: ModelRequest, emit: Emit) -> Reply:
        """The next reply. Raises ScriptExhausted when there is none."""
        number = len(self.requests)
        if number >= len(self._script):
            raise ScriptExhausted(
                f"The model was asked for reply {number + 1}, but {self._source} has {len(self._script)}. "
                "Add a reply, or let the last one be an answer."
            )
        self.requests.append(request)
        entry = self._script[number]
        reply = _reply(entry(request), f"reply {number + 1} of the script") if callable(entry) else entry
        for delta in _deltas(reply):
            emit(delta)
            await asyncio.sleep(0)  # a real model lets others run between its deltas
        return _complete(reply, number + 1)

    async def aclose(self) -> None:
        """Nothing to close."""


def _lines(path: Path) -> Iterable[tuple[str, str]]:
    """(where, text) of every line that is not blank."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as problem:
        raise UsageError(
            f"The script {str(path)!r} cannot be read: {problem}. Give a UTF-8 file."
        ) from problem
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield f"{path}, line {number}", line


def _parsed(line: str, where: str) -> Reply:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError) as problem:
        raise UsageError(
            f"{where} is not JSON ({problem}): {line!r:.80}. Write one JSON object a line."
        ) from problem
    return _reply(entry, where)


def _reply(entry: object, where: str) -> Reply:
    """The reply that `entry` describes. Raises UsageError that names `where` it is."""
    if isinstance(entry, Reply):
        return entry
    form = 'Write {"thought": "…", "code": "…"} or {"answer": "…"}'
    if not isinstance(entry, Mapping):
        raise UsageError(f"{where} is {entry!r:.80}, not an object. {form}.")
    for key, value in entry.items():
        if key not in KEYS:
            raise UsageError(f"{where} has the unknown key {key!r}. {form}.")
        if not isinstance(value, str):
            raise UsageError(f"{where} has {value!r:.80} for {key!r}, which must be a string. {form}.")
    if ("code" in entry) == ("answer" in entry):
        found = "both" if "code" in entry else "neither"
        raise UsageError(f"{where} has {found} of 'code' and 'answer', and must have one. {form}.")
    return Reply(
        thought=str(entry.get("thought", "")), code=_text(entry, "code"), answer=_text(entry, "answer")
    )


def _text(entry: Mapping[str, object], key: str) -> str | None:
    value = entry.get(key)
    return value if isinstance(value, str) else None


def _deltas(reply: Reply) -> Iterable[ThoughtDelta | CodeDelta]:
    """Line by line; an answer streams as a thought, for nobody can know before its end."""
    for text in (reply.thought, reply.answer or ""):
        yield from map(ThoughtDelta, text.splitlines(keepends=True))
    yield from map(CodeDelta, (reply.code or "").splitlines(keepends=True))


def _complete(reply: Reply, number: int) -> Reply:
    """With what a real reply has: content to send back, and an id where there is code."""
    said = {key: value for key in KEYS if (value := getattr(reply, key))}
    raw = reply.raw or json.dumps(said, ensure_ascii=False)
    call_id = reply.call_id or (f"call_{number}" if reply.code is not None else None)
    return replace(reply, raw=raw, call_id=call_id)
