"""Owns the examination of this machine: what it offers, and what each cage that can be had holds.

Every tier is started for real and attacked from inside; the judgement is the host's (`doctor_scene`).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path

from ..config import MIB, Limits, OutputLimits, SandboxLimits, SandboxProfile, Settings
from ..exceptions import SandboxError
from ..outputs import Display, Error, Finished, Output, Result, Stream
from ..trajectory import Action
from .confine.policy import TIERS, Report
from .confine.start import REMEDY
from .doctor_layers import Layer, survey
from .doctor_probes import PRELUDE, PROBES, Probe, cell
from .doctor_scene import Scene
from .session import KernelSession, NoCalls

BOUNDS = SandboxLimits(
    memory_bytes=512 * MIB,
    threads=64,
    open_files=256,
    file_bytes=64 * MIB,
    disk_bytes=128 * MIB,
    disk_files=1000,
)
"""Small, so that going beyond them is quick."""
LIMITS = Limits(step_timeout_s=6.0, interrupt_grace_s=1.0)
WITHOUT = {"A": (), "B": ("namespaces",), "C": ("landlock",)}
"""How a machine that gives more is made to give just this tier."""

END = 300
"""Characters kept of how a probe ended."""

Tell = Callable[[str], None]
"""Called with what is going on, for people who wait."""


@dataclass(frozen=True)
class Verdict:
    """What came of one probe. `reached`: what it got hold of, None when it was held; `end`: how it ended."""

    probe: Probe
    reached: str | None
    end: str


@dataclass(frozen=True)
class Cage:
    """One tier, as examined. `problem`: why it cannot be had; the rest is empty then.

    `start_ms`: until the first cell has run, which is what a user waits; `report.milliseconds` of it for
    confining the process and the self-test.
    """

    tier: str
    problem: str = ""
    start_ms: float = 0.0
    report: Report = field(default_factory=Report)
    verdicts: tuple[Verdict, ...] = ()

    @property
    def escapes(self) -> tuple[Verdict, ...]:
        """The probes that were not held."""
        return tuple(verdict for verdict in self.verdicts if verdict.reached is not None)

    @property
    def holds(self) -> bool:
        """Whether it can be had and held every probe."""
        return not self.problem and bool(self.verdicts) and not self.escapes


@dataclass(frozen=True)
class Examination:
    """What the doctor found. `default`: the tier that a run gets here; None when there is none."""

    layers: tuple[Layer, ...]
    cages: tuple[Cage, ...] = ()

    @property
    def default(self) -> Cage | None:
        return next((cage for cage in self.cages if not cage.problem), None)

    @property
    def sound(self) -> bool:
        """Whether code that runs here by default is held."""
        return self.default is not None and self.default.holds


async def examine(tell: Tell) -> Examination:
    """Layers, then every tier. Never raises for a layer or tier that is missing. Takes some seconds."""
    tell("layers")
    layers = survey()
    if sys.platform != "linux":
        return Examination(layers)
    return Examination(layers, tuple([await examine_cage(tier, tell) for tier in TIERS]))


async def examine_cage(tier: str, tell: Tell, probes: Sequence[Probe] = PROBES) -> Cage:
    """Starts one tier, "none" for the control, and runs the probes in it."""
    tell(f"tier {tier}: starting")
    profile = SandboxProfile(sandbox=tier, without=WITHOUT.get(tier, ()), limits=BOUNDS)
    session = KernelSession(Settings(limits=LIMITS, output=OutputLimits(), profile=profile))
    began = time.perf_counter()
    try:
        await session.start(PRELUDE)
        start_ms = round((time.perf_counter() - began) * 1000, 1)
        report = session.report
        if report.tier != tier:
            return Cage(tier, f"asked for it, and got tier {report.tier}")
        with Scene(BOUNDS) as scene:
            verdicts = [await _verdict(session, scene, probe, tell) for probe in probes]
        return Cage(tier, "", start_ms, report, tuple(verdicts))
    except SandboxError as problem:
        return Cage(tier, str(problem).removesuffix(REMEDY).strip())
    finally:
        await session.aclose()


async def _verdict(session: KernelSession, scene: Scene, probe: Probe, tell: Tell) -> Verdict:
    tell(f"tier {session.report.tier}: {probe.group} {probe.name}")
    action = Action(cell(probe, scene.targets()))
    shown, printed, finished = "", "", Finished("killed")
    async with aclosing(session.execute(action, NoCalls())) as outputs:
        async for output in outputs:
            shown += _text(output)
            match output:
                case Stream("stdout", text):
                    printed += text
                case Finished():
                    finished = output
    reached = scene.reached(Path(session.workspace), shown, printed)
    if finished.status == "killed":
        await session.restart()
    last = next((line for line in reversed(printed.splitlines()) if line.startswith("refused: ")), "")
    return Verdict(probe, reached, (finished.reason or last or "nothing was refused")[:END])


def _text(output: Output) -> str:
    """All text that the host gets to see of it."""
    match output:
        case Stream(text=text):
            return text
        case Error(ename, evalue, traceback):
            return "\n".join((ename, evalue, *traceback))
        case Display(data) | Result(data):
            return str(data)
        case _:
            return ""
