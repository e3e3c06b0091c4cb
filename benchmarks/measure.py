"""Owns how we measure: interleaved pairs in one run, medians, and the bound of a median ratio."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

RESAMPLES = 1000


@dataclass(frozen=True)
class Ratio:
    """`ours` against `baseline`, in seconds; `upper` is the 95 % bound of the median ratio."""

    name: str
    ours: float
    baseline: float
    ratio: float
    upper: float
    target: float
    pairs: int

    def row(self) -> str:
        verdict = (
            "met"
            if self.upper <= self.target
            else f"missed (target / measured = {self.target / self.upper:.2f})"
        )
        return (
            f"| {self.name} | {self.ours * 1e3:.3f} | {self.baseline * 1e3:.3f} | {self.ratio:.2f} "
            f"| {self.upper:.2f} | {self.target:.2f} | {verdict} | {self.pairs} |"
        )


HEAD = (
    "| measured | ours, ms | baseline, ms | median ratio | upper 95 % | target | verdict | pairs |\n"
    "|---|---|---|---|---|---|---|---|"
)


def paired(
    name: str, ours: Callable[[], float], baseline: Callable[[], float], pairs: int, target: float
) -> Ratio:
    """Runs both in turn, `pairs` times, each time in random order. Each returns its seconds."""
    chance = random.Random(1)
    measured: list[tuple[float, float]] = []
    for _ in range(pairs):
        if chance.random() < 0.5:
            a, b = ours(), baseline()
        else:
            b, a = baseline(), ours()
        measured.append((a, b))
    return ratio_of(name, measured, target)


def ratio_of(name: str, measured: Sequence[tuple[float, float]], target: float) -> Ratio:
    """The median of the pairs' ratios and its bootstrapped bound."""
    ratios = [a / b for a, b in measured]
    chance = random.Random(2)
    medians = sorted(median(chance.choices(ratios, k=len(ratios))) for _ in range(RESAMPLES))
    return Ratio(
        name,
        median(a for a, _ in measured),
        median(b for _, b in measured),
        median(ratios),
        medians[int(0.95 * RESAMPLES)],
        target,
        len(measured),
    )
