"""Owns how `--profile` shows where the time of a command went: a table, and a part of its JSON document."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..wire.messages import Json
from . import brief
from .page import Page
from .profiling import OURS, Part, Timings, tenths, whole

TOOLS_SHOWN = 10
NAMES: dict[Part, str] = {
    "wire": "to the kernel and back",
    "notebook": "writing the notebook",
    "record": "recording",
    "outputs": "outputs and events",
    "calls": "around tool calls",
    "context": "building the context",
    "rest": "the rest",
}
_WIDTH = 38


class Watch:
    """The time of one command. `timings`: what there is, once it has ended.

    Args:
        age: seconds since it was started.
    """

    def __init__(self, age: Callable[[], float]) -> None:
        self._age = age
        self._program: float | None = None
        self._verification = 0.0
        self._measured: Callable[[], Timings | None] = lambda: None
        self.timings: Timings | None = None

    def task(self, measured: Callable[[], Timings | None]) -> None:
        """The task is given to an agent now."""
        self._program, self._measured = self._age(), measured

    @contextmanager
    def verifying(self) -> Iterator[None]:
        began = self._age()
        try:
            yield
        finally:
            self._verification += self._age() - began

    def end(self) -> Timings | None:
        measured = self._measured()
        if measured is not None and self._program is not None:
            times = {"program": self._program, "verification": self._verification, "total": self._age()}
            self.timings = whole(measured, **times)
        return self.timings


@contextmanager
def profiled(page: Page, *, asked: bool) -> Iterator[Watch]:
    """Shows at the end where the time went, however that came: also what there is of a run that failed."""
    watch = Watch(process_age)
    try:
        yield watch
    finally:
        if asked and (timings := watch.end()) is not None:
            show(page, timings)


def process_age() -> float:
    """Seconds since this process was started."""
    started = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - int(started) / os.sysconf("SC_CLK_TCK"))


def show(page: Page, timings: Timings) -> None:
    seconds = {
        "program": timings.seconds.get("program", 0.0),
        "start": timings.seconds.get("start", 0.0),
        "model": timings.seconds["model"],
        "cells": timings.seconds["cells"],
        "tools": timings.seconds["tools"],
        "person": timings.seconds["person"],
        "ours": timings.ours,
        "verification": timings.seconds.get("verification", 0.0),
        "end": timings.seconds.get("end", 0.0),
    }
    parts = tenths(seconds)
    calls = sum(tool.calls for tool in timings.tools.values())
    page.line(f"\n{'Where the time went':{_WIDTH}}{brief.seconds(timings.total):>12}  100.0 %", "bold")

    def row(name: str, label: str, *, always: bool = True) -> None:
        if always or seconds[name] > 0:
            page.line(f"  {label:{_WIDTH - 2}}{brief.seconds(seconds[name]):>12}{parts[name]:>7.1f} %")

    row("program", "program: imports, options")
    row("start", "start: kernel, what is restored")
    row("model", f"model: {timings.replies:,} {'reply' if timings.replies == 1 else 'replies'}")
    row("cells", f"cells: {timings.cells:,}, without their tools")
    row("tools", f"tools: {brief.count(calls, 'call')}")
    _tools(page, timings)
    row("person", "waiting for a person", always=False)
    row("ours", "ours")
    _ours(page, timings)
    row("verification", "verification", always=False)
    row("end", "end: last lines, end of the kernel")
    page.line(
        f"Of the steps alone ({brief.seconds(timings.steps)}), ours is {timings.share * 100:.1f} %.", "dim"
    )


def _tools(page: Page, timings: Timings) -> None:
    """The dearest of them. Of calls at the same time the sum is more than what was waited."""
    tools = sorted(timings.tools.items(), key=lambda item: -item[1].seconds)
    for name, time_ in tools[:TOOLS_SHOWN]:
        said = f"{brief.count(time_.calls, 'call')}, slowest {brief.seconds(time_.slowest)}"
        page.line(f"    {brief.name(name)}: {said}, in all {brief.seconds(time_.seconds)}", "dim")
    if len(tools) > TOOLS_SHOWN:
        page.line(f"    … and {len(tools) - TOOLS_SHOWN:,} more", "dim")


def _ours(page: Page, timings: Timings) -> None:
    for part in sorted(OURS, key=lambda part: (part == "rest", -timings.seconds.get(part, 0.0))):
        taken = brief.seconds(timings.seconds.get(part, 0.0))
        page.line(f"    {NAMES[part]:{_WIDTH - 4}}{taken:>12}", "dim")
    if timings.rendering:
        beside = "showing the run, on a thread beside"
        page.line(f"    ({beside}: {brief.seconds(timings.rendering)}, not counted)", "dim")


def timings_document(timings: Timings) -> dict[str, Json]:
    """What `--json` says with `--profile`. `seconds` by part add up to `total_s`."""
    return {
        "total_s": round(timings.total, 6),
        "steps_s": round(timings.steps, 6),
        "ours_s": round(timings.ours, 6),
        "ours_share": round(timings.share, 6),
        "seconds": {part: round(seconds, 6) for part, seconds in timings.seconds.items()},
        "ours": list(OURS),
        "replies": timings.replies,
        "cells": timings.cells,
        "tools": {
            name: {
                "calls": tool.calls,
                "seconds": round(tool.seconds, 6),
                "slowest_s": round(tool.slowest, 6),
            }
            for name, tool in timings.tools.items()
        },
        "rendering_s": round(timings.rendering, 6),
    }
