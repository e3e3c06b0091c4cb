"""Owns what a front end asks of the kernel beside its cells: completion, explanation, history."""

from __future__ import annotations

from typing import Any

from .kernel_agent import AgentDesk
from .kernel_cells import own_code
from .kernel_history import Entry, History
from .kernel_words import attribute, completion, explained, is_complete, word_at


class Lookup:
    """A part of `CodeActKernel`."""

    _desk: AgentDesk
    _history: History

    async def do_complete(self, code: str, cursor_pos: int) -> dict[str, Any]:
        """In prose magics, their arguments and `@variables`; in a cell of the user's own what Python has."""
        own, agent = own_code(code), self._desk.current
        expression = None if own is not None else attribute(code, cursor_pos)
        if own is not None and cursor_pos >= own[1]:
            text, shift = own[0], own[1]
        elif expression is not None:
            text, shift = expression, cursor_pos - len(expression)
        else:
            names = {name for step in self._desk.steps for name in step.observation.names}
            found = completion(code, cursor_pos, names)
            return _completed(list(found.matches), found.start, cursor_pos)
        if agent is None:
            return _completed([], cursor_pos, cursor_pos)
        reply: dict[str, Any] = dict(await agent.complete(text, cursor_pos - shift))
        return {
            **reply,
            "cursor_start": reply["cursor_start"] + shift,
            "cursor_end": reply["cursor_end"] + shift,
        }

    async def do_inspect(
        self, code: str, cursor_pos: int, detail_level: int = 0, omit_sections: object = ()
    ) -> dict[str, Any]:
        """A magic, or a variable of the sandbox."""
        own, agent = own_code(code), self._desk.current
        if own is not None and cursor_pos >= own[1]:
            text, cursor = own[0], cursor_pos - own[1]
        else:
            word = word_at(code, cursor_pos)
            said = explained(word)
            if said is not None:
                return {"status": "ok", "found": True, "data": {"text/plain": said}, "metadata": {}}
            text = word.lstrip("@")
            cursor = len(text)
        if agent is None or not text:
            return {"status": "ok", "found": False, "data": {}, "metadata": {}}
        return dict(await agent.inspect(text, cursor, detail_level))

    async def do_is_complete(self, code: str) -> dict[str, Any]:
        return is_complete(code)

    async def do_history(
        self,
        hist_access_type: str,
        output: bool,
        raw: bool,
        session: int | None = None,
        start: int | None = None,
        stop: int | None = None,
        n: int | None = None,
        pattern: str | None = None,
        unique: bool = False,
    ) -> dict[str, Any]:
        match hist_access_type:
            case "tail":
                cells = self._history.tail(n or 0)
            case "range":
                cells = self._history.range(start or 0, stop)
            case "search":
                cells = self._history.search(pattern or "*", n, unique)
            case _:
                cells = []
        return {"status": "ok", "history": [_row(cell, output) for cell in cells]}


def _completed(matches: list[str], start: int, end: int) -> dict[str, Any]:
    return {"status": "ok", "matches": matches, "cursor_start": start, "cursor_end": end, "metadata": {}}


def _row(cell: Entry, output: bool) -> tuple[object, ...]:
    return (0, cell.line, (cell.source, cell.result) if output else cell.source)
