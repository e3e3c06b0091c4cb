"""Owns the run of one cell of the front-end kernel: its magics, then a task or code of the user's own."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from ..events import OutputShown
from ..exceptions import CodeActError
from ..inert.text import coloured
from ..outputs import Error, Result
from ..trajectory import Stop
from . import notebook_view
from .assembly import Agent
from .kernel_agent import AgentDesk, saved_link
from .kernel_cells import Cell
from .kernel_magics import Place, run_magic
from .kernel_publish import Silent, error_content
from .kernel_widgets import Widgets
from .kernel_words import explained
from .publishing import Publish, Style
from .relay import PAUSE_S
from .run_view import RunView

MAX_EXPRESSIONS = 20
AT_ONCE = 50
"""Events shown before others get a turn: interrupts, questions, comm messages."""
INTERRUPTED = Error("KeyboardInterrupt", "", ("KeyboardInterrupt: stopped; what was done so far is kept",))


@dataclass(frozen=True)
class Outcome:
    """What came of a cell. `shown`: the front end has the error already."""

    error: Error | None = None
    shown: bool = False
    payload: tuple[Mapping[str, Any], ...] = ()  # as the protocol has it
    expressions: Mapping[str, Any] = field(default_factory=dict)


class CellRun:
    """One cell.

    Args:
        desk: whose agent runs it.
        widgets: those of the sandbox; they say what of its outputs may reach the front end.
        expressions: what the front end wants to know after a cell of the user's own.
    """

    def __init__(
        self,
        desk: AgentDesk,
        widgets: Widgets,
        publish: Publish,
        style: Style,
        expressions: Mapping[str, str],
    ) -> None:
        self._desk = desk
        self._widgets = widgets
        self._keep = widgets.keep
        self._publish = publish
        self._style = style
        self._expressions = expressions
        self._view: RunView | None = None
        self._running: Agent | None = None
        """Once its first event has come."""
        self._interrupts = 0
        self._work: asyncio.Task[Outcome] | None = None

    async def run(self, cell: Cell) -> Outcome:
        """To its end, however that comes."""
        self._work = asyncio.ensure_future(self._all(cell))
        await asyncio.wait([self._work])
        if self._work.cancelled():
            seen = self._view.error if self._view is not None else None
            return Outcome(seen or INTERRUPTED, shown=seen is not None)
        try:
            return self._work.result()
        except Exception as problem:  # Without a reply the front end would wait for ever.
            return Outcome(error_of(problem))

    def interrupt(self) -> None:
        """Stops the model's reply or the cell, and keeps the state. The second time the cell gets no grace:
        its process is ended and its state rebuilt. The third time nothing is waited for."""
        self._interrupts += 1
        if self._running is not None and self._interrupts < 3:
            self._running.interrupt()
        elif self._work is not None:
            self._work.cancel()

    def flush(self) -> None:
        """Shows what came so far."""
        if self._view is not None:
            self._view.flush()

    async def _all(self, cell: Cell) -> Outcome:
        place = Place(self._desk, self._publish)
        for name, argument in cell.magics:
            await run_magic(name, argument, place)
        payload = tuple(place.payload)
        if cell.asked and (page := await self._explained(cell)) is not None:
            return Outcome(payload=(*payload, page))
        if cell.own is not None:
            return await self._own(cell.own)
        if cell.task and not cell.surely:
            return Outcome(await self._task(cell.task), payload=payload)
        return Outcome(payload=payload)

    async def _task(self, task: str) -> Error | None:
        view = RunView(self._publish, self._keep, style=self._style, saved=self._saved)
        await self._shown(view, lambda: self._desk.agent(for_task=True), task, None)
        return _stopped(view.stop)

    async def _own(self, code: str) -> Outcome:
        view = RunView(self._publish, self._keep, style=self._style, own=True)
        await self._shown(view, lambda: self._desk.agent(for_task=False), None, code)
        if view.error is not None:
            return Outcome(view.error, shown=True)
        last = view.last
        if last is not None and last.observation.status != "ok":
            why = last.observation.reason or f"the cell was {last.observation.status}"
            return Outcome(Error("CellStopped", why, (f"CellStopped: {why}",)))
        return Outcome(expressions=await self._evaluated())

    async def _shown(
        self, view: RunView, agent: Callable[[], Awaitable[Agent]], task: str | None, own: str | None
    ) -> None:
        self._view = view
        view.begin()
        ticking = asyncio.ensure_future(_ticking(view))
        try:
            running = await agent()
            async with aclosing(running.stream(task, cell=own)) as events:  # type: ignore[type-var]  # it has aclose
                count = 0
                async for event in events:
                    self._running = running
                    if not self._widgets.look(event):
                        view(event)
                    count += 1
                    if count % AT_ONCE == 0:
                        await asyncio.sleep(0)
        finally:
            self._running = None
            ticking.cancel()
            view.close()

    def _saved(self, said: str) -> Mapping[str, Any]:
        agent = self._desk.current
        assert agent is not None
        return saved_link(agent.path, said)

    async def _explained(self, cell: Cell) -> Mapping[str, Any] | None:
        """The page that explains a name; None: it is none, and may be a question to the agent."""
        text = explained(cell.asked)
        agent = self._desk.current
        if text is None and agent is not None:
            found = await agent.inspect(cell.asked, len(cell.asked))
            data = found.get("data")
            if found.get("found") and isinstance(data, Mapping):
                text = coloured(str(data.get("text/plain", "")))
        if text is None and cell.surely:
            self._publish.stream("stdout", f"{cell.asked!r} is no variable of the sandbox, and no magic\n")
        return None if text is None else {"source": "page", "data": {"text/plain": text}, "start": 0}

    async def _evaluated(self) -> Mapping[str, Any]:
        """The front end's expressions, as cells of their own: the record has them too."""
        found: dict[str, Any] = {}
        for name, expression in list(self._expressions.items())[:MAX_EXPRESSIONS]:
            found[name] = await self._value(str(expression))
        return found

    async def _value(self, expression: str) -> Mapping[str, Any]:
        data: Mapping[str, Any] = {"text/plain": "None"}
        view = RunView(Silent(), self._keep, own=True)
        agent = await self._desk.agent(for_task=False)
        async with aclosing(agent.stream(None, cell=expression)) as events:  # type: ignore[type-var]  # it has aclose
            async for event in events:
                view(event)
                if isinstance(event, OutputShown) and isinstance(event.output, Result):
                    kept = self._keep(event.output)
                    data = kept.data if isinstance(kept, Result) else data
        if view.error is not None:
            return {"status": "error", **error_content(view.error)}
        return {"status": "ok", "data": dict(data), "metadata": {}}


async def _ticking(view: RunView) -> None:
    while True:
        await asyncio.sleep(PAUSE_S)
        view.tick()


def _stopped(stop: Stop | None) -> Error | None:
    if stop is not None and stop.reason == "answer":
        return None
    said = notebook_view.stopped(stop) if stop is not None else "stopped"
    return Error("TaskStopped", said, (f"TaskStopped: {said}",))


def error_of(problem: Exception) -> Error:
    """An error of the host's: what it says, and of one that says nothing to a user where it comes from."""
    name, text = type(problem).__name__, coloured(str(problem))
    if isinstance(problem, CodeActError):
        return Error(name, text, (f"\x1b[31m{name}\x1b[0m: {text}",))
    return Error(name, text, tuple(map(coloured, traceback.format_exception(problem))))
