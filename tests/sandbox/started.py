"""Owns how the kernels of these tests start: cold, or as CODEACT_TEST_START says: "fork", "spare"."""

from __future__ import annotations

import atexit
import os

from codeact_kernel.config import SandboxProfile
from codeact_kernel.sandbox.launching import Launcher, why_not

START = os.environ.get("CODEACT_TEST_START", "cold")
STARTS = ("cold", "fork", "spare")
PRELOADED = ("numpy", "pandas", "matplotlib.pyplot")

LITTLE = 1024 * 1024 * 1024
"""Bytes: where the memory is limited to less, only what every kernel needs is preloaded."""

_made: dict[tuple[SandboxProfile | None, tuple[str, ...]], Launcher] = {}


def launcher(profile: SandboxProfile) -> Launcher | None:
    """What makes the kernels of this profile; None: they start cold. One at a time: all spares of a launcher
    are of one profile, and those of a workspace with a name are forked when they are wanted."""
    if START == "cold" or why_not(profile):
        return None
    of_spares = profile if START == "spare" and profile.workspace is None else None
    modules = PRELOADED if profile.limits.memory_bytes >= LITTLE else ()
    key = (of_spares, modules)
    if key not in _made:
        close()
        _made[key] = Launcher(
            modules, spares=int(of_spares is not None), profile=of_spares or SandboxProfile()
        )
        problem = _made[key].ready()
        assert not problem, problem
    return _made[key]


def close() -> None:
    """Ends what was made, and its spares; sessions go on."""
    while _made:
        _made.popitem()[1].close()


atexit.register(close)
