"""Owns which versions of Python and its packages a session runs on."""

from __future__ import annotations

import platform
from functools import cache
from importlib import metadata

REPORTED = ("codeact_kernel", "ipykernel", "ipython", "numpy", "pandas", "matplotlib")


def versions() -> dict[str, str]:
    """Of Python and the packages that matter to a re-run. The kernel has the host's interpreter."""
    return {"python": platform.python_version(), **_installed()}


@cache
def _installed() -> dict[str, str]:
    found = {}
    for name in REPORTED:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            pass
    return found
