"""Owns `Interactive`: what a front end has of an agent's kernel beside its tasks and cells."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import TypeVar

from ..inert.text import coloured
from ..interfaces import Attendant
from ..outputs import CommMessage, Output
from ..sandbox.session import KernelSession
from ..sandbox.translate import completion_of, inspection_of
from ..wire.messages import Json, ToolSpec
from .portal import AsyncDoor, portal
from .server_configs import ServerState
from .work import Work

T = TypeVar("T")


class Interactive:
    """A part of `Agent`."""

    _work: Work

    def attend(self, attendant: Attendant | None, *, threadsafe: bool = False) -> None:
        """From now on widgets and late outputs go to `attendant`, and code may ask it: what is attended when
        the kernel starts has the tools `input` and `getpass`. It is called on the event loop that runs here;
        where none does, or when it is `threadsafe`, on the portal thread. None: nobody attends any more."""
        if attendant is not None and not threadsafe:
            try:
                attendant = _AtHome(attendant, asyncio.get_running_loop())
            except RuntimeError:
                pass  # No loop runs here.
        _on_portal(lambda: _attend(self._work, attendant))

    async def complete(self, code: str, cursor: int) -> Mapping[str, Json]:
        """The content of a `complete_reply` of the kernel, also while a cell runs; without matches while
        nobody attends, before the first task, and when it does not answer."""

        async def ask(session: KernelSession) -> Mapping[str, Json]:
            return await session.complete(code, cursor)

        return await self._asked(ask, completion_of({}, code, cursor))

    async def inspect(self, code: str, cursor: int, detail: int = 0) -> Mapping[str, Json]:
        """The content of an `inspect_reply`, likewise: text only, of which a terminal does nothing but
        colour it."""

        async def ask(session: KernelSession) -> Mapping[str, Json]:
            return await session.inspect(code, cursor, detail)

        nothing: Mapping[str, Json] = inspection_of({})
        reply = await self._asked(ask, nothing)
        data = reply["data"] if isinstance(reply["data"], Mapping) else {}
        return {**reply, "data": {kind: coloured(str(text)) for kind, text in data.items()}}

    @property
    def emitted(self) -> int:
        """How many events the task or cell that runs has had: tells an attendant on the portal thread what
        came before what."""
        events = self._work.events
        return 0 if events is None else events.count

    def servers(self) -> tuple[ServerState, ...]:
        """The MCP servers of this agent: how each is, its tools, and its calls so far."""
        trajectory = self._work.trajectory
        steps = () if trajectory is None else trajectory.steps
        states = self._work.servers.states(call for step in steps for call in step.observation.tool_calls)
        functions: dict[str, list[ToolSpec]] = {state.config.module: [] for state in states}
        for spec in self._work.person.specs():
            functions.get(spec.module, []).append(spec)
        return tuple(replace(state, functions=tuple(functions[state.config.module])) for state in states)

    def interrupt(self) -> None:
        """Stops the task or cell that runs, and keeps the state; whoever awaits it gets CancelledError after
        its last event. The second time the cell gets no grace: its process is ended, its state rebuilt."""

        def stop() -> None:
            if self._work.running is not None:
                self._work.running.cancel()

        _on_portal(stop)

    def send_comm(self, message: CommMessage, token: object) -> None:
        """A widget's message from the front end; what comes of it reaches `late` with `token`."""

        def send() -> None:
            if self._work.session is not None:
                self._work.session.send_comm(message, token)

        _on_portal(send)

    async def _asked(self, ask: Callable[[KernelSession], Awaitable[T]], nothing: T) -> T:
        async def asked() -> T:
            session = self._work.session
            return nothing if session is None else await ask(session)

        return await AsyncDoor().run(asked())


def _attend(work: Work, attendant: Attendant | None) -> None:
    work.person.attendant = attendant
    if work.session is not None:
        work.session.attend(attendant)


class _AtHome:
    """An attendant, called on its own event loop."""

    def __init__(self, attendant: Attendant, home: asyncio.AbstractEventLoop) -> None:
        self._attendant = attendant
        self._home = home

    async def input(self, prompt: str, password: bool) -> str | None:
        asking = self._attendant.input(prompt, password)
        try:
            answering = asyncio.run_coroutine_threadsafe(asking, self._home)
        except RuntimeError:
            asking.close()
            return None
        return await asyncio.wrap_future(answering)

    def comm(self, message: CommMessage) -> None:
        self._post(lambda: self._attendant.comm(message))

    def late(self, output: Output, token: object) -> None:
        self._post(lambda: self._attendant.late(output, token))

    def _post(self, call: Callable[[], None]) -> None:
        try:
            self._home.call_soon_threadsafe(call)
        except RuntimeError:
            pass  # Its loop is closed: nobody attends any more.


def _on_portal(call: Callable[[], None]) -> None:
    portal().call_soon_threadsafe(call)
