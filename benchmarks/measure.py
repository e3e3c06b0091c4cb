"""Owns how we measure: interleaved pairs in one run, medians and their bounds, and the rows of the tables."""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import ClassVar, Literal, TypeAlias

RESAMPLES = 1000
Unit: TypeAlias = Literal["ms", "MiB"]


@dataclass(frozen=True)
class Ratio:
    """`ours` against `baseline`, in seconds, or in MiB where `unit` says so.

    `upper` is the 95 % bound of the median ratio, and what is held against the target. `group` is the table
    that the row belongs to, `tier` the sandbox it was measured in, where that matters.
    """

    name: str
    ours: float
    baseline: float
    ratio: float
    upper: float
    target: float | None
    pairs: int
    group: str = ""
    tier: str = ""
    note: str = ""
    unit: Unit = "ms"

    HEAD: ClassVar = (
        "| measured | tier | ours | baseline | median ratio | upper 95 % | target | verdict | pairs |\n"
        "|---|---|---|---|---|---|---|---|---|"
    )

    @property
    def verdict(self) -> str:
        return verdict(self.upper, self.target, "at most")

    def row(self) -> str:
        target = "" if self.target is None else f"≤ {short(self.target)}"
        ours, baseline = amount(self.ours, self.unit), amount(self.baseline, self.unit)
        return (
            f"| {named(self)} | {self.tier} | {ours} | {baseline} "
            f"| {short(self.ratio)} | {short(self.upper)} | {target} | {self.verdict} | {self.pairs} |"
        )

    def claim(self) -> str:
        """A row of the README."""
        measured = f"{short(self.ratio)} × ({short(self.upper)})"
        name = f"{self.group}: {self.name}" if self.group else self.name
        return f"| {name} | {self.tier} | {measured} | ≤ {short(self.target or 0)} × | {self.verdict} |"


@dataclass(frozen=True)
class Figure:
    """A plain number with its unit, such as `142 calls/s`."""

    name: str
    value: float
    unit: str
    target: float | None = None
    direction: Literal["at most", "at least"] = "at most"
    note: str = ""
    group: str = ""
    tier: str = ""

    HEAD: ClassVar = "| measured | tier | figure | target | verdict |\n|---|---|---|---|---|"

    @property
    def verdict(self) -> str:
        return verdict(self.value, self.target, self.direction)

    def row(self) -> str:
        sign = "≤" if self.direction == "at most" else "≥"
        target = "" if self.target is None else f"{sign} {short(self.target)} {self.unit}"
        return (
            f"| {named(self)} | {self.tier} | {short(self.value)} {self.unit} | {target} | {self.verdict} |"
        )

    def claim(self) -> str:
        """A row of the README."""
        name = f"{self.group}: {self.name}" if self.group else self.name
        return replace(self, name=name, note="").row()


@dataclass(frozen=True)
class Missing:
    """What could not be measured here, and why."""

    name: str
    why: str
    group: str = ""
    tier: str = ""

    HEAD: ClassVar = "| not measured | tier | why |\n|---|---|---|"

    @property
    def verdict(self) -> str:
        return "not measured"

    def row(self) -> str:
        return f"| {self.name} | {self.tier} | {' '.join(self.why.split()).replace('|', '/')} |"


Row = Ratio | Figure | Missing
KINDS: dict[str, type[Row]] = {"ratio": Ratio, "figure": Figure, "missing": Missing}
HEAD = Ratio.HEAD


def to_json(row: Row) -> dict[str, object]:
    kind = next(name for name, of in KINDS.items() if isinstance(row, of))
    return {"kind": kind, **asdict(row)}


def from_json(saved: dict[str, object]) -> Row:
    fields = dict(saved)
    return KINDS[str(fields.pop("kind"))](**fields)  # type: ignore[arg-type]  # they were asdict's


def verdict(value: float, target: float | None, direction: str) -> str:
    if target is None:
        return ""
    part = target / value if direction == "at most" and value else value / target if target else 0.0
    met = value <= target if direction == "at most" else value >= target
    return "met" if met else f"missed: {part:.2f} of the target"


def short(number: float) -> str:
    """Three digits that mean something, and no exponent."""
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"


def amount(value: float, unit: str) -> str:
    return f"{short(value * 1e3)} ms" if unit == "ms" else f"{short(value)} {unit}"


def named(row: Ratio | Figure) -> str:
    return f"{row.name} ({row.note})" if row.note else row.name


def tables(rows: Iterable[Row], heading: str = "## ") -> str:
    """Markdown: by group, in the order in which they come; ratios, figures and what is missing apart."""
    rows = list(rows)
    parts = []
    for group in dict.fromkeys(row.group for row in rows):
        parts += [f"{heading}{group}"] if group else []
        for kind in KINDS.values():
            those = [row.row() for row in rows if row.group == group and isinstance(row, kind)]
            parts += ["\n".join([kind.HEAD, *those])] if those else []
    return "\n\n".join(parts)


def show(measure: Callable[[bool], Sequence[Row]]) -> None:
    """What a benchmark does when it is run alone. `--json` is how run.py gets its rows."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="few pairs: does it run at all?")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the rows go as well")
    asked = parser.parse_args()
    rows = measure(asked.quick)
    print(tables(rows))
    if asked.json is not None:
        asked.json.write_text(json.dumps([to_json(row) for row in rows]))


def bounded(most: int, seconds: float, least: int) -> Iterator[int]:
    """Counts to `most`, or until that time is over; to `least` in any case. For pairs that are dear."""
    ends = time.monotonic() + seconds
    for number in range(most):
        if number >= least and time.monotonic() > ends:
            return
        yield number


def paired(
    name: str,
    ours: Callable[[], float],
    baseline: Callable[[], float],
    pairs: int,
    target: float | None,
    *,
    group: str = "",
    tier: str = "",
    note: str = "",
    unit: Unit = "ms",
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
    return ratio_of(name, measured, target, group=group, tier=tier, note=note, unit=unit)


def ratio_of(
    name: str,
    measured: Sequence[tuple[float, float]],
    target: float | None,
    *,
    group: str = "",
    tier: str = "",
    note: str = "",
    unit: Unit = "ms",
) -> Ratio:
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
        group,
        tier,
        note,
        unit,
    )
