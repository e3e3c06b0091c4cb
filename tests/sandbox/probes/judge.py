"""Owns the verdict on one probe: what it reached, as the host sees it."""

from __future__ import annotations

from dataclasses import dataclass

from .cage import Cage
from .probe import Outcome, Probe
from .scene import Scene


@dataclass(frozen=True)
class Result:
    """One probe in one cage."""

    name: str
    group: str
    tier: str
    """A, B, C, or "none": the control."""
    user: str
    transport: str
    escaped: str
    """What was reached; "" when it was held."""
    ended: str
    seconds: float
    last_words: str
    """End of what the kernel printed: why it was held, mostly."""
    poorer: str = ""
    """What the host was emulated to be; "" for this machine as it is."""
    start: str = "cold"
    """How the kernel was started: cold, fork, spare."""


def reached(scene: Scene, probe: Probe, outcome: Outcome) -> str | None:
    """What the probe reached: in what the kernel sent, and on the host."""
    for text in (outcome.text, outcome.then_text):
        place = scene.secret_in(text)
        if place:
            return f"secret read: {place}"
        if f"{scene.claim}-host: " in text:
            return text.partition(f"{scene.claim}-host: ")[2].strip()
        if probe.claims and f"{scene.claim}: " in text:
            return "claimed: " + text.partition(f"{scene.claim}: ")[2].partition("\\n")[0]
    found = scene.disturbed()
    if found is None and probe.judge is not None:
        found = probe.judge(scene, outcome)
    return found


def try_one(cage: Cage, probe: Probe, *, keep: bool = False) -> tuple[Outcome, str | None]:
    """Runs a probe; ends the session unless the next probe can have it, if it is to `keep`."""
    outcome = cage.run(probe)
    found = reached(cage.scene, probe, outcome) or cage.harm()
    denied = outcome.ended == "error" and outcome.answered  # by an exception: it has done nothing
    lost = found or cage.gone or not outcome.answered or not keep
    if lost or (probe.alone and not denied):
        found = cage_ended(cage, probe, found)
    else:
        cage.scene.tidy()
    return outcome, found


def cage_ended(cage: Cage, probe: Probe, found: str | None) -> str | None:
    """Ends the session and looks again: what did it leave?"""
    try:
        return found or cage.end(probe) or reached(cage.scene, probe, Outcome())
    finally:
        if not cage.gone:
            cage.end(probe)
        cage.close()
