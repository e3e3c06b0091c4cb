"""Owns how much processor time the kernel of a session has used, as the host sees it."""

from __future__ import annotations

from .confine import usage


def computed(supervisor: int) -> float:
    """Seconds, of all processes below the supervisor, those that have ended included; not its own.

    0.0 where there is no /proc. A process whose parent does not wait for it vanishes with its time: it can
    be there with `allow_fork` only, and the time that a person has for an answer is bounded anyway.
    """
    ticks = 0
    for pid in usage.tree([supervisor]):
        if (process := usage.look_at(pid)) is not None:
            ticks += process.waited if pid == supervisor else process.ticks + process.waited
    return ticks / usage.TICKS_PER_S
