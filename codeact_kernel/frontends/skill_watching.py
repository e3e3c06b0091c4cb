"""Owns watching a saved run: it runs once more in a sandbox, and tells what some functions of it do."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace

from ..config import Settings
from ..rebuild import TapeCalls, rebuild
from ..replay import verdict
from ..sandbox.session import KernelSession
from ..skills.examples import Example, Watched
from ..skills.gathering import Gathered
from ..skills.instrumenting import instrumented
from ..trajectory import Step, Trajectory
from ..wire.messages import Json, Returned, ToolCall, ToolOutcome, ToolRequest
from ..wire.skill_watch import BEGAN, ENDED, MAX_TOLD, MAX_WATCHED, SOURCE
from ..wire.tape import Tape
from ..wire.weight import weight
from .recorded_data import hosted_setup, provided
from .replaying import limits_of

_MAX_WHY = 100
"""Characters of a reason that a kernel gives."""


async def watched(
    trajectory: Trajectory,
    functions: Sequence[Gathered],
    settings: Settings,
    on_step: Callable[[int], object],
) -> Mapping[str, Watched]:
    """What each function does when the run is run again, by its name. No tool is called.

    Raises: SandboxError, UsageError.
    """
    watching = Watching(gathered.function.name for gathered in functions)
    setup = SOURCE + hosted_setup(trajectory.info.setup, settings.profile)
    limits = limits_of(settings.limits, trajectory.info.limits.get("step_timeout_s"))
    with provided(trajectory, settings.profile) as data:
        profile = replace(settings.profile, allow_imports=(), data=data)
        session = KernelSession(replace(settings, profile=profile, limits=limits))
        try:
            await session.start(setup)
            run = instrumented(trajectory, [gathered.function for gathered in functions])
            async with aclosing(rebuild(session, run, handler=watching.handler)) as steps:
                async for rebuilt in steps:
                    kinds = (await asyncio.to_thread(verdict, rebuilt)).kinds
                    watching.step_done(rebuilt.step.index, drifted=bool(kinds & {"code", "tool"}))
                    on_step(rebuilt.step.index)
        finally:
            await session.aclose()
    return watching.functions


class _Open:
    """A call that has begun."""

    def __init__(self, name: str, given: tuple[tuple[Json, ...], Mapping[str, Json]] | str) -> None:
        self.name, self.given = name, given
        self.calls: list[ToolCall] = []
        self.alone = True
        """False: a tool was called while another call of the same function ran: whose it was is not known."""


class Watching:
    """Puts together what a kernel tells, of which nothing is believed but that it is data."""

    def __init__(self, names: Iterable[str]) -> None:
        self.functions = {name: Watched() for name in names}
        self._open: dict[int, _Open] = {}
        self._begun = 0

    def handler(self, tape: Tape, step: Step) -> TapeCalls:
        return _WatchedCalls(tape, step, self)

    def began(self, args: Sequence[Json]) -> None:
        match args:
            case [int() as number, str() as name, given, named] if name in self.functions:
                if self._begun < MAX_WATCHED and number not in self._open:
                    self._begun += 1
                    self._open[number] = _Open(name, _given(given, named))

    def called(self, call: ToolCall) -> None:
        names = Counter(each.name for each in self._open.values())
        for each in self._open.values():
            each.alone = each.alone and names[each.name] == 1
            each.calls.append(call)

    def ended(self, step: int, args: Sequence[Json]) -> None:
        match args:
            case [int() as number, dict() as said] if number in self._open:
                call = self._open.pop(number)
                watched = self.functions[call.name]
                if isinstance(call.given, str):
                    watched.refuse(call.given)
                elif "returns" not in said or weight(said) > 4 * MAX_TOLD:
                    watched.refuse(why_of(said.get("refused")))
                elif not call.alone:
                    watched.refuse("ran at the same time as another call of it, and tools were called")
                else:
                    watched.examples.append(Example(step, *call.given, said["returns"], tuple(call.calls)))

    def step_done(self, step: int, *, drifted: bool) -> None:
        for call in self._open.values():
            self.functions[call.name].refuse("did not come to its end")
        self._open.clear()
        if drifted:
            for watched in self.functions.values():
                watched.drop(step, "was in a step that did not run as it was recorded")


def _given(given: Json, named: Json) -> tuple[tuple[Json, ...], Mapping[str, Json]] | str:
    """Arguments, or why they were not told."""
    if weight((given, named)) > 4 * MAX_TOLD:
        return "has a large value"
    match given, named:
        case list(), dict():
            return tuple(given), named
        case None, str():
            return why_of(named)
    return why_of(None)


def why_of(said: Json) -> str:
    """The reason that a kernel gave, bounded."""
    return said[:_MAX_WHY] if isinstance(said, str) and said else "cannot be told"


class _WatchedCalls(TapeCalls):
    """Answers from the tape, and hears what a watched function does."""

    def __init__(self, tape: Tape, step: Step, watching: Watching) -> None:
        super().__init__(tape, step)
        self._watching = watching

    async def call(self, request: ToolRequest) -> ToolOutcome:
        if request.tool == BEGAN:
            self._watching.began(request.args)
        elif request.tool == ENDED:
            self._watching.ended(self._step, request.args)
        else:
            before = len(self.calls)
            outcome = await super().call(request)
            for call in self.calls[before:]:
                self._watching.called(call)
            return outcome
        return Returned(None)
