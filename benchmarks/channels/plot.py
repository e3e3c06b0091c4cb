"""Owns the plot: input tokens and wall time over N, a column a task, a line a channel."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .running import CHANNELS, Channel, Measured
from .tables import COLUMNS, INPUT, WALL, runs_of
from .tasks import KINDS, Kind

LOOKS: dict[Channel, tuple[str, str, str]] = {
    "one call": ("tab:red", "o-", "JSON, one call a turn"),
    "parallel": ("tab:orange", "s--", "JSON, parallel calls"),
    "code": ("tab:blue", "D-", "code"),
}
STYLE = {"svg.fonttype": "none", "svg.hashsalt": "context", "font.size": 8}


def draw(runs: Sequence[Measured], path: Path) -> None:
    """Raises ImportError without matplotlib."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    rows = (INPUT, WALL)
    path.parent.mkdir(exist_ok=True)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(15, 5), layout="constrained")
        axes = figure.subplots(len(rows), len(KINDS), sharex=True, sharey="row")
        for column, kind in enumerate(KINDS):
            for row, value in enumerate(rows):
                _lines(axes[row][column], runs, kind, value)
            axes[0][column].set_title(kind.name)
            axes[-1][column].set_xlabel(f"N, {kind.n}")
        for row, value in enumerate(rows):
            axes[row][0].set_ylabel(value)
        figure.legend(
            *axes[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=len(CHANNELS)
        )
        figure.savefig(path, metadata={"Date": None})


def _lines(axis: Any, runs: Sequence[Measured], kind: Kind, value: str) -> None:
    for channel in CHANNELS:
        line = runs_of(runs, kind.name, channel)
        colour, style, name = LOOKS[channel]
        values = [COLUMNS[value](one) for one in line]
        axis.plot([one.size for one in line], values, style, color=colour, label=name, ms=3)
    axis.set(xscale="log", yscale="log")
    axis.grid(alpha=0.3)
    axis.minorticks_off()
