"""Owns an agent at work: what happens on the portal thread, from the first task to the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from ..agent import AgentLoop
from ..budget import check_budget
from ..config import Limits, Settings
from ..events import Event, Notice, SandboxReady, StepFinished, TurnFinished
from ..exceptions import UsageError
from ..interfaces import Emit, Executor, Model
from ..notebook.journal import JournalRecorder
from ..notebook.recover import recover_folder
from ..notebook.redact import Redactor
from ..notebook.writer import NotebookWriter
from ..policy import CodeActPolicy
from ..resuming import own_cell
from ..sandbox.launching import Launcher
from ..sandbox.session import KernelSession, to_the_end
from ..sandbox.workspace import Workspace
from ..tools.registry import ToolRegistry
from ..trajectory import OWN_CELL, Stop, Trajectory, Verdict
from . import brief
from .answers import AnswerCheck
from .approving import Desk
from .finished import Run
from .origin import Origin, check_task, without_pending
from .person import PersonTools
from .portal import AsyncDoor, EventPost, PortalRunner, SyncDoor
from .servers import Servers
from .skill_offers import Found
from .starting import Offered, start, system
from .verification import NOT_ASKED, Verification, expected


class Work:
    """One agent at work. `path`: its notebook; `verify`: whether finished tasks are replayed."""

    def __init__(
        self,
        settings: Settings,
        registry: ToolRegistry,
        runner: PortalRunner,
        model: Model,
        path: Path,
        desk: Desk,
        launcher: Launcher | None,
        servers: Servers,
        skills: Found,
        *,
        verify: bool,
    ) -> None:
        self._settings = settings
        self.tools = registry.specs()
        self._desk = desk
        self._launcher = launcher
        self.servers, self._skills = servers, skills
        servers.emit = lambda event: self._emit(event)
        self._redactor = redactor = Redactor.of_host(servers.secrets, settings.redact)
        keep = partial(redactor.keep, "password")
        self.person = PersonTools(registry, keep, desk.turn, settings.tools.approval_timeout_s)
        self._runner, self._model = runner, model
        self._replaced: list[Model] = []
        self._policy: Callable[[Model, Settings, str], CodeActPolicy] = CodeActPolicy
        self._executor: Callable[[KernelSession], Executor] = lambda session: session
        self.record_to(path)
        self._verify = verify
        self._verification = Verification()
        self._origin: Origin | None = None
        self._notes: tuple[str, ...] = ()
        self._held = ExitStack()
        self._offered: Offered | None = None
        self.session: KernelSession | None = None
        self.workspace: Workspace | None = None
        self._loop: AgentLoop | None = None
        self._emit: Emit = _ignore
        self._tell: Callable[[str], None] = lambda text: self._emit(Notice(text))
        self.events: EventPost | None = None
        self.running: asyncio.Task[Any] | None = None
        """What runs, and its events."""
        self._closed = False

    @property
    def trajectory(self) -> Trajectory | None:
        """What has happened so far; None before the first task."""
        return self._loop.trajectory if self._loop is not None else None

    def record_to(self, path: Path, *, resumes: bool = False) -> None:
        """Which notebook it is; before the first task."""
        self.path = path
        self._recorder = JournalRecorder(path, self._redactor, resumes=resumes)
        self._writer = NotebookWriter(path, self._redactor)

    def go_on_from(self, origin: Origin) -> None:
        """What is restored at the start. Raises: UsageError after the start."""
        if self._closed or self._loop is not None or self.running is not None:
            raise UsageError("an agent goes on with a saved run before its first task only; make a new one")
        if lacking := [name for name in origin.info.masks if name not in self._redactor.patterns]:
            again = " ".join(f"--redact {name}=REGEX" for name in lacking)
            raise UsageError(
                f"what the run has masked so far would be in the record from here on: say {again} again "
                "(Settings.redact), since the notebook keeps the names only"
            )
        self._redactor.learn(Trajectory(origin.info, origin.turns))
        self._origin = origin.masked(self._redactor)

    def change(self, model: Model | None, limits: Limits | None, verify: bool | None) -> None:
        """From the next task on. Raises: BudgetError."""
        self._check_free()
        self._verify = self._verify if verify is None else verify
        if model is None and limits is None:
            return
        check_budget(limits or self._settings.limits, model or self._model)
        self._settings = replace(self._settings, limits=limits or self._settings.limits)
        if model is not None:
            if model.name != self._model.name:
                self._notes = (*self._notes, f"From here on the model is {model.name}.")
            self._replaced.append(self._model)
            self._model = model
        if self._loop is not None and self.session is not None:
            lost = self._loop.lost
            self._loop = self._looped(self.session, self._loop.trajectory)
            self._loop.lost = lost

    def _check_free(self) -> None:
        if self._closed:
            raise UsageError("this agent is closed; make a new one")
        if self.running is not None:
            raise UsageError("this agent runs a task already; it takes one at a time")

    async def run(
        self,
        task: str | None,
        output_type: Any,
        door: SyncDoor | AsyncDoor,
        listener: Emit | None,
        own: str | None = None,
    ) -> Run:
        """One task, to its end. `own`: in place of a task, a cell of the user's."""
        self._check_free()
        check_task(OWN_CELL if own is not None else task, None if self._loop else self._origin)
        check = AnswerCheck(output_type)
        self._verification.cancel("a later task went on from it")
        await self._verification.wait()
        self.running = asyncio.current_task()
        self._runner.door = door
        events = EventPost(door, listener)
        self._desk.begin(events.flush)
        self._emit, self.events = events.emit, events
        try:
            if self._loop is None:
                self._loop = await self._start(goes_on=task is None and own is None)
            assert self.workspace is not None
            before = self.workspace.now
            self._stamp(None)
            stop = await self._turn(self._loop, task, own, check)
        finally:
            self._desk.end()
            self.running = self.events = None
            self._emit = _ignore
            events.flush()
        trajectory = self._loop.trajectory
        turn = replace(trajectory, turns=trajectory.turns[-1:])
        answer = check.value(stop.answer) if stop.reason == "answer" else None
        files = self.workspace.since(before)
        self._verification = Verification(None if self._verify else NOT_ASKED)
        if self._verify:
            self._verification.begin(self.path, self._settings, self._verified, self._launcher)
        spent = (len(turn.steps), turn.usage, turn.cost_usd)
        return Run(answer, stop, *spent, trajectory, self.path, files, self._verification)

    async def _turn(self, loop: AgentLoop, task: str | None, own: str | None, check: AnswerCheck) -> Stop:
        """The task, or the rest of the one that was cut off; with the step that a fork was given."""
        pending = self._origin.pending if self._origin is not None else None
        notes, self._notes, self._origin = self._notes, (), None
        if own is not None:
            return await loop.run(OWN_CELL, notes=notes, first=own_cell(own, loop.trajectory.next_index))
        if task is None:
            return await loop.go_on(check, pending)
        return await loop.run(task + check.description, check, (*notes, *self.person.news()), pending)

    async def _start(self, *, goes_on: bool) -> AgentLoop:
        for found in await asyncio.to_thread(lambda: [*recover_folder(self.path.parent)]):
            self._emit(Notice(found if isinstance(found, str) else brief.recovered(found)))
        origin = self._origin
        if origin is not None and origin.recovered is not None:
            self._emit(Notice(brief.recovered(origin.recovered)))
        if origin is not None and not goes_on:
            origin = self._origin = origin.for_task()
        run = (self._settings, self.person, self._model, self._redactor)
        started = await start(*run, origin, self._tell, self.servers, self._skills, self._launcher)
        session, trajectory = started.session, started.trajectory
        if goes_on:
            trajectory = trajectory.with_notes(started.notes)
        else:
            self._notes = started.notes
        self._emit(SandboxReady(trajectory.info.sandbox))
        self._desk.open(session.waiting, self._tell)
        try:
            self._recorder.begin(trajectory.info)
            if origin is not None:
                # Until the journal has it all again; also the step that was cut off, and what was edited.
                origin.check_unchanged()
                self._writer.write(trajectory)
                self._recorder.again(without_pending(trajectory, origin.pending).turns)
        except BaseException:
            self._recorder.close(saved=True)  # Nothing was done yet; the task may be given again.
            await session.aclose()
            started.held.close()
            raise
        self.session, self.workspace, self._held = session, session.files, started.held
        self.person.waiting = session.waiting
        session.attend(self.person.attendant)
        self._offered = started.offered
        return self._looped(session, trajectory)

    def _looped(self, session: KernelSession, trajectory: Trajectory) -> AgentLoop:
        offered = self._offered
        assert offered is not None
        policy = self._policy(
            self._model,
            self._settings,
            system(self._settings.profile, offered, self._model, self._desk.note),
        )
        return AgentLoop(
            trajectory,
            policy,
            self._executor(session),
            self.person,
            self._recorder,
            self._settings,
            emit=self._on_event,
            approver=self._desk.approver,
            clock=session.waiting.clock,
            prompt_tokens=policy.prompt_tokens,
            cost=self._model.cost,
        )

    def _on_event(self, event: Event) -> None:
        if self._loop is not None:
            if isinstance(event, StepFinished):
                self._writer.maybe_write(self._loop.trajectory)
            elif isinstance(event, TurnFinished):
                self._stamp(expected(event.stop) if self._verify else NOT_ASKED)
                self._writer.write(self._loop.trajectory)
        self._emit(self._desk.masked(event))

    # --- the verdict ---

    def _stamp(self, verdict: Verdict | None) -> None:
        if self._loop is not None:
            self._loop.trajectory = replace(self._loop.trajectory, verdict=verdict)

    def _verified(self, verdict: Verdict) -> None:
        self._stamp(verdict)
        if self._loop is not None:
            self._writer.write(self._loop.trajectory)

    async def close(self) -> None:
        """Ends everything, honestly. May be called twice."""
        if self._closed:
            return
        self._closed = True
        if self.running is not None:
            self.running.cancel()
            await asyncio.wait([self.running])
        try:
            await self._verification.wait()
        finally:
            self._verification.cancel("the agent was closed before the replay had finished")
            await to_the_end(self._ended())

    async def _ended(self) -> None:
        await self._verification.wait()
        try:
            if self._loop is not None:
                self._writer.write(self._loop.trajectory)
            self._recorder.close(saved=True)
        finally:  # Also when the disk is full, the kernel ends.
            self._recorder.close()
            self._runner.close()
            try:
                if self.session is not None:
                    await self.session.aclose()
            finally:
                await self.servers.aclose()
            self._held.close()
            for model in (*self._replaced, self._model):
                await model.aclose()


def _ignore(event: Event) -> None:
    pass
