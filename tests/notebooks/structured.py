"""Owns `structured.ipynb`: an answer with a type; the first one does not fit and is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field

from codeact_kernel import tool

from .support import record, step


class Outage(BaseModel):
    """Of one service, on one day."""

    service: str
    minutes: int = Field(ge=1)
    severity: Literal["minor", "major"]


class Report(BaseModel):
    """Outages, the longest first. "major" is an hour or more."""

    outages: list[Outage]
    total_minutes: int


@tool(effect="read")
def status_log(day: str) -> list[str]:
    """The lines of the status log of a day (YYYY-MM-DD): time, service, "down" or "up"."""
    return {
        "2025-04-02": [
            "02:10 search down",
            "02:52 search up",
            "09:30 payments down",
            "11:05 payments up",
            "11:06 search down",
            "11:09 search up",
        ]
    }.get(day, [])


TASK = "Report the outages of 2 April 2025: which service, how many minutes, and how severe each of them was."
REPLIES = (
    step(
        "The log first, as it is.",
        """
        lines = status_log("2025-04-02")
        for line in lines:
            print(line)
        """,
    ),
    step(
        """Each "down" is followed by the "up" of the same service. I pair them, and grade them by length:
        over an hour is major, over ten minutes moderate.""",
        """
        def minutes(clock):
            hours, rest = clock.split(":")
            return int(hours) * 60 + int(rest)

        down, found = {}, []
        for clock, service, state in map(str.split, lines):
            if state == "down":
                down[service] = minutes(clock)
            else:
                found.append((minutes(clock) - down.pop(service), service))
        assert not down, "still down at the end of the day"
        found.sort(reverse=True)

        grade = lambda length: "major" if length >= 60 else "moderate" if length > 10 else "minor"
        outages = [{"service": name, "minutes": length, "severity": grade(length)} for length, name in found]
        final_answer({"outages": outages, "total_minutes": sum(length for length, _ in found)})
        """,
    ),
    step(
        """The answer was refused, and says where: outages[1] is "moderate", which the report does not know.
        It has two grades, and below an hour is minor. The rest stands.""",
        """
        grade = lambda length: "major" if length >= 60 else "minor"
        outages = [{"service": name, "minutes": length, "severity": grade(length)} for length, name in found]
        final_answer({"outages": outages, "total_minutes": sum(length for length, _ in found)})
        """,
    ),
)


def write(path: Path) -> None:
    record(path, TASK, REPLIES, [status_log], output_type=Report)
