"""Owns the verdict: what is said of a finished run once it has been run again. Part of `trajectory`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

DriftKind: TypeAlias = Literal["code", "tool", "output", "profile"]
"""How a replay can differ: how a step ends, what it calls, what it shows, what it runs on."""


@dataclass(frozen=True)
class Verdict:
    """What came of running a finished run again. `classes`: how it differs; `reason`: why it was not
    verified; `remarks`: what a replay cannot show, one sentence each."""

    status: Literal["identical", "drift", "unverified"]
    classes: tuple[DriftKind, ...] = ()
    reason: str = ""
    remarks: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """`identical`, `drift: output, tool`, `unverified: why`."""
        said = ", ".join(self.classes) or self.reason
        return f"{self.status}: {said}" if said else self.status
