"""Owns what is known of the cell that runs, and what its end is called."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..outputs import Finished, Status

MAX_NAMES = 10_000


@dataclass
class Run:
    """One cell, from request to end. `deadline` is in the time of the event loop, `limit` in seconds."""

    message_id: str
    limit: float | None
    deadline: float | None
    started: float = field(default_factory=time.monotonic)
    begun: bool = False
    """An interrupt that came earlier would be lost."""
    stopping: str | None = None
    """That it was interrupted and why, once it was."""
    signalled: bool = False
    """The kernel has said that the interrupt is out: it cannot hit the next cell any more."""
    reply: Mapping[str, Any] | None = None
    idle: bool = False
    received: int = 0
    """Bytes."""
    truncated: bool = False

    @property
    def over(self) -> bool:
        return self.reply is not None and self.idle and (self.stopping is None or self.signalled)

    def killed(self, reason: str) -> Finished:
        return Finished("killed", reason, duration_s=self._elapsed(), truncated=self.truncated)

    def finished(self) -> Finished:
        """From the kernel's reply, of which nothing is taken for granted."""
        reply = self.reply or {}
        extra = reply.get("codeact")
        extra = extra if isinstance(extra, dict) else {}
        names = extra.get("names")
        kept = [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
        count = reply.get("execution_count")
        status: Status = "ok" if reply.get("status") == "ok" else "error"
        reason = None
        if self.stopping is not None and status == "error":
            status, reason = "timeout", f"{self.stopping}; variables are kept"
        return Finished(
            status,
            reason,
            count if type(count) is int else None,
            tuple(kept[:MAX_NAMES]),
            self._elapsed(),
            self.truncated or extra.get("truncated") is True,
        )

    def _elapsed(self) -> float:
        return time.monotonic() - self.started
