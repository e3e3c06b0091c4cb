"""Owns the process that runs a batch of probes: alone with its kernels, so that what they leave falls to it.

Reads a job as JSON on standard input: names of probes, tier, transport, user's name, and
what the host is emulated to be. Prints a result a line.
"""

from __future__ import annotations

import ctypes
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from .. import started
from .cage import Cage
from .catalog import BY_NAME
from .judge import Result, cage_ended, reached, try_one
from .probe import Outcome, Probe
from .scene import Scene

PR_SET_CHILD_SUBREAPER = 36


def main() -> None:
    """Runs the job."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    job = json.loads(sys.stdin.readline())
    for result in results(job):
        print(json.dumps(asdict(result)), flush=True)  # noqa: T201  # the answer of this process


def results(job: dict[str, Any]) -> Iterator[Result]:
    """Of the job's probes, in order; one kernel for those that leave it usable."""
    cage: Cage | None = None
    last = None
    for probe in (BY_NAME[name] for name in job["probes"]):
        began = time.monotonic()
        own = _own_kernel(probe, job["tier"])
        if own:
            yield from _late(cage, last, job)
        if probe.drive is not None:
            outcome, found = _through_codeact(probe, job["tier"])
        else:
            if cage is None or cage.gone:
                cage = Cage(job["tier"], probe.transport or job["transport"], probe, job["poorer"])
            outcome, found = try_one(cage, probe, keep=not own)
            last = probe
        yield _result(probe, job, outcome, found, time.monotonic() - began)
    yield from _late(cage, last, job)


def _own_kernel(probe: Probe, tier: str) -> bool:
    """In a cage most of what wants to be alone is denied, and harms nobody."""
    return bool(
        (probe.alone and (tier == "none" or probe.end != "shutdown"))
        or probe.drive
        or probe.transport
        or not probe.provisioned
        or probe.limits
        or probe.profile
        or probe.measured
        or probe.then
    )


def _late(cage: Cage | None, probe: Probe | None, job: dict[str, Any]) -> Iterator[Result]:
    """A shared kernel ends: what is found now is one of its probes' doing, so a result of its own."""
    found = cage_ended(cage, probe, None) if cage and probe and not cage.gone else None
    if found:
        yield _result(probe, job, Outcome(), f"at the end of a shared kernel: {found}", 0.0)


def _through_codeact(probe: Probe, tier: str) -> tuple[Outcome, str | None]:
    scene = Scene()
    try:
        assert probe.drive is not None
        outcome = probe.drive(scene, probe, tier)
        return outcome, reached(scene, probe, outcome)
    finally:
        scene.close()


def _result(probe: Probe, job: dict[str, Any], outcome: Outcome, found: str | None, seconds: float) -> Result:
    words = (outcome.then_text or outcome.text)[-400:]
    return Result(
        probe.name,
        probe.group,
        job["tier"],
        job["user"],
        job["transport"],
        found or "",
        outcome.ended,
        seconds,
        words,
        job["poorer"],
        started.START,
    )


if __name__ == "__main__":
    main()
