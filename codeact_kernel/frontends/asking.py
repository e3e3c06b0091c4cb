"""Owns asking a person whether a tool may be called, and who answers where nobody can be asked."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterable

from ..tools.registry import Tool
from ..trajectory import Approval
from ..wire.messages import ToolCall, ToolRequest
from ..wire.tape import show_call
from .page import Page
from .portal import Door
from .terminal import clean

Ask = Callable[[ToolRequest], Approval]
PERSON, READING, YES = "a person at the terminal", "declared as reading only", "--yes"


def asker(page: Page, tools: Iterable[Tool], *, yes: bool) -> Ask:
    """Who allows the calls of `tools`: those that only read run at once, a person is asked for the others.

    `yes`: nobody is asked. Without a terminal what is not declared as reading is refused.
    """
    reading = frozenset(tool.name for tool in tools if tool.spec.effect == "read")
    if yes:
        return lambda request: Approval(True, READING if request.tool in reading else YES)
    if not sys.stdin.isatty():
        page.line(
            "note: there is no terminal to ask at: calls that are not declared as reading are refused; "
            "--yes allows them",
            "yellow",
        )
        return lambda request: Approval(request.tool in reading, READING)
    return Asker(page, reading)


class Asker:
    """Asks at the terminal, on the thread of the caller; remembers tools that are always allowed."""

    def __init__(self, page: Page, reading: frozenset[str]) -> None:
        self._page = page
        self._reading = reading
        self._always: set[str] = set()

    def __call__(self, request: ToolRequest) -> Approval:
        """Raises KeyboardInterrupt when the person wants to stop."""
        if request.tool in self._reading:
            return Approval(True, READING)
        if request.tool in self._always:
            return Approval(True, PERSON)
        shown = clean(show_call(ToolCall(0, 0, request.tool, request.args, request.kwargs, None)))
        self._page.line(f"Call {shown}?  y: yes, N: no, a: all of {clean(request.tool)}, q: stop", "bold")
        answer = sys.stdin.readline().strip().lower()
        if answer == "q":
            raise KeyboardInterrupt(f"stopped before {shown}")
        if answer == "a":
            self._always.add(request.tool)
        return Approval(answer in ("y", "yes", "a"), PERSON)


class AtCaller:
    """An Approver for the portal: `ask` decides, one call at a time, on the thread of the caller."""

    def __init__(self, door: Door, ask: Ask) -> None:
        self._door = door
        self._ask = ask
        self._turn = asyncio.Lock()
        self._stopped = False

    async def decide(self, request: ToolRequest, step: int) -> Approval:
        async with self._turn:  # Who stops at one question is not to get those that wait behind it.
            if self._stopped:
                raise asyncio.CancelledError
            self._stopped = True  # Unless there is an answer. To cancel what waits here takes a while.
            decided = await self._door.at_caller(lambda: self._ask(request))
            self._stopped = False
        assert isinstance(decided, Approval)
        return decided
