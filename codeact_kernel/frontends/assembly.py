"""Owns the Python API and the wiring: the only place that picks concrete classes."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from ..agent import AgentLoop
from ..budget import check_budget
from ..config import Limits, SandboxProfile, Settings
from ..events import Event, SandboxReady, StepFinished, TurnFinished
from ..exceptions import UsageError
from ..interfaces import Emit, Model
from ..models.spec import DEFAULT_SPEC, load_model
from ..notebook.data import record_data
from ..notebook.journal import JournalRecorder
from ..notebook.redact import Redactor
from ..notebook.writer import NotebookWriter
from ..outputs import WorkspaceFile
from ..policy import CodeActPolicy
from ..prompt import system_prompt
from ..sandbox.artefacts import Copied, copy_artefacts
from ..sandbox.session import KernelSession
from ..sandbox.workspace import Workspace
from ..tools.registry import ToolRegistry
from ..trajectory import RunInfo, Stop, StopReason, Trajectory, Usage
from ..wire.setup import SetupSpec, setup_source
from . import cage
from .answers import AnswerCheck
from .closing import Closing
from .imports import allowed_imports
from .portal import AsyncDoor, EventPost, PortalRunner, SyncDoor

_END = object()


@dataclass(frozen=True)
class Run:
    """One finished task.

    `answer`: the value given, converted to the output type; None unless `stop_reason` is "answer".
    `trajectory`: the whole conversation so far; `path`: its notebook. Usage and cost are the task's, and
    so are `files`: what it made or changed in the workspace, as that is at its end.
    """

    answer: Any
    stop: Stop
    steps: int
    usage: Usage
    cost_usd: float | None
    trajectory: Trajectory
    path: Path
    files: tuple[WorkspaceFile, ...] = ()

    @property
    def stop_reason(self) -> StopReason:
        """Why the task ended; `stop.detail` says more."""
        return self.stop.reason


class Agent(Closing):
    """Solves tasks by writing Python cells that run in an isolated kernel.

    Args:
        tools: made with `tool`, or plain typed functions. They run on the host.
        model: a `Model`, or a spec such as "anthropic:NAME" or "scripted:FILE.jsonl".
        limits, profile: budgets and the sandbox; both override what `settings` says.
        sandbox: "auto" (the best cage there is), "A", "B", "C" (at least this tier) or "none" (no cage:
            warns); overrides the profile's.
        out: the trajectory notebook; default `codeact-<time>.ipynb` in the current folder.

    Several tasks given to one agent share its kernel and its conversation. Use it as a context
    manager, or call `close`. Raises UsageError, CredentialsError, BudgetError here already;
    SandboxError when the first task starts.
    """

    def __init__(
        self,
        tools: Iterable[Any] = (),
        *,
        model: str | Model | None = None,
        limits: Limits | None = None,
        profile: SandboxProfile | None = None,
        sandbox: Literal["auto", "A", "B", "C", "none"] | None = None,
        settings: Settings = Settings(),
        out: str | Path | None = None,
    ) -> None:
        profile = cage.with_sandbox(profile or settings.profile, sandbox)
        cage.warn(profile)
        self._settings = replace(settings, limits=limits or settings.limits, profile=profile)
        self._runner = PortalRunner()
        self._registry = ToolRegistry(tools, self._runner)
        self._model = load_model(model or DEFAULT_SPEC) if model is None or isinstance(model, str) else model
        check_budget(self._settings.limits, self._model)
        name = f"codeact-{datetime.now():%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:4]}.ipynb"
        self._path = Path(out if out is not None else name).absolute()
        self._recorder = JournalRecorder(self._path)
        self._session: KernelSession | None = None
        self._workspace: Workspace | None = None
        self._writer = NotebookWriter(self._path)
        self._loop: AgentLoop | None = None
        self._emit: Emit = _ignore
        self._running: asyncio.Task[Any] | None = None
        self._closed = False

    @property
    def trajectory(self) -> Trajectory | None:
        """What has happened so far; None before the first task."""
        return self._loop.trajectory if self._loop is not None else None

    @property
    def workspace(self) -> Path | None:
        """The working folder of the kernel; None before the first task. A temporary one is gone after
        `close`."""
        return Path(self._workspace.path) if self._workspace is not None else None

    @property
    def files(self) -> tuple[WorkspaceFile, ...]:
        """What all tasks so far made or changed in the workspace and is still there. Looks at the disk."""
        return self._workspace.left() if self._workspace is not None else ()

    def save_files(self, folder: str | Path) -> tuple[Copied, ...]:
        """Copies `files` into `folder`, which is made if missing; says what became of each.

        Overwrites nothing, follows no links, and gives hidden or unprintable names plain ones: the code
        that chose them is not trusted. Raises: UsageError when `folder` cannot be made, or a temporary
        workspace is gone.
        """
        workspace = self.workspace
        if workspace is None:
            return ()
        if not workspace.is_dir():
            raise UsageError(f"the workspace {str(workspace)!r} is gone; save its files before `close`")
        return copy_artefacts(workspace, (file.name for file in self.files), folder)

    # --- doors ---

    async def run(self, task: str, *, output_type: Any = None) -> Run:
        """Runs one task to its end. Raises ModelError, SandboxError; the notebook is saved first."""
        door = AsyncDoor()
        return await door.run(self._run(task, output_type, door, None))

    def run_sync(
        self, task: str, *, output_type: Any = None, on_event: Callable[[Event], None] | None = None
    ) -> Run:
        """`run` for synchronous code, also inside a running event loop.

        Synchronous tools and `on_event` run on the calling thread. Ctrl-C stops the cell, keeps its
        state, saves the notebook and raises KeyboardInterrupt.
        """
        door = SyncDoor()
        return door.run(self._run(task, output_type, door, on_event))

    async def stream(self, task: str, *, output_type: Any = None) -> AsyncIterator[Event]:
        """Events of one task as they happen, `TurnFinished` last. Leaving early interrupts the task."""
        door = AsyncDoor()
        events: asyncio.Queue[Any] = asyncio.Queue()

        run = self._run(task, output_type, door, events.put_nowait)
        running = asyncio.ensure_future(door.run(run))
        running.add_done_callback(lambda _: events.put_nowait(_END))
        try:
            while (event := await events.get()) is not _END:
                yield event
            running.result()
        finally:
            if not running.done():
                running.cancel()
                await asyncio.wait([running])

    def close(self) -> None:
        """Ends the kernel and saves the notebook, after interrupting a task that runs. May be called
        twice."""
        SyncDoor().run(self._close())

    async def aclose(self) -> None:
        """`close`, awaited."""
        await AsyncDoor().run(self._close())

    # --- on the portal ---

    async def _run(
        self, task: str, output_type: Any, door: SyncDoor | AsyncDoor, listener: Emit | None
    ) -> Run:
        if self._closed:
            raise UsageError("this agent is closed; make a new one")
        if self._running is not None:
            raise UsageError("this agent runs a task already; it takes one at a time")
        if not task.strip():
            raise UsageError(f"the task is empty: {task!r}; say what is to be done")
        check = AnswerCheck(output_type)
        self._running = asyncio.current_task()
        self._runner.door = door
        events = EventPost(door, listener)
        self._emit = events.emit
        try:
            if self._loop is None:
                self._loop = await self._start()
            assert self._workspace is not None
            before = self._workspace.now
            stop = await self._loop.run(task + check.description, check)
        finally:
            self._running = None
            self._emit = _ignore
            events.flush()
        trajectory = self._loop.trajectory
        turn = replace(trajectory, turns=trajectory.turns[-1:])
        answer = check.value(stop.answer) if stop.reason == "answer" else None
        files = self._workspace.since(before)
        return Run(answer, stop, len(turn.steps), turn.usage, turn.cost_usd, trajectory, self._path, files)

    async def _start(self) -> AgentLoop:
        profile = self._settings.profile
        spec = SetupSpec(uuid.uuid4().hex[:12], profile.allow_imports, self._registry.specs(), ())
        # For the notebook only: the kernel of this session has the data in its workspace.
        files = await asyncio.to_thread(record_data, profile.data, Redactor.of_host())
        session = KernelSession(self._settings)
        versions = await session.start(setup_source(spec))
        info = RunInfo(
            spec.run_id,
            self._model.name,
            datetime.now(UTC).isoformat(timespec="seconds"),
            setup_source(replace(spec, files=files)),
            versions,
            asdict(self._settings.limits),
            json.loads(json.dumps(asdict(profile), default=str)),
            cage.entry_of(session),
        )
        self._emit(SandboxReady(info.sandbox))
        try:
            self._recorder.begin(info)
        except BaseException:
            await session.aclose()
            raise
        self._session, self._workspace = session, session.files
        system = _system(profile, self._registry, self._model)
        policy = CodeActPolicy(self._model, self._settings, system)
        return AgentLoop(
            Trajectory(info),
            policy,
            session,
            self._registry,
            self._recorder,
            self._settings,
            emit=self._on_event,
            prompt_tokens=policy.prompt_tokens,
            cost=self._model.cost,
        )

    def _on_event(self, event: Event) -> None:
        if self._loop is not None:
            if isinstance(event, StepFinished):
                self._writer.maybe_write(self._loop.trajectory)
            elif isinstance(event, TurnFinished):
                self._writer.write(self._loop.trajectory)
        self._emit(event)

    async def _close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])
        try:
            if self._loop is not None:
                self._writer.write(self._loop.trajectory)
            self._recorder.close(saved=True)
        finally:  # Also when the disk is full, the kernel ends.
            self._recorder.close()
            self._runner.close()
            if self._session is not None:
                await self._session.aclose()
            await self._model.aclose()


def _ignore(event: Event) -> None:
    pass


def _system(profile: SandboxProfile, registry: ToolRegistry, model: Model) -> str:
    names = ", ".join(f"data/{path.name}" for path in profile.data)
    note = f"The working folder holds {names}." if names else ""
    imports = allowed_imports(profile.allow_imports)
    return system_prompt(registry.specs(), model.instructions, imports, note, None)
