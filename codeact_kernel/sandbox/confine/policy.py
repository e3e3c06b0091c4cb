"""Owns what is agreed about one cage: the profile that is asked for, the policy the launcher applies,
and the report of what came of it. Each is JSON on its way from process to process.

Named tuples, not dataclasses: these cost the supervisor 10 ms to import before the kernel can start.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

MIB = 1024 * 1024
REPORT_BYTES = 32 * 1024
"""Of a report; less than a pipe holds, so that writing it never blocks."""
TIERS = ("A", "B", "C")
"""A: namespaces + Landlock + seccomp. B: without namespaces. C: without Landlock. Best first. On macOS there
is only M, Seatbelt, which none of them includes."""
LAYERS = ("namespaces", "landlock")
"""What a cage can do without, one at a time; seccomp it cannot."""


class Bounds(NamedTuple):
    """What one session may use. The same names and defaults as `config.SandboxLimits`."""

    memory_bytes: int = 4096 * MIB
    cpu_seconds: float | None = 6 * 3600.0
    threads: int = 256
    open_files: int = 512
    file_bytes: int = 1024 * MIB
    disk_bytes: int = 2048 * MIB
    disk_files: int = 50_000


class Profile(NamedTuple):
    """What is asked for: `config.SandboxProfile` as the supervisor reads it from CODEACT_PROFILE.

    A client that knows nothing of provisioners sets no such variable and gets the defaults.
    """

    workspace: str | None = None
    data: tuple[str, ...] = ()
    readable: tuple[str, ...] = ()
    import_ceiling: tuple[str, ...] | None = None
    env: tuple[str, ...] = ()
    limits: Bounds = Bounds()
    allow_fork: bool = False
    sandbox: str = "auto"
    without: tuple[str, ...] = ()


class Policy(NamedTuple):
    """What the launcher is to do, in its first argument.

    `roots`: folders to import from, after the interpreter's own. `read`, `write`: absolute paths, files
    or folders; `write` folders may be read too. `sockets`: inherited listening sockets by channel.
    `namespaces`: this process is in namespaces of its own, so Landlock may be missing. `parent`: expected
    parent pid, 0 where it cannot be seen. `canary`: a host file that must not be readable. `report`: a
    descriptor that takes the report and is then closed. `tcp`: the sockets are. `confined`: False only
    where the user said so.
    """

    connection_file: str
    workspace: str
    roots: tuple[str, ...]
    read: tuple[str, ...]
    write: tuple[str, ...]
    sockets: dict[str, int]
    channel: int
    report: int
    parent: int
    canary: str
    namespaces: bool
    landlock: bool
    fork: bool
    tcp: bool
    limits: Bounds
    arguments: tuple[str, ...] = ()
    confined: bool = True


class Report(NamedTuple):
    """What came of it; stamped into the trajectory.

    `tier`: one of `TIERS`, "M", or "none". `filter`: digest of the system-call filter. `limits`: how each
    bound is enforced ("kernel", "watchdog", "cgroup"). `selftest`: "held" or what went wrong, by what was
    tried. `problem`: why there is no cage. `remarks`: what was tried before, and why it was not to be had.
    `start`: how the kernel came to be: "cold" (a new interpreter), "fork" (of a preloaded process) or "spare"
    (such a fork, made beforehand).
    """

    tier: str = "none"
    landlock_abi: int = 0
    filter: str = ""
    uid: int = -1
    limits: dict[str, str] = {}  # noqa: RUF012  # a named tuple; nobody changes a default of it
    selftest: dict[str, str] = {}  # noqa: RUF012  # as above
    problem: str = ""
    remarks: tuple[str, ...] = ()
    milliseconds: float = 0.0
    start: str = "cold"


def dumps(value: Profile | Policy | Report) -> str:
    """As JSON, in one line."""
    entry = value._asdict()
    if isinstance(value, Profile | Policy):
        entry["limits"] = value.limits._asdict()
    return json.dumps(entry, separators=(",", ":"))


def load_profile(text: str) -> Profile:
    """Reads CODEACT_PROFILE. Raises ValueError naming a field that is not known or has a wrong type."""
    return Profile(**_fields(Profile, text))


def load_policy(text: str) -> Policy:
    """Reads what the supervisor wrote."""
    return Policy(**_fields(Policy, text))


def load_report(text: str) -> Report:
    """Reads what the launcher wrote, before any code of the kernel ran. Raises ValueError."""
    return Report(**_fields(Report, text))


def _fields(kind: type[NamedTuple], text: str) -> dict[str, Any]:
    entry = json.loads(text)
    if not isinstance(entry, dict):
        raise ValueError(f"a {kind.__name__} is an object, not {text!r:.100}")
    unknown = sorted(set(entry) - set(kind._fields))
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no field of a {kind.__name__}; known: {', '.join(kind._fields)}")
    if kind is not Report and "limits" in entry:
        extra = sorted(set(entry["limits"]) - set(Bounds._fields))
        if extra:
            raise ValueError(f"{extra[0]!r} is no limit; known: {', '.join(Bounds._fields)}")
        entry["limits"] = Bounds(**entry["limits"])
    return {name: tuple(value) if isinstance(value, list) else value for name, value in entry.items()}
