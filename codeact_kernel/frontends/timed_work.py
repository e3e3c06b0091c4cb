"""Owns an agent at work whose time is measured: each seam of the loop with the meter around it.

Where nobody asks for it, none of this is there. Tools are timed in their own function, on whatever thread it
runs: checks, threads and messages around it are ours.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import AsyncGenerator, Awaitable, Mapping
from contextlib import ExitStack, aclosing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from ..agent import AgentLoop
from ..config import Settings
from ..events import Event, ModelRequest
from ..interfaces import CallHandler, Emit, Executor, Later, Model
from ..notebook.journal import JournalRecorder
from ..notebook.redact import Redactor
from ..notebook.writer import NotebookWriter
from ..outputs import Finished, Output
from ..policy import CodeActPolicy
from ..tools.registry import Tool
from ..tools.toolkits import Tools, offered
from ..trajectory import Action, Refusal, Reply, Trajectory, Usage
from ..wire.messages import ToolOutcome, ToolRequest
from .finished import Run
from .portal import AsyncDoor, SyncDoor
from .profiling import Meter
from .work import Work


class TimedWork(Work):
    """One agent at work, the time of whose tasks is measured. Its tools are to be `metered` by `meter`."""

    def __init__(self, meter: Meter, *args: Any, **kwargs: Any) -> None:
        self._meter = meter
        super().__init__(*args, **kwargs)
        self._policy = partial(_Policy, meter)
        self._executor = partial(MeteredExecutor, meter)

    async def run(
        self,
        task: str | None,
        output_type: Any,
        door: SyncDoor | AsyncDoor,
        listener: Emit | None,
        own: str | None = None,
    ) -> Run:
        self._check_free()
        self._meter.begin()
        try:
            shown = None if listener is None else partial(self._rendered, listener)
            run = await super().run(task, output_type, door, shown, own)
        finally:
            self._meter.end()
        return replace(run, timings=self._meter.timings())

    def _rendered(self, listener: Emit, event: Event) -> None:
        with self._meter.rendering():
            listener(event)

    async def _start(self, *, goes_on: bool) -> AgentLoop:
        with self._meter.of("start"):
            loop = await super()._start(goes_on=goes_on)
        assert self.session is not None
        self.session.waiting.beside = partial(self._meter.of, "person")
        return loop

    def record_to(self, path: Path, *, resumes: bool = False) -> None:
        self.path = path
        self._recorder = _Journal(self._meter, path, self._redactor, resumes=resumes)
        self._writer = _Writer(self._meter, path, self._redactor)

    def _on_event(self, event: Event) -> None:
        with self._meter.of("outputs"):
            super()._on_event(event)


def metered(meter: Meter, tools: Tools) -> list[Tool]:
    """The same tools, their functions timed."""
    return [_metered(meter, made) for made in offered(tools)]


def _metered(meter: Meter, made: Tool) -> Tool:
    inner = made.function

    def timed(*args: Any, **kwargs: Any) -> Any:
        with ExitStack() as stack:
            stack.enter_context(meter.call(made.name))
            value = inner(*args, **kwargs)
            return _awaited(value, stack.pop_all()) if inspect.isawaitable(value) else value

    # A server's tool is this run's alone, and may be defined anew.
    timed_tool = made if made.here else copy.copy(made)
    timed_tool.function = timed
    return timed_tool


async def _awaited(value: Awaitable[Any], stack: ExitStack) -> Any:
    with stack:
        return await value


class _Journal(JournalRecorder):
    """All that it writes goes through one place."""

    def __init__(self, meter: Meter, path: Path, redactor: Redactor, *, resumes: bool) -> None:
        self._meter = meter
        super().__init__(path, redactor, resumes=resumes)

    def _write(self, entry: Any, record: Any) -> None:
        with self._meter.of("record"):
            super()._write(entry, record)


class _Writer(NotebookWriter):
    def __init__(self, meter: Meter, path: Path, redactor: Redactor) -> None:
        self._meter = meter
        super().__init__(path, redactor)

    def write(self, trajectory: Trajectory) -> None:
        with self._meter.of("notebook"):
            super().write(trajectory)


class _Policy(CodeActPolicy):
    """What it does beside waiting for the model is building the context."""

    def __init__(self, meter: Meter, model: Model, settings: Settings, system: str) -> None:
        self._meter = meter
        super().__init__(_Model(meter, model), settings, system)

    async def act(self, trajectory: Trajectory, emit: Emit) -> Reply:
        with self._meter.of("context"):
            return await super().act(trajectory, emit)

    def prompt_tokens(self, trajectory: Trajectory) -> int:
        with self._meter.of("context"):
            return super().prompt_tokens(trajectory)


class _Model:
    """A Model, timed from request to reply."""

    def __init__(self, meter: Meter, model: Model) -> None:
        self._meter, self._model = meter, model
        self.name, self.context_window = model.name, model.context_window
        self.instructions = model.instructions

    def cost(self, usage: Usage) -> float | None:
        return self._model.cost(usage)

    async def respond(self, request: ModelRequest, emit: Emit) -> Reply:
        with self._meter.reply():
            return await self._model.respond(request, emit)

    async def aclose(self) -> None:
        await self._model.aclose()


class MeteredExecutor(Executor):
    """An Executor, its cells timed, and what is done with each output and each call."""

    def __init__(self, meter: Meter, executor: Executor) -> None:
        self._meter, self._executor = meter, executor

    async def start(self, setup: str) -> Mapping[str, str]:
        return await self._executor.start(setup)

    async def execute(self, action: Action, handler: CallHandler) -> AsyncGenerator[Output, None]:
        calls = _Calls(self._meter, handler)
        with self._meter.cell() as cell:
            async with aclosing(self._executor.execute(action, calls)) as outputs:
                async for output in outputs:
                    if isinstance(output, Finished):
                        cell.inside = output.inside_s
                    with self._meter.of("outputs"):
                        yield output

    async def interrupt(self) -> None:
        await self._executor.interrupt()

    async def restart(self) -> None:
        with self._meter.of("start"):
            await self._executor.restart()

    async def aclose(self) -> None:
        await self._executor.aclose()


class _Calls(CallHandler):
    """What is done around a tool: limits, approval, the check of arguments, the answer."""

    def __init__(self, meter: Meter, handler: CallHandler) -> None:
        self._meter, self._handler = meter, handler

    async def call(self, request: ToolRequest) -> ToolOutcome:
        with self._meter.of("calls"):
            return await self._handler.call(request)

    def at_once(self, request: ToolRequest) -> ToolOutcome | Later | None:
        with self._meter.of("calls"):
            outcome = self._handler.at_once(request)
        return self._later(outcome) if inspect.iscoroutine(outcome) else outcome

    async def _later(self, run: Later) -> ToolOutcome:
        with self._meter.of("calls"):
            return await run

    def refused(self, refusal: Refusal) -> None:
        self._handler.refused(refusal)
