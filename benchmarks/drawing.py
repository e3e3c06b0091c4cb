"""Owns the plots of what is in results.json: the start and the memory of a session, as bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measure import Ratio

if TYPE_CHECKING:
    from saved import Part

OURS, PLAIN = "#2a6f97", "#8d99ae"
BASELINE = "stock ipykernel"
PICTURES = {"start.svg": ("ms", "Session start to first result, ms"), "memory.svg": ("MiB", "Memory, MiB")}
"""By file: the unit of the rows of `launch` that it shows, and its title."""


def draw(parts: Mapping[str, Part], folder: Path) -> None:
    """Raises ImportError without matplotlib."""
    if "launch" not in parts:
        return
    rows = [row for row in parts["launch"].rows if isinstance(row, Ratio)]
    folder.mkdir(exist_ok=True)
    for name, (unit, title) in PICTURES.items():
        _bars([row for row in rows if row.unit == unit], title, folder / name)


def _bars(rows: Sequence[Ratio], title: str, path: Path) -> None:
    """The first row of each way to start, in each tier, and the baseline of these."""
    import matplotlib as mpl  # of the extra `dev`
    from matplotlib.figure import Figure

    if not rows:
        return
    first: dict[str, Ratio] = {}
    for row in rows:
        first.setdefault(f"{row.name.split(',')[0]}, tier {row.tier}", row)
    baseline = max(row.baseline for row in first.values())
    bars = [(BASELINE, baseline), *((name, row.ours) for name, row in first.items())]
    scale = 1e3 if rows[0].unit == "ms" else 1.0
    mpl.rcParams["svg.hashsalt"] = path.name  # The same picture twice is the same file.
    figure = Figure(figsize=(7, 0.4 * len(bars) + 0.8), layout="constrained")
    axes: Any = figure.subplots()
    colours = [PLAIN if name == BASELINE else OURS for name, _ in bars]
    drawn = axes.barh([name for name, _ in bars], [value * scale for _, value in bars], color=colours)
    axes.bar_label(drawn, fmt="%.0f", padding=3)
    axes.invert_yaxis()
    axes.margins(x=0.1)
    axes.set_title(title, loc="left", fontsize="medium")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None})
