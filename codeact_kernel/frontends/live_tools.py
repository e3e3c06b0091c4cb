"""Owns the real tools of a live replay: who allows calls, and whether they are as they were recorded."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from ..config import Settings
from ..exceptions import UsageError
from ..live import Live
from ..notebook.cells import setup_spec
from ..notebook.null import NullRecorder
from ..replay import Drift
from ..sandbox.session import to_the_end
from ..tools.registry import ToolRegistry
from ..tools.toolkits import Tools
from ..trajectory import Trajectory
from ..wire.frames import FINAL_ANSWER
from ..wire.messages import ToolSchema, ToolSpec
from .approval_modes import Approve
from .approving import Asker, Desk
from .eliciting import Eliciting
from .portal import PortalRunner
from .server_configs import Mcp, configs_of
from .servers import Servers

MAX_TOLD = 100


@dataclass(frozen=True)
class LiveTools:
    """The real tools of a live replay; which calls `asker` is asked about (None: those the tools say).
    `mcp`: as of `Agent`; `tell`: what the user should know of these servers, on the portal thread; `yes`: all
    calls are made, whatever is said of them."""

    tools: Tools
    approve: Approve | None = None
    asker: Asker | None = None
    yes: bool = False
    mcp: Mcp | None = None
    tell: Callable[[str], None] = lambda text: None


@dataclass(frozen=True)
class Opened:
    """Tools that can be called. `drifts`: which of them are not as they were."""

    live: Live
    drifts: tuple[Drift, ...]


@asynccontextmanager
async def opened(
    live: LiveTools, trajectory: Trajectory, settings: Settings, runner: PortalRunner
) -> AsyncIterator[Opened]:
    """On the portal; servers end with it. Raises UsageError when a tool that the run called is not there."""
    registry = ToolRegistry(live.tools, runner)
    servers = Servers(configs_of(live.mcp), registry)
    desk = Desk(registry, runner, live.approve, live.asker, limits=settings.tools)
    servers.ask = Eliciting(desk.attention, runner)
    servers.modes = desk.modes
    try:
        await servers.open(live.tell)
        now = await servers.look()
        asked = {call.tool for step in trajectory.steps for call in step.observation.tool_calls}
        if missing := sorted(tool for tool in asked - {FINAL_ANSWER} if not registry.has(tool)):
            raise UsageError(
                f"the run called {', '.join(map(repr, missing[:10]))}, which the given tools do not have; "
                "give the file that defines them with --tools, or their servers with --mcp"
            )
        approver = None if live.yes else desk.approver
        called = Live(registry, NullRecorder(), settings.tools, approver)
        yield Opened(called, tuple(_changed(trajectory, now, asked)))
    finally:
        await to_the_end(servers.aclose())


def _changed(trajectory: Trajectory, offered: Iterable[ToolSpec], asked: set[str]) -> Iterator[Drift]:
    """What servers say of the tools that the run called, where that is not what they said then."""
    spec = setup_spec(trajectory.info.setup)
    then = {tool.name: tool for tool in spec.tools} if spec is not None else {}
    now = {tool.name: tool for tool in offered}
    for name in sorted(asked & then.keys() & now.keys())[:MAX_TOLD]:
        old, new = then[name].schema, now[name].schema
        if old is not None and new is not None and (parts := _differing(old, new)):
            yield Drift("profile", f"{name}: its server says something else now of its {parts}")


def _differing(then: ToolSchema, now: ToolSchema) -> str:
    """`arguments and result`; "" where nothing differs that a call depends on."""
    parts = (("arguments", then.input, now.input), ("result", then.output, now.output))
    return " and ".join(what for what, old, new in parts if old != new)
