"""Owns runs without a model: cells given by the user, and the replay of a saved notebook."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..agent import AgentLoop
from ..config import Limits, Settings
from ..events import Event, SandboxReady
from ..interfaces import Emit
from ..notebook.load import load
from ..notebook.null import NullRecorder
from ..replay import ReplayReport, StepVerdict, replay
from ..sandbox.session import KernelSession
from ..sandbox.workspace import Workspace
from ..tools.registry import ToolRegistry
from ..trajectory import Observation, Reply, RunInfo, Trajectory
from ..wire.messages import Json
from ..wire.setup import SetupSpec, setup_source
from . import cage
from .portal import EventPost, PortalRunner, SyncDoor
from .recorded_data import hosted_setup, provided

RECORDED_SHARE = 10
"""A notebook's limit of a step counts up to so many times the default one."""


class CellsPolicy:
    """A Policy that runs given cells, one after the other, whatever comes of them."""

    def __init__(self, cells: Iterable[str]) -> None:
        self._cells = list(cells)

    @property
    def done(self) -> bool:
        return not self._cells

    async def act(self, trajectory: Trajectory, emit: Emit) -> Reply:
        return Reply(code=self._cells.pop(0)) if self._cells else Reply(answer="")


def exec_cells(
    cells: Sequence[str],
    *,
    tools: Iterable[Any] = (),
    settings: Settings = Settings(),
    on_event: Callable[[Event], None] | None = None,
    at_end: Callable[[Workspace], None] | None = None,
) -> tuple[Observation, ...]:
    """Runs `cells` in one isolated kernel, going on after a failed one; what each of them showed.

    Of the limits only the step's own hold. Tools, `on_event` and `at_end` run on the calling thread;
    `at_end` when all is over, also when it failed, before the workspace goes.
    Raises: SandboxError, ToolDefinitionError, KeyboardInterrupt.
    """
    cage.warn(settings.profile)
    limits = replace(
        settings.limits,
        max_steps=None,
        max_seconds=None,
        max_tokens=None,
        max_cost_usd=None,
        repeated_failures=0,
    )
    door, runner = SyncDoor(), PortalRunner()
    runner.door = door
    registry = ToolRegistry(tools, runner)

    async def end(workspace: Workspace | None) -> None:
        if workspace is not None and at_end is not None:
            await door.at_caller(lambda: at_end(workspace))

    events = EventPost(door, on_event)
    return door.run(_exec(cells, registry, replace(settings, limits=limits), events, end))


async def _exec(
    cells: Sequence[str],
    registry: ToolRegistry,
    settings: Settings,
    events: EventPost,
    end: Callable[[Workspace | None], Awaitable[None]],
) -> tuple[Observation, ...]:
    session = KernelSession(settings)
    source = setup_source(SetupSpec("exec", settings.profile.allow_imports, registry.specs(), ()))
    policy = CellsPolicy(cells)
    info = RunInfo("exec", "none", "", source)
    loop = AgentLoop(Trajectory(info), policy, session, registry, NullRecorder(), settings, emit=events.emit)
    try:
        await session.start(source)
        events.emit(SandboxReady(cage.entry_of(session)))
        while not policy.done:  # A cell that calls final_answer ends a turn, not the file.
            await loop.run("")
    finally:
        try:
            events.flush()
            await end(session.files)
        finally:
            await session.aclose()
    return tuple(step.observation for step in loop.trajectory.steps)


def replay_notebook(
    notebook: Path | Trajectory,
    *,
    settings: Settings = Settings(),
    on_event: Callable[[StepVerdict], None] | None = None,
    on_ready: Callable[[SandboxReady], None] | None = None,
) -> ReplayReport:
    """Runs a saved trajectory again in a fresh isolated kernel, its tools answered from its tape.

    `on_event` gets each step's verdict as it is known; `on_ready` is called before, with the cage.
    No tool is called. The recorded allow-list of imports is in force, within the ceiling of the profile.
    Data that the profile does not name is what the notebook carries; a step has the time it had when it was
    recorded, unless `settings` limit it otherwise than by default. Everything else is as `settings`
    say; recorded paths are never used.
    Raises: NotebookError, SandboxError, UsageError, KeyboardInterrupt.
    """
    cage.warn(settings.profile)
    trajectory = notebook if isinstance(notebook, Trajectory) else load(notebook)
    door = SyncDoor()

    def tell(verdict: StepVerdict) -> None:
        if on_event is not None:
            door.post(lambda: on_event(verdict))

    def ready(event: SandboxReady) -> None:
        if on_ready is not None:
            door.post(lambda: on_ready(event))

    return door.run(_replay(trajectory, settings, tell, ready))


def limits_of(given: Limits, recorded: Json) -> Limits:
    """The limits of a replay. A step took as long as the recorded limit let it, so that counts where the
    user has named none; but the notebook may be a stranger's, and does not say what is without end."""
    default = Limits().step_timeout_s
    if given.step_timeout_s != default or default is None:
        return given
    if isinstance(recorded, bool) or not isinstance(recorded, int | float):
        return given
    return replace(given, step_timeout_s=max(default, min(recorded, RECORDED_SHARE * default)))


async def _replay(
    trajectory: Trajectory,
    settings: Settings,
    on_verdict: Callable[[StepVerdict], None],
    on_ready: Callable[[SandboxReady], None],
) -> ReplayReport:
    setup = hosted_setup(trajectory.info.setup, settings.profile)
    limits = limits_of(settings.limits, trajectory.info.limits.get("step_timeout_s"))
    verdicts: list[StepVerdict] = []
    with provided(trajectory, settings.profile) as data:
        # What the notebook asks to import is in its setup.
        profile = replace(settings.profile, allow_imports=(), data=data)
        session = KernelSession(replace(settings, profile=profile, limits=limits))
        try:
            await session.start(setup)
            on_ready(SandboxReady(cage.entry_of(session)))
            async for verdict in replay(session, trajectory):
                verdicts.append(verdict)
                on_verdict(verdict)
        finally:
            await session.aclose()
    return ReplayReport(tuple(verdicts))
