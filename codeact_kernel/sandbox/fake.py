"""Owns `FakeExecutor`: an Executor that follows a script, for tests of whatever drives executors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from ..exceptions import SandboxError
from ..interfaces import CallHandler
from ..outputs import Error, Finished, Output, Status
from ..trajectory import Action, Refusal
from ..wire.messages import Json, ToolOutcome, ToolRequest


@dataclass(frozen=True)
class Call:
    """The cell calls a tool; arguments encoded (`wire.values`). A generator is sent the outcome."""

    tool: str
    args: tuple[Json, ...] = ()
    kwargs: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True)
class Hang:
    """The cell waits until it is interrupted, and is over. `stubborn`: only a kill ends it."""

    stubborn: bool = False


Move: TypeAlias = Output | Call | Refusal | Hang
"""What a cell does. `Finished` may be left out: it says "error" after an Error, else "ok"."""
Moves: TypeAlias = Iterable[Move] | Generator[Move, ToolOutcome | None, None]
Script: TypeAlias = Callable[[str], Moves] | Mapping[str, Iterable[Move]]
"""Source of a cell -> what it does; of a generator, what a Call yields is its outcome."""


class FakeExecutor:
    """Runs no code: each cell does what the script says of its source.

    Attributes:
        setup: the source that `start` was given.
        executed: sources since the last (re)start; `starts`: how many of those there were.

    Args:
        script: a cell that a mapping does not have shows nothing.
    """

    def __init__(self, script: Script | None = None) -> None:
        self._script: Script = {} if script is None else script
        self.setup = ""
        self.executed: list[str] = []
        self.starts = 0
        self._up = False
        self._closed = False
        self._stop: asyncio.Event | None = None

    async def start(self, setup: str) -> Mapping[str, str]:
        if self.starts or self._closed:
            raise SandboxError("this executor is started already, or closed; make a new one")
        self.setup = setup
        await self.restart()
        return {"python": "3.11.0"}

    async def restart(self) -> None:
        if self._closed:
            raise SandboxError("this executor is closed; make a new one")
        self.executed, self._up = [], True
        self.starts += 1

    async def interrupt(self) -> None:
        if self._stop is not None:
            self._stop.set()

    async def aclose(self) -> None:
        self._closed, self._up = True, False

    async def execute(self, action: Action, handler: CallHandler) -> AsyncGenerator[Output, None]:
        if self._stop is not None:
            raise SandboxError("the fake kernel runs a cell already; it takes one at a time")
        if not self._up:
            raise SandboxError("the fake kernel is down; `restart` it before it can run anything")
        self.executed.append(action.code)
        self._stop = asyncio.Event()
        finished = Finished("killed")
        self._up = False  # Abandoned in the middle, it stays down, as a real one does.
        try:
            async with aclosing(self._play(action.code, handler, self._stop)) as outputs:
                async for output in outputs:
                    if isinstance(output, Finished):
                        finished = output
                        break
                    yield output
            self._up = finished.status != "killed" and not self._closed
        finally:
            self._stop = None
        # The setup was In[1].
        count = None if finished.status == "killed" else len(self.executed) + 1
        yield replace(finished, execution_count=count)

    async def _play(
        self, code: str, handler: CallHandler, stop: asyncio.Event
    ) -> AsyncGenerator[Output, None]:
        moves = _generator(self._script(code) if callable(self._script) else self._script.get(code, ()))
        status: Status = "ok"
        outcome: ToolOutcome | None = None
        while (move := _next(moves, outcome)) is not None:
            outcome = None
            match move:
                case Call(tool, args, kwargs):
                    outcome = await _unless(stop, handler.call(ToolRequest(1, tool, args, kwargs)))
                    if outcome is None:
                        yield _stopped(stubborn=False)
                        return
                case Refusal():
                    handler.refused(move)
                case Hang(stubborn):
                    await stop.wait()
                    yield _stopped(stubborn)
                    return
                case Error():
                    status = "error"
                    yield move
                case _:
                    yield move
            await asyncio.sleep(0)  # A real cell lets others run.
        yield Finished(status)


async def _unless(stop: asyncio.Event, call: Coroutine[Any, Any, ToolOutcome]) -> ToolOutcome | None:
    """The outcome, or None when the cell was interrupted first: then the call is cancelled."""
    calling, stopping = asyncio.ensure_future(call), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait([calling, stopping], return_when=asyncio.FIRST_COMPLETED)
        return calling.result() if calling.done() else None
    finally:
        for task in (calling, stopping):
            task.cancel()
        await asyncio.wait([calling, stopping])


def _stopped(stubborn: bool) -> Finished:
    if stubborn:
        return Finished("killed", "it was interrupted, did not stop and was killed")
    return Finished("timeout", "it was interrupted; variables are kept")


def _generator(moves: Moves) -> Generator[Move, ToolOutcome | None, None]:
    if isinstance(moves, Generator):
        return moves
    return _each(moves)


def _each(moves: Iterable[Move]) -> Generator[Move, ToolOutcome | None, None]:
    for move in moves:  # noqa: UP028  # `yield from` a list cannot be sent an outcome
        yield move


def _next(moves: Generator[Move, ToolOutcome | None, None], outcome: ToolOutcome | None) -> Move | None:
    try:
        return next(moves) if outcome is None else moves.send(outcome)
    except StopIteration:
        return None
