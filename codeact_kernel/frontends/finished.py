"""Owns `Run`: what one finished task gave."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..outputs import WorkspaceFile
from ..trajectory import Stop, StopReason, Trajectory, Usage, Verdict
from .portal import AsyncDoor, SyncDoor
from .profiling import Timings
from .verification import Verification


@dataclass(frozen=True)
class Run:
    """One finished task.

    `answer`: the value given, converted to the output type; None unless `stop_reason` is "answer".
    `trajectory`: the whole conversation so far; `path`: its notebook. Usage and cost are the task's, and
    so are `files`: what it made or changed in the workspace, as that is at its end. `timings`: where its time
    went, with `Agent(timings=True)`.
    """

    answer: Any
    stop: Stop
    steps: int
    usage: Usage
    cost_usd: float | None
    trajectory: Trajectory
    path: Path
    files: tuple[WorkspaceFile, ...] = ()
    verification: Verification = field(default_factory=Verification, repr=False, compare=False)
    timings: Timings | None = None

    @property
    def stop_reason(self) -> StopReason:
        """Why the task ended; `stop.detail` says more."""
        return self.stop.reason

    async def verified(self) -> Verdict:
        """Waits for the replay of the saved notebook in a fresh kernel: whether the run re-runs. The verdict
        is in the notebook too."""
        return await AsyncDoor().run(self.verification.wait())

    def verified_sync(self, on_step: Callable[[int, int], None] | None = None) -> Verdict:
        """`verified` for synchronous code. `on_step` gets how many steps were run again, of how many."""
        door = SyncDoor()

        def tell(done: int, total: int) -> None:
            if on_step is not None:
                door.post(lambda: on_step(done, total))

        return door.run(self.verification.wait(tell))
