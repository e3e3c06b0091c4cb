"""Owns how a run is asked for a cage, and what is said of it: the report as JSON, the lack of one."""

from __future__ import annotations

import json
import sys
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

from ..config import SandboxProfile
from ..exceptions import UsageError
from ..sandbox.confine.policy import TIERS, dumps
from ..wire.messages import Json

if TYPE_CHECKING:
    from ..sandbox.session import KernelSession

PLAIN = (
    "UNSANDBOXED: the code that runs has every right that you have. It can read your files and keys, "
    "use the network, start programs and delete what you can delete."
)
REMEDY = "`codeact doctor` says which cage this machine gives and how to get one."


class UnsandboxedWarning(UserWarning):
    """Code runs without the operating system's confinement, because the caller asked for it."""


def warn(profile: SandboxProfile, stacklevel: int = 3) -> None:
    """Warns when `profile` asks for no cage; as everything of `warnings`, once for each place."""
    if profile.sandbox == "none":
        warnings.warn(f"{PLAIN} {REMEDY}", UnsandboxedWarning, stacklevel=stacklevel)


def say(profile: SandboxProfile) -> None:
    """The same for people at a terminal, who need not read it a second time as a warning."""
    if profile.sandbox == "none":
        warnings.simplefilter("ignore", UnsandboxedWarning)
        rule = "!" * 78
        first, rest = PLAIN.split(". ", 1)
        print(f"{rule}\n!! {first}.\n!! {rest}\n!! {REMEDY}\n{rule}", file=sys.stderr, flush=True)


def entry_of(session: KernelSession) -> dict[str, Json]:
    """The report of a session that was started, as `RunInfo.sandbox` and JSON documents keep it."""
    entry: dict[str, Json] = json.loads(dumps(session.report))
    return entry


def with_sandbox(profile: SandboxProfile, sandbox: str | None) -> SandboxProfile:
    """`profile` with another `sandbox`, if one is given. Raises UsageError when it is none that exists."""
    asked = profile.sandbox if sandbox is None else sandbox
    if asked not in (known := ("auto", *TIERS, "none")):
        raise UsageError(f"sandbox={asked!r} is unknown; give one of {', '.join(map(repr, known))}")
    return replace(profile, sandbox=asked)
