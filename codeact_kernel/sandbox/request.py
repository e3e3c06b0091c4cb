"""Owns what a supervisor is told of one kernel: the profile as it reads it, and its environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict

from ..config import MIB, SandboxProfile
from ..exceptions import UsageError
from .confine.policy import Bounds, Profile, dumps
from .folders import SessionFolder

LEAST_MEMORY = 384 * MIB
"""Bytes with which a kernel starts and imports its libraries."""
OF_HOST = ("PATH", "HOME", "XDG_CACHE_HOME")


def request(profile: SandboxProfile, workspace: str) -> Profile:
    """What the supervisor is asked for. Raises UsageError."""
    if profile.limits.memory_bytes < LEAST_MEMORY:
        raise UsageError(
            f"a memory limit of {profile.limits.memory_bytes:,} bytes is too small for a kernel; "
            f"give at least {LEAST_MEMORY:,}"
        )
    return Profile(
        workspace=workspace,
        data=tuple(str(path.expanduser().absolute()) for path in profile.data),
        readable=tuple(str(path.expanduser().absolute()) for path in profile.readable),
        import_ceiling=profile.import_ceiling,
        env=profile.env,
        limits=Bounds(**asdict(profile.limits)),
        allow_fork=profile.allow_fork,
        sandbox=profile.sandbox,
        without=profile.without,
    )


def environment(profile: SandboxProfile, folder: SessionFolder, **plumbing: str) -> Mapping[str, str]:
    """Of the supervisor. `plumbing`: its further variables, without CODEACT_. Raises UsageError."""
    return {
        **{name: os.environ[name] for name in (*profile.env, *OF_HOST) if name in os.environ},
        "CODEACT_PROFILE": dumps(request(profile, str(folder.workspace))),
        "CODEACT_SESSION_DIR": str(folder.path),
        **{f"CODEACT_{name.upper()}": value for name, value in plumbing.items()},
    }
