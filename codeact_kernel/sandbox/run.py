"""Owns what is known of the cell that runs, and what its end is called."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..outputs import Finished, Status

MAX_NAMES = 10_000
MAX_COUNT = 2**63
MAX_AREAS = 100
IDLE_S = 5.0
"""Seconds of silence after the reply of a cell, before its last outputs are given up."""
CREDIT_S = 5.0
"""Seconds that a slow consumer may take of even the shortest cell."""
TRAIL_S = 6.0
"""Seconds they may take in all."""
WORTH_S = 0.05
"""Seconds of a person's that are worth moving the deadline for."""


@dataclass
class Run:
    """One cell, from request to end. `deadline` is in the time of the event loop, `limit` in seconds."""

    message_id: str
    limit: float | None
    deadline: float | None
    started: float = field(default_factory=time.monotonic)
    began: float | None = None
    """When the kernel has said that it begins, in seconds as `started`."""
    stopping: str | None = None
    """That it was interrupted and why, once it was."""
    signalled: bool = False
    """The kernel has said that the interrupt is out: it cannot hit the next cell any more."""
    reply: Mapping[str, Any] | None = None
    replied: float | None = None
    idle: bool = False
    received: int = 0
    """Bytes."""
    truncated: bool = False
    trail_end: float | None = None
    """Loop time by which the outputs must have ended, once there is a reply."""
    areas: set[str] = field(default_factory=set)
    """Output widgets in whose block the cell is: what it clears there is theirs."""
    waited: float = 0.0
    """`Waiting.seconds` that the deadline has been moved for."""
    credit: float = field(init=False)
    """Seconds that the clock may still stand still."""

    def __post_init__(self) -> None:
        self.credit = max(self.limit or 0.0, CREDIT_S)

    @property
    def begun(self) -> bool:
        """An interrupt that came earlier would be lost."""
        return self.began is not None

    def begin(self) -> None:
        if self.began is None:
            self.began = time.monotonic()

    def answer(self, content: Mapping[str, Any]) -> None:
        self.reply, self.replied = content, time.monotonic()

    def wait(self, seconds: float) -> None:
        """The clock stood still for so long: what the consumer takes is not the cell's time. But in all
        not for longer than the cell may run, or one that shows things for ever would never end."""
        if self.deadline is None:
            return  # Then `trail_end` is None too.
        seconds = min(seconds, self.credit)
        self.credit -= seconds
        self.deadline += seconds
        if self.trail_end is not None:
            self.trail_end += seconds

    def excused(self, waited: float) -> bool:
        """Whether the deadline is no longer over, moved by what a person has taken since it last was."""
        more = waited - self.waited
        if self.deadline is None or self.stopping is not None or self.reply is not None or more < WORTH_S:
            return False
        self.waited = waited
        self.deadline += more
        return True

    def widget_said(self, content: Mapping[str, Any]) -> None:
        """A comm message of the cell's."""
        match content:
            case {"comm_id": str(comm_id), "data": {"state": {"msg_id": str(capturing)}}}:
                if not capturing:
                    self.areas.discard(comm_id)
                elif len(self.areas) < MAX_AREAS:
                    self.areas.add(comm_id)

    def expect_end(self, now: float) -> None:
        """The reply is there: what is left of the outputs has to come soon."""
        if self.trail_end is None:
            self.trail_end = now + TRAIL_S
        self.deadline = min(now + IDLE_S, self.trail_end)

    @property
    def over(self) -> bool:
        return self.reply is not None and self.idle and (self.stopping is None or self.signalled)

    def killed(self, reason: str) -> Finished:
        elapsed, inside = self._elapsed(), self._inside()
        return Finished("killed", reason, duration_s=elapsed, truncated=self.truncated, inside_s=inside)

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
            count if type(count) is int and abs(count) < MAX_COUNT else None,
            tuple(kept[:MAX_NAMES]),
            self._elapsed(),
            self.truncated or extra.get("truncated") is True,
            inside_s=self._inside(),
        )

    def _elapsed(self) -> float:
        return time.monotonic() - self.started

    def _inside(self) -> float | None:
        """Seconds, as they were seen here: what the kernel says of itself is not asked for. None where it has
        not said that it begins: code that lets no other thread run keeps that back."""
        ended = time.monotonic() if self.replied is None else self.replied
        return None if self.began is None else max(0.0, ended - self.began)
