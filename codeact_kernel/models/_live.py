"""Owns how a reply is shown while it streams in. Display only: nothing runs from what is shown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import jiter

from codeact_kernel.events import CodeDelta, ThoughtDelta
from codeact_kernel.interfaces import Emit

from .codetext import LiveSplitter, Piece


class Live(Protocol):
    """Told of every piece of one attempt, in order. Called by the collector."""

    def thinking(self, text: str) -> None: ...
    def text(self, text: str) -> None: ...
    def tool_input(self, fragment: str) -> None: ...

    def end(self) -> None:
        """Called once, when the message is complete."""
        ...


class ToolLive:
    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._said = ""
        self._input = ""
        self._code = ""

    def thinking(self, text: str) -> None:
        self._say("thinking", text)

    def text(self, text: str) -> None:
        self._say("text", text)

    def tool_input(self, fragment: str) -> None:
        self._input += fragment
        try:
            value = jiter.from_json(self._input.encode("utf-8", "replace"), partial_mode="trailing-strings")
        except ValueError:
            return  # the whole input is judged when it is complete
        code = value.get("code") if isinstance(value, dict) else None
        if isinstance(code, str) and code.startswith(self._code) and code != self._code:
            self._emit(CodeDelta(code[len(self._code) :]))
            self._code = code

    def end(self) -> None:
        """Nothing is held back."""

    def _say(self, kind: str, text: str) -> None:
        if text:
            self._emit(ThoughtDelta(text if self._said in ("", kind) else f"\n\n{text}"))
            self._said = kind


class TextLive(ToolLive):
    def __init__(self, emit: Emit) -> None:
        super().__init__(emit)
        self._splitter = LiveSplitter()

    def text(self, text: str) -> None:
        self._show(self._splitter.feed(text))

    def tool_input(self, fragment: str) -> None:
        """No tool was offered."""

    def end(self) -> None:
        self._show(self._splitter.rest())

    def _show(self, pieces: Iterable[Piece]) -> None:
        for kind, text in pieces:
            if kind == "code":
                self._emit(CodeDelta(text))
            else:
                self._say("text", text)
