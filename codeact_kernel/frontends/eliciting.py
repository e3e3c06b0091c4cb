"""Owns asking a person what a server wants to know: with the mark, field by field, and never without consent.

First it is shown who asks what; who says yes is asked for each field, then sees what will be sent. A page is
shown as text and never opened.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

from ..tools.mcp.questions import Answer, Field, Form, Page
from ..wire.messages import Json
from .approval_text import MAX_VALUE, Question
from .attention import SILENT, Asker, Attention
from .portal import PortalRunner
from .terminal import clean, clip

FIRST = "y: answer   n: decline   c: cancel"
PAGE = "open it yourself, if you trust it   y: done   n: decline   c: cancel"
LAST = "y: send   n: decline   c: cancel   e: once more"
DECLINE, CANCEL = "!n", "!c"
LEAVE = f"{DECLINE}: decline   {CANCEL}: cancel"
MAX_REMARKS = 10
"""Lines in a row that are no answer to one question: then a program gives them, and would for ever."""
_LEFT = {
    "n": Answer("decline"),
    "no": Answer("decline"),
    "c": Answer("cancel"),
    "cancel": Answer("cancel"),
    DECLINE: Answer("decline"),
    CANCEL: Answer("cancel"),
}
_NEVER = Answer("decline", why=f"no answer could be read {MAX_REMARKS + 1} times")


class _Left(Exception):
    """The person leaves the question with this answer."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer


class Eliciting:
    """Asks at the front end that approvals are asked at; a `tools.mcp.questions.Elicit`."""

    def __init__(self, attention: Attention, runner: PortalRunner) -> None:
        self._attention = attention
        self._runner = runner

    async def __call__(self, asked: Form | Page) -> Answer:
        def unasked(why: str) -> Answer:
            return Answer("decline", why=why)

        async def dialogue(asker: Asker) -> Answer:
            return await _Dialogue(asked, self._attention.mark, asker, self._runner).answer()

        try:
            return await self._attention.ask(dialogue, unasked, asked.server)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return Answer("cancel")  # The person has stopped the run; the server is told while it ends.


class _Dialogue:
    """About one question of a server."""

    def __init__(self, asked: Form | Page, mark: str, asker: Asker, runner: PortalRunner) -> None:
        self._asked = asked
        self._asker = asker
        self._runner = runner
        self._question = Question(mark, asked.server, 0, (), "", head=f"The server {asked.server} asks you")

    async def answer(self) -> Answer:
        try:
            if isinstance(self._asked, Page):
                await self._consent((("the page", self._asked.url),), PAGE)
                return Answer("accept")
            return Answer("accept", await self._values(self._asked.fields))
        except _Left as left:
            return left.answer

    async def _values(self, fields: tuple[Field, ...]) -> Mapping[str, Json]:
        await self._consent(tuple(map(_row, fields)), FIRST)
        while True:
            values = {
                field.name: value for field in fields if (value := await self._value(field)) is not None
            }
            said = tuple((_name(name), clip(clean(repr(value)), MAX_VALUE)) for name, value in values.items())
            if await self._chosen(said or (("nothing", "every field is left out"),), LAST, ("y", "e")) == "y":
                return values

    async def _value(self, field: Field) -> Json:
        """What the person gives; None: it is left out."""
        shown = _row(field)
        options = "\n".join(f"{number}: {label}" for number, (_, label) in enumerate(field.options, 1))
        rows = (shown, ("options", options)) if options else (shown,)
        empty = _empty(field)
        remark = ""
        for _ in range(MAX_REMARKS + 1):
            line = (await self._line(rows, f"{empty}{LEAVE}", shown[0], remark)).strip()
            if line in (DECLINE, CANCEL):
                raise _Left(_LEFT[line])
            try:
                return field.value(line) if line else field.left_out()
            except ValueError as problem:
                remark = clip(clean(str(problem)), 300)
        raise _Left(_NEVER)

    async def _consent(self, rows: tuple[tuple[str, str], ...], choices: str) -> None:
        await self._chosen((("it says", self._asked.message), *rows), choices, ("y",))

    async def _chosen(self, rows: tuple[tuple[str, str], ...], choices: str, good: tuple[str, ...]) -> str:
        """One of `good`. Raises: _Left."""
        remark = ""
        for _ in range(MAX_REMARKS + 1):
            word = (await self._line(rows, choices, "/".join((*good, "n", "c")), remark)).strip().lower()
            word = "y" if word == "yes" else word
            if word in good:
                return word
            if word in _LEFT:
                raise _Left(_LEFT[word])
            # An empty line is none either: it would throw away what was typed before.
            remark = f"{repr(clip(clean(word), 40)) if word else 'An empty line'} is no answer."
        raise _Left(_NEVER)

    async def _line(self, rows: tuple[tuple[str, str], ...], choices: str, keys: str, remark: str) -> str:
        question = replace(self._question, arguments=rows, choices=choices, keys=keys, remark=remark)
        line = await self._asker.line(question, self._runner.door)
        if line is None:
            raise _Left(Answer("decline", why=SILENT))
        return line


def _name(name: str) -> str:
    return clean(name).replace("\n", " ") or "(no name)"


def _row(field: Field) -> tuple[str, str]:
    return _name(field.name), _about(field)


def _about(field: Field) -> str:
    """What a field is, in a line."""
    what = f"{field.kind}{', required' if field.required else ''}"
    words = " — ".join(filter(None, (field.title, field.description)))
    return f"{what}: {words}" if words else what


def _empty(field: Field) -> str:
    """What an empty line means."""
    if field.default is not None:
        return f"(empty: {clip(clean(repr(field.default)), 60)})   "
    return "" if field.required else "(empty: left out)   "
