"""Moments at which a host is killed, drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Literal

Trigger = dict[str, str | int]
IN_DOUBT = ("skip", "retry", "look")
"""What becomes of calls in doubt; "look": a person looks whether each was done."""


@dataclass(frozen=True)
class Moment:
    """One kill. `trigger`: the host does it itself, in a tool or at a file of its record; otherwise its
    parent does, `delay_s` after it was started, its turn began, its journal had `records`, or it had
    answered."""

    kind: str
    trigger: Trigger | None = None
    after: Literal["start", "turn", "records", "answer"] = "start"
    records: int = 0
    delay_s: float = 0.0


@dataclass(frozen=True)
class Case:
    """One run with its kills, the second and later ones in the run that was resumed. `recovery`: what
    happens between a kill and the next resume; "killed": its recovery is killed too."""

    number: int
    moments: tuple[Moment, ...]
    in_doubt: str
    recovery: Literal["resume", "command", "killed"]


def drawn(seed: int, number: int) -> Case:
    """The case of this number; the kinds of its first kill take turns."""
    random = Random(f"{seed}/{number}")
    first = FIRST[number % len(FIRST)](random)
    later = [random.choice(LATER)(random) for _ in range(random.choice((0, 0, 1, 1, 2)))]
    recovery: Literal["resume", "command", "killed"] = random.choice(("resume", "command", "killed"))
    return Case(number, (first, *later), random.choice(IN_DOUBT), recovery)


def _start(random: Random) -> Moment:
    return Moment("kernel start", after="start", delay_s=random.uniform(0.3, 2.0))


def _time(random: Random) -> Moment:
    return Moment("any time", after="turn", delay_s=random.uniform(0.0, 0.9))


def _before(random: Random) -> Moment:
    return Moment("tool, before", {"at": "tool", "where": "before", "nth": random.randint(1, 19)})


def _after(random: Random) -> Moment:
    return Moment("tool, after", {"at": "tool", "where": "after", "nth": random.randint(1, 19)})


def _record(random: Random) -> Moment:
    records, delay = random.randint(1, 52), random.choice((0.0, random.uniform(0, 0.02)))
    return Moment("record", after="records", records=records, delay_s=delay)


def _write(random: Random) -> Moment:
    return Moment("notebook write", {"at": "open", "nth": random.choice((1, 1, 2, 3, 4))})


def _replace(random: Random) -> Moment:
    return Moment("notebook replace", {"at": "os.rename", "nth": random.randint(1, 3)})


def _remove(random: Random) -> Moment:
    return Moment("journal removal", {"at": "os.remove", "nth": random.randint(1, 4)})


def _verification(random: Random) -> Moment:
    return Moment("verification", after="answer", delay_s=random.uniform(0.0, 1.5))


FIRST = (_time, _before, _record, _after, _write, _start, _record, _replace, _verification, _remove)
LATER = (_start, _time, _before, _after, _record, _record, _write, _replace, _remove)


def of_recovery(random: Random) -> Trigger:
    """Where a recovery is killed."""
    return {"at": random.choice(("open", "os.rename", "os.remove")), "nth": 1}
