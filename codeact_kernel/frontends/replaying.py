"""Owns the replay of a saved run in a kernel of its own: with which limits, imports and data."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

from ..config import Limits, Settings
from ..events import SandboxReady
from ..live import Live
from ..notebook.edits import Edited, load_edited
from ..profile_drift import profile_drift
from ..rebuild import TapeCalls
from ..replay import ReplayReport, StepVerdict, counted, replay
from ..sandbox.launching import Launcher
from ..sandbox.session import KernelSession
from ..trajectory import Trajectory
from ..unrepeatable import remarks
from ..wire.messages import Json
from . import cage
from .approving import Desk
from .live_tools import LiveTools, opened
from .portal import PortalRunner, SyncDoor
from .recorded_data import hosted_setup, provided, refused_imports

SEVERAL = 3
MAX_EDITS = 20
"""Changes by hand that are told."""
RECORDED_SHARE = 10
"""A notebook's limit of a step counts up to so many times the default one."""


def replay_notebook(
    notebook: str | Path | Trajectory | Edited,
    *,
    settings: Settings = Settings(),
    on_event: Callable[[StepVerdict], None] | None = None,
    on_ready: Callable[[SandboxReady], None] | None = None,
    to: int | None = None,
    strict: bool = False,
    excepted: Iterable[str] = (),
    live: LiveTools | None = None,
    launcher: Launcher | None = None,
) -> ReplayReport:
    """Runs a saved trajectory again in a fresh isolated kernel, its tools answered from its tape.

    `on_event` gets each step's verdict as it is known; `on_ready` is called before, with the cage.
    No tool is called, unless `live` brings some. The recorded allow-list of imports is in force, within the
    ceiling of the profile. Data that the profile does not name is what the notebook carries; a step has the
    time it had when it was recorded, unless `settings` limit it otherwise than by default. Everything else
    is as `settings` say; recorded paths are never used. `to`: the last step that is run. `strict`: what it
    runs on counts too; `excepted`: kinds of drift that do not count. What a person has changed in the
    notebook is run as it stands there, and told in the remarks. `launcher`: makes the kernel.
    Raises: NotebookError, SandboxError, UsageError, KeyboardInterrupt.
    """
    cage.warn(settings.profile)
    if isinstance(notebook, str | Path):
        notebook = load_edited(notebook)
    edited = notebook if isinstance(notebook, Edited) else Edited(notebook)
    trajectory = edited.trajectory
    door = SyncDoor()

    def tell(verdict: StepVerdict) -> None:
        if on_event is not None:
            door.post(lambda: on_event(verdict))

    def ready(event: SandboxReady) -> None:
        if on_ready is not None:
            door.post(lambda: on_ready(event))

    runner = PortalRunner()
    runner.door = door
    run = partial(replay_trajectory, trajectory, settings, tell, ready, to=to, launcher=launcher)

    async def called(tools: LiveTools) -> ReplayReport:
        async with opened(tools, trajectory, settings, runner) as real:
            report = await run(live=real.live)
            return replace(report, profile=(*report.profile, *real.drifts))

    try:
        report = door.run(run() if live is None else called(live))
    finally:
        runner.close()
    told = tuple(edit.text for edit in edited.edits[:MAX_EDITS])
    return replace(
        report, remarks=(*told, *report.remarks), counted=counted(strict=strict, excepted=excepted)
    )


def launcher_for(runs: int) -> AbstractContextManager[Launcher | None]:
    """For so many runs, one after the other: only several are worth the imports of a launcher, which is ready
    when the first has been replayed."""
    return Launcher() if runs >= SEVERAL else nullcontext()


def limits_of(given: Limits, recorded: Json) -> Limits:
    """The limits of a replay. A step took as long as the recorded limit let it, so that counts where the
    user has named none; but the notebook may be a stranger's, and does not say what is without end."""
    default = Limits().step_timeout_s
    if given.step_timeout_s != default or default is None:
        return given
    if isinstance(recorded, bool) or not isinstance(recorded, int | float):
        return given
    return replace(given, step_timeout_s=max(default, min(recorded, RECORDED_SHARE * default)))


def _ignore(_: object) -> None:
    pass


async def replay_trajectory(
    trajectory: Trajectory,
    settings: Settings,
    on_verdict: Callable[[StepVerdict], object] = _ignore,
    on_ready: Callable[[SandboxReady], object] = _ignore,
    *,
    to: int | None = None,
    live: Live | None = None,
    launcher: Launcher | None = None,
) -> ReplayReport:
    """`replay_notebook` for callers on the portal thread, where the callbacks run too.

    Raises: SandboxError, UsageError.
    """
    setup = hosted_setup(trajectory.info.setup, settings.profile)
    limits = limits_of(settings.limits, trajectory.info.limits.get("step_timeout_s"))
    verdicts: list[StepVerdict] = []
    with provided(trajectory, settings.profile) as data:
        # What the notebook asks to import is in its setup.
        profile = replace(settings.profile, allow_imports=(), data=data)
        session = KernelSession(replace(settings, profile=profile, limits=limits), launcher=launcher)
        try:
            versions, sandbox = await session.start(setup), cage.entry_of(session)
            on_ready(SandboxReady(sandbox))
            if live is not None and isinstance(live.approver, Desk):
                live.approver.attention.waiting = session.waiting
            handler = TapeCalls if live is None else live.handler
            async for verdict in replay(session, trajectory, to=to, handler=handler):
                verdicts.append(verdict)
                on_verdict(verdict)
        finally:
            await session.aclose()
    refused = refused_imports(trajectory, settings.profile)
    drifts = profile_drift(trajectory.info, trajectory.steps, versions, sandbox, refused)
    return ReplayReport(tuple(verdicts), drifts, remarks(trajectory, verdicts, to))
