"""Owns runs without a model: cells given by the user."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace

from ..agent import AgentLoop
from ..config import Settings
from ..events import Event, Notice, SandboxReady
from ..interfaces import Emit
from ..notebook.null import NullRecorder
from ..sandbox.session import KernelSession, to_the_end
from ..sandbox.workspace import Workspace
from ..tools.registry import ToolRegistry
from ..tools.toolkits import Tools
from ..trajectory import Observation, Reply, RunInfo, Trajectory
from ..wire.setup import SetupSpec, setup_source
from ..wire.setup_skills import Skill
from . import cage
from .approval_modes import Approve
from .approving import Asker, Desk
from .approving_jupyter import asker_here
from .eliciting import Eliciting
from .portal import EventPost, PortalRunner, SyncDoor
from .server_configs import Mcp, configs_of
from .servers import Servers
from .skill_offers import Folders, skills_of, usable


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
    tools: Tools = (),
    settings: Settings = Settings(),
    on_event: Callable[[Event], None] | None = None,
    at_end: Callable[[Workspace], None] | None = None,
    approve: Approve | None = None,
    asker: Asker | None = None,
    mcp: Mcp | None = None,
    skills: Folders | None = None,
) -> tuple[Observation, ...]:
    """Runs `cells` in one isolated kernel, going on after a failed one; what each of them showed.

    Of the limits only the step's own hold. Tools, `on_event` and `at_end` run on the calling thread;
    `at_end` when all is over, also when it failed, before the workspace goes. `approve`, `asker`,
    `mcp`, `skills`: as of `Agent`. Raises: UsageError, SandboxError, ToolDefinitionError, KeyboardInterrupt.
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
    servers = Servers(configs_of(mcp), registry)
    found = skills_of(skills, settings.profile.allow_imports)
    desk = Desk(registry, runner, approve, asker or asker_here(), limits=settings.tools)
    servers.ask = Eliciting(desk.attention, runner)
    servers.modes = desk.modes

    async def end(workspace: Workspace | None) -> None:
        if workspace is not None and at_end is not None:
            await door.at_caller(lambda: at_end(workspace))

    events = EventPost(door, on_event)
    servers.emit = events.emit
    settings = replace(settings, limits=limits)

    def tell(text: str) -> None:
        events.emit(Notice(text))

    async def served() -> tuple[Observation, ...]:
        try:
            await servers.open(tell)
            offered = usable(found, registry.specs(), registry.modules(), tell)
            return await _exec(cells, registry, offered, desk, settings, events, end)
        finally:
            await to_the_end(servers.aclose())

    return door.run(served())


async def _exec(
    cells: Sequence[str],
    registry: ToolRegistry,
    skills: tuple[Skill, ...],
    desk: Desk,
    settings: Settings,
    events: EventPost,
    end: Callable[[Workspace | None], Awaitable[None]],
) -> tuple[Observation, ...]:
    session = KernelSession(settings)
    imports, specs, modules = settings.profile.allow_imports, registry.specs(), registry.modules()
    source = setup_source(SetupSpec("exec", imports, specs, (), modules, skills=skills))
    policy = CellsPolicy(cells)
    info = RunInfo("exec", "none", "", source)
    loop = AgentLoop(
        Trajectory(info),
        policy,
        session,
        registry,
        NullRecorder(),
        settings,
        emit=lambda event: events.emit(desk.masked(event)),
        approver=desk.approver,
        clock=session.waiting.clock,
    )
    try:
        await session.start(source)
        events.emit(SandboxReady(cage.entry_of(session)))
        desk.begin(events.flush)
        desk.open(session.waiting, lambda text: events.emit(Notice(text)))
        while not policy.done:  # A cell that calls final_answer ends a turn, not the file.
            await loop.run("")
    finally:
        try:
            events.flush()
            await end(session.files)
        finally:
            await session.aclose()
    return tuple(step.observation for step in loop.trajectory.steps)
