"""Owns asking, before a session begins, whether this process has descriptors enough for one more."""

from __future__ import annotations

import os
import resource

from ..exceptions import SandboxError

NEEDED = 40
"""While a session starts, at most; when it runs it holds seven."""


def check_descriptors() -> None:
    """Raises: SandboxError. Half a session is harder to close than one that did not begin."""
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        left = most - len(os.listdir("/dev/fd"))
    except OSError:
        left = 0  # Not even one.
    if left < NEEDED:
        raise SandboxError(
            f"a session needs {NEEDED} file descriptors to start, and of the {most:,} that this process may "
            f"have {left:,} are left; close sessions, or allow more (`ulimit -n`, resource.setrlimit)"
        )
