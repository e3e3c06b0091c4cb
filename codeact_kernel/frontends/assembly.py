"""Owns the Python API and the wiring: the only place that picks concrete classes."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal

from ..budget import check_budget
from ..config import Limits, SandboxProfile, Settings
from ..events import Event
from ..exceptions import UsageError
from ..interfaces import Model
from ..models.spec import DEFAULT_SPEC, load_model
from ..outputs import WorkspaceFile
from ..sandbox.artefacts import Copied, copy_artefacts
from ..sandbox.launching import Launcher
from ..tools.registry import ToolRegistry
from ..tools.toolkits import Tools
from ..trajectory import Trajectory
from . import cage
from .approval_modes import Approve
from .approving import Asker, Desk
from .approving_jupyter import asker_here
from .closing import Closing
from .eliciting import Eliciting
from .finished import Run
from .going_on import GoingOn
from .interactive import Interactive
from .portal import AsyncDoor, PortalRunner, SyncDoor
from .profiling import Meter, Timings
from .server_configs import Mcp, configs_of
from .servers import Servers
from .skill_offers import Folders, skills_of
from .timed_work import TimedWork, metered
from .work import Work

__all__ = ["Agent", "Run"]
_END = object()


class Agent(GoingOn, Interactive, Closing):
    """Solves tasks by writing Python cells that run in an isolated kernel.

    Args:
        tools: made with `tool`, or plain typed functions. They run on the host. A mapping puts them into
            modules: `{"shop": [refund, total]}` is `from toolkits import shop` in the kernel.
        model: a `Model`, or a spec such as "anthropic:NAME" or "scripted:FILE.jsonl".
        limits, profile: budgets and the sandbox; both override what `settings` says.
        sandbox: "auto" (the best cage there is), "A", "B", "C" (at least this tier) or "none" (no cage:
            warns); overrides the profile's.
        out: the trajectory notebook; default `codeact-<time>.ipynb` in the current folder.
        verify: whether a finished task is replayed once from its notebook (`Run.verified`).
        redact: name -> regular expression (RE2): what matches is written as `[name N]` in the record, beside
            what `settings` say.
        approve: which calls a person is asked about: "allow" (the default: none), "ask", "ask-writes" (all
            but those declared as reading), "deny"; or by tool, `{"refund": "ask", "*": "allow"}`, also a
            function of the arguments. What a tool says itself (`tool(approval=…)`) holds if it is stricter.
        asker: where a person is asked; by default the terminal, or the notebook that this runs in.
        launcher: makes the kernels, in a fraction of the time; the caller's to close.
        mcp: MCP servers: a file such as "mcp.json", or what it holds as a mapping, or several. Their tools
            are modules: `from mcp_servers import filesystem`. They start with the first task, outside of the
            sandbox, and end with the agent. No file is read that is not named.
        skills: folders of skills (`codeact skill save`): `from skills import top_customers`. They travel in
            the notebook, and run in the sandbox only.
        timings: measure where the time of each task goes (`Run.timings`).

    Several tasks given to one agent share its kernel and its conversation. Use it as a context
    manager, or call `close`. Raises UsageError, CredentialsError, BudgetError here already;
    SandboxError when the first task starts.
    """

    def __init__(
        self,
        tools: Tools = (),
        *,
        model: str | Model | None = None,
        limits: Limits | None = None,
        profile: SandboxProfile | None = None,
        sandbox: Literal["auto", "A", "B", "C", "none"] | None = None,
        settings: Settings = Settings(),
        out: str | Path | None = None,
        verify: bool = True,
        redact: Mapping[str, str] | None = None,
        approve: Approve | None = None,
        asker: Asker | None = None,
        launcher: Launcher | None = None,
        mcp: Mcp | None = None,
        skills: Folders | None = None,
        timings: bool = False,
    ) -> None:
        profile = cage.with_sandbox(profile or settings.profile, sandbox)
        cage.warn(profile)
        masks = (*settings.redact, *(f"{name}={pattern}" for name, pattern in (redact or {}).items()))
        settings = replace(settings, limits=limits or settings.limits, profile=profile, redact=masks)
        runner = PortalRunner()
        self._meter = meter = Meter() if timings else None
        registry = ToolRegistry(tools if meter is None else metered(meter, tools), runner)
        servers = Servers(configs_of(mcp), registry)
        loaded = load_model(model or DEFAULT_SPEC) if model is None or isinstance(model, str) else model
        check_budget(settings.limits, loaded)
        self._out = out
        name = f"codeact-{datetime.now():%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:4]}.ipynb"
        path = Path(out if out is not None else name).absolute()
        desk = Desk(registry, runner, approve, asker or asker_here(), limits=settings.tools)
        servers.ask = Eliciting(desk.attention, runner)
        servers.modes = desk.modes
        if meter is not None:
            servers.offered = partial(metered, meter)
        work = Work if meter is None else partial(TimedWork, meter)
        found = skills_of(skills, profile.allow_imports)
        parts = (settings, registry, runner, loaded, path, desk, launcher, servers, found)
        self._work = work(*parts, verify=verify)

    @property
    def trajectory(self) -> Trajectory | None:
        """What has happened so far; None before the first task."""
        return self._work.trajectory

    @property
    def path(self) -> Path:
        """The trajectory notebook; there after the first task."""
        return self._work.path

    @property
    def timings(self) -> Timings | None:
        """Where the time of the last task went, so far, also when it failed; with `timings=True`."""
        return None if self._meter is None else self._meter.timings()

    @property
    def workspace(self) -> Path | None:
        """The working folder of the kernel; None before the first task. A temporary one is gone after
        `close`."""
        return Path(self._work.workspace.path) if self._work.workspace is not None else None

    @property
    def files(self) -> tuple[WorkspaceFile, ...]:
        """What all tasks so far made or changed in the workspace and is still there. Looks at the disk."""
        return self._work.workspace.left() if self._work.workspace is not None else ()

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

    async def run(self, task: str | None, *, output_type: Any = None) -> Run:
        """Runs one task to its end. Raises ModelError, SandboxError; the notebook is saved first.

        The answer is there at once; `await run.verified()` waits for the replay that proves the notebook.
        """
        door = AsyncDoor()
        return await door.run(self._work.run(task, output_type, door, None))

    def run_sync(
        self,
        task: str | None,
        *,
        output_type: Any = None,
        on_event: Callable[[Event], None] | None = None,
        on_tick: Callable[[], object] | None = None,
    ) -> Run:
        """`run` for synchronous code, also inside a running event loop.

        Synchronous tools and `on_event` run on the calling thread, and `on_tick` some twenty times a second
        while nothing else does. Ctrl-C stops the cell, keeps its state, saves the notebook and raises
        KeyboardInterrupt.
        """
        door = SyncDoor(on_tick)
        return door.run(self._work.run(task, output_type, door, on_event))

    async def run_cell(self, code: str) -> Run:
        """Runs a cell of the user's own in the agent's kernel, with its variables and tools; no model is
        asked. It is a turn of the trajectory (`stop_reason` "own_cell"), and the model sees it with the next
        task. Raises: SandboxError."""
        door = AsyncDoor()
        return await door.run(self._work.run(None, None, door, None, code))

    def run_cell_sync(self, code: str, *, on_event: Callable[[Event], None] | None = None) -> Run:
        """`run_cell` for synchronous code; else as `run_sync`."""
        door = SyncDoor()
        return door.run(self._work.run(None, None, door, on_event, code))

    def change(
        self,
        *,
        model: str | Model | None = None,
        limits: Limits | None = None,
        verify: bool | None = None,
    ) -> None:
        """Another model, other budgets, or whether it is replayed, from the next task on; the kernel and the
        conversation stay.
        Raises: UsageError while a task runs, CredentialsError, BudgetError."""
        loaded = load_model(model) if isinstance(model, str) else model
        self._work.change(loaded, limits, verify)

    async def stream(
        self, task: str | None, *, output_type: Any = None, cell: str | None = None
    ) -> AsyncIterator[Event]:
        """Events of one task as they happen, `TurnFinished` last. Leaving early interrupts the task.
        `cell`: in place of a task, a cell of the user's (`run_cell`)."""
        door = AsyncDoor()
        events: asyncio.Queue[Any] = asyncio.Queue()

        run = self._work.run(task, output_type, door, events.put_nowait, cell)
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
        """Ends the kernel and saves the notebook, after interrupting a task that runs, and waiting for the
        replay of one that has ended (Ctrl-C ends that, and the notebook says so). May be called twice."""
        SyncDoor().run(self._work.close())

    async def aclose(self) -> None:
        """`close`, awaited."""
        await AsyncDoor().run(self._work.close())
