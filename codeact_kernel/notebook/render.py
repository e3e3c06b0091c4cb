"""Owns the notebook of a trajectory: valid nbformat 4.5, re-runs under stock Jupyter, holds everything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..trajectory import Trajectory
from ..wire.messages import Json
from .cells import setup_cells, title_cell, turn_cells, usage_cell
from .codec import to_json
from .progress import progress_of

if TYPE_CHECKING:
    from nbformat import NotebookNode

SCHEMA_VERSION = 1
KERNEL = "codeact-python"


def render(trajectory: Trajectory, redacted: str = "") -> NotebookNode:
    """The notebook, the same for the same trajectory. Secrets are `writer.write`'s part; `redacted`: what it
    has replaced, for a person."""
    from ..jupyter_schemas import nbformat  # Dear, and who only reads notebooks needs it not.

    calls = [call for step in trajectory.steps for call in step.observation.tool_calls]
    cells = [title_cell(trajectory, redacted), *setup_cells(trajectory.info, calls)]
    for number, turn in enumerate(trajectory.turns, 1):
        cells += turn_cells(turn, number)
    cells.append(usage_cell(trajectory))
    notebook: dict[str, Any] = {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": _metadata(trajectory),
        "cells": cells,
    }
    return nbformat.from_dict(notebook)


def _metadata(trajectory: Trajectory) -> dict[str, Json]:
    info = to_json(trajectory.info)
    run_id = info.pop("run_id")
    del info["setup"]  # It is the setup cell.
    version = trajectory.info.versions.get("python")
    verdict = trajectory.verdict
    return {
        "kernelspec": {"name": KERNEL, "display_name": "Python 3 (sandboxed)", "language": "python"},
        "language_info": {
            "name": "python",
            "file_extension": ".py",
            "mimetype": "text/x-python",
            "pygments_lexer": "ipython3",
            "codemirror_mode": {"name": "ipython", "version": 3},
            **({"version": version} if version else {}),
        },
        "codeact": {
            "schema_version": SCHEMA_VERSION,
            "run_id": run_id,
            "info": info,
            "stop_reasons": [turn.stop.reason if turn.stop else None for turn in trajectory.turns],
            "recorded": list(progress_of(trajectory)),
            **({"verdict": to_json(verdict)} if verdict is not None else {}),
        },
    }
