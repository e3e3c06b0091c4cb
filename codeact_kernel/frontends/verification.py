"""Owns the proof that a run re-runs: its notebook, replayed once in a fresh kernel, within a bound."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from ..config import Settings
from ..exceptions import CodeActError
from ..notebook.load import load
from ..sandbox.launching import Launcher
from ..trajectory import Stop, Trajectory, Verdict
from .replaying import replay_trajectory

LEAST_S = 30.0
SHARE = 1.5
"""A replay may take so many times what the cells took, and `LEAST_S` at least."""

PENDING = Verdict("unverified", reason="the replay has not finished")
NOT_ASKED = Verdict("unverified", reason="not asked for (--no-verify)")


def expected(stop: Stop) -> Verdict:
    """What the notebook says until the replay has ended."""
    if stop.reason in ("interrupted", "model_error", "sandbox_error"):
        return Verdict("unverified", reason=f"the run did not end well ({stop.reason})")
    return PENDING


class Verification:
    """One replay, in the background of the portal. Ends always, with a verdict.

    `done` of `total` steps were run again so far.
    """

    def __init__(self, verdict: Verdict | None = None) -> None:
        self.done = self.total = 0
        self._verdict = verdict
        self._why = "it was cancelled"
        self._launcher: Launcher | None = None
        self._task: asyncio.Task[None] | None = None
        self._listeners: list[Callable[[int, int], None]] = []

    def begin(
        self,
        path: Path,
        settings: Settings,
        on_verdict: Callable[[Verdict], None],
        launcher: Launcher | None = None,
    ) -> None:
        """Starts it; on the portal. `on_verdict` is called there at its end, also when it is cancelled."""
        self._launcher = launcher
        self._task = asyncio.ensure_future(self._run(path, settings, on_verdict))

    def cancel(self, why: str) -> None:
        """Ends it early; the verdict says why."""
        self._why = why
        if self._task is not None:
            self._task.cancel()

    async def end(self, why: str) -> Verdict:
        """Ends it early, if it has not ended: the verdict."""
        self.cancel(why)
        return await self.wait()

    async def wait(self, on_step: Callable[[int, int], None] | None = None) -> Verdict:
        """The verdict; on the portal. `on_step` gets how many steps were run again, of how many."""
        if on_step is not None:
            self._listeners.append(on_step)
        if self._task is not None:
            await asyncio.wait([self._task])
        # A replay that was cancelled before it began has said nothing.
        return self._verdict or (PENDING if self._task is None else Verdict("unverified", reason=self._why))

    async def _run(self, path: Path, settings: Settings, on_verdict: Callable[[Verdict], None]) -> None:
        verdict = PENDING
        try:
            verdict = await self._replayed(path, settings)
        except asyncio.CancelledError:
            verdict = Verdict("unverified", reason=self._why)
        except (CodeActError, OSError) as problem:
            verdict = Verdict("unverified", reason=f"it could not be replayed: {problem}")
        finally:
            self._verdict = verdict
        on_verdict(verdict)

    async def _replayed(self, path: Path, settings: Settings) -> Verdict:
        trajectory = await asyncio.to_thread(load, path)  # What others will read, not what we remember.
        if (why := reason_not_to(trajectory, settings)) is not None:
            return Verdict("unverified", reason=why)
        self.total = sum(step.action is not None for step in trajectory.steps)
        limit = bound(trajectory)
        try:
            async with asyncio.timeout(limit):
                report = await replay_trajectory(
                    trajectory, settings, lambda _: self._tell(), launcher=self._launcher
                )
        except TimeoutError:
            reason = f"the replay took longer than {limit:.0f} s, after {self.done} of {self.total} steps"
            return Verdict("unverified", reason=reason)
        return report.verdict()

    def _tell(self) -> None:
        self.done += 1
        for listener in self._listeners:
            listener(self.done, self.total)


def bound(trajectory: Trajectory) -> float:
    """Seconds that the replay of a run may take."""
    return max(LEAST_S, SHARE * sum(step.observation.duration_s for step in trajectory.steps))


def reason_not_to(trajectory: Trajectory, settings: Settings) -> str | None:
    """Why a run is not to be run again unasked, if that would do more than it shows."""
    if settings.profile.sandbox == "none":
        return "it ran without a sandbox, and would do again whatever it did outside"
    if settings.profile.workspace is not None:
        return "it worked in a folder of the user's, which a replay would change again"
    if all(step.action is None for step in trajectory.steps):
        return "no code was run"
    return None
