"""Owns the list of all probes: every module `group_*.py` beside it, in order of their names."""

from __future__ import annotations

import importlib
from pathlib import Path

from .probe import Probe

FOLDER = Path(__file__).parent


def _load() -> dict[str, Probe]:
    found: dict[str, Probe] = {}
    for path in sorted(FOLDER.glob("group_*.py")):
        module = importlib.import_module(f"{__package__}.{path.stem}")
        for probe in module.PROBES:
            if probe.name in found:
                raise ValueError(f"two probes are called {probe.name!r}; rename the one in {path.name}")
            found[probe.name] = probe
    return found


BY_NAME = _load()
PROBES = tuple(BY_NAME.values())
