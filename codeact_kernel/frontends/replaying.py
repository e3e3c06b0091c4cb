"""Owns the replay of a saved run in a kernel of its own: with which limits, imports and data."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from ..config import Limits, Settings
from ..events import SandboxReady
from ..notebook.load import load
from ..replay import ReplayReport, StepVerdict, counted, replay
from ..sandbox.session import KernelSession
from ..trajectory import Trajectory
from ..wire.messages import Json
from . import cage
from .portal import SyncDoor
from .recorded_data import hosted_setup, provided

RECORDED_SHARE = 10
"""A notebook's limit of a step counts up to so many times the default one."""


def replay_notebook(
    notebook: Path | Trajectory,
    *,
    settings: Settings = Settings(),
    on_event: Callable[[StepVerdict], None] | None = None,
    on_ready: Callable[[SandboxReady], None] | None = None,
    to: int | None = None,
    strict: bool = False,
    excepted: Iterable[str] = (),
) -> ReplayReport:
    """Runs a saved trajectory again in a fresh isolated kernel, its tools answered from its tape.

    `on_event` gets each step's verdict as it is known; `on_ready` is called before, with the cage.
    No tool is called. The recorded allow-list of imports is in force, within the ceiling of the profile.
    Data that the profile does not name is what the notebook carries; a step has the time it had when it was
    recorded, unless `settings` limit it otherwise than by default. Everything else is as `settings`
    say; recorded paths are never used. `to`: the last step that is run. `strict`: what it runs on counts too;
    `excepted`: kinds of drift that do not count.
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

    report = door.run(replay_trajectory(trajectory, settings, tell, ready, to=to))
    return replace(report, counted=counted(strict=strict, excepted=excepted))


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
        session = KernelSession(replace(settings, profile=profile, limits=limits))
        try:
            await session.start(setup)
            on_ready(SandboxReady(cage.entry_of(session)))
            async for verdict in replay(session, trajectory, to=to):
                verdicts.append(verdict)
                on_verdict(verdict)
        finally:
            await session.aclose()
    return ReplayReport(tuple(verdicts))
