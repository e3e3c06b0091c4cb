"""Owns what a replay runs on that is not as it was: Python, packages, allowed imports, the cage.

Versions count by major and minor number: a patch release is no drift. Jupyter's and our own packages count
by the major number. NumPy, pandas and matplotlib count when a recorded cell imports them. What is newly
there, or better than it was, is no drift.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from .replay import Drift
from .trajectory import RunInfo, Step
from .unrepeatable import imported_modules
from .wire.messages import Json

_BY_MAJOR = frozenset({"codeact_kernel", "ipykernel", "ipython"})
_ALWAYS = _BY_MAJOR | {"python"}
_TIERS = ("none", "C", "B", "A")
_SHOWN = 100
_NUMBERS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})*")


def profile_drift(
    info: RunInfo,
    steps: Iterable[Step],
    versions: Mapping[str, str],
    sandbox: Mapping[str, Json],
    refused: Iterable[str] = (),
) -> tuple[Drift, ...]:
    """`versions`, `sandbox`: of the kernel of the replay. `refused`: recorded imports it does not allow."""
    used = {
        module for step in steps if step.action is not None for module in imported_modules(step.action.code)
    }
    said = [*_versions(info.versions, versions, used), *_imports(refused), *_cage(info.sandbox, sandbox)]
    return tuple(Drift("profile", text) for text in said)


def _versions(then: Mapping[str, str], now: Mapping[str, str], used: set[str]) -> Iterator[str]:
    for name, version in sorted(then.items())[:_SHOWN]:
        if name not in _ALWAYS and name not in used:
            continue
        count = 1 if name in _BY_MAJOR else 2
        if name not in now:
            yield f"{name[:_SHOWN]}: {version[:_SHOWN]} → not installed"
        elif _first(version, count) != _first(now[name], count):
            yield f"{name[:_SHOWN]}: {version[:_SHOWN]} → {now[name]}"


def _first(version: str, count: int) -> tuple[str, ...]:
    found = _NUMBERS.match(version)
    return tuple(found[0].split(".")[:count]) if found else (version,)


def _imports(refused: Iterable[str]) -> Iterator[str]:
    for name in sorted(refused)[:_SHOWN]:
        yield f"import {name[:_SHOWN]}: allowed → not allowed"


def _cage(then: Mapping[str, Json], now: Mapping[str, Json]) -> Iterator[str]:
    old, new = then.get("tier"), now.get("tier")
    if old in _TIERS and new in _TIERS and _TIERS.index(str(new)) < _TIERS.index(str(old)):
        yield f"sandbox: tier {old} → {'UNSANDBOXED' if new == 'none' else f'tier {new}'}"
