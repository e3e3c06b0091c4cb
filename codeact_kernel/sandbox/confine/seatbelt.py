"""Owns the profile for macOS's `sandbox-exec`. Best effort: it was written from other projects' profiles and
has never run, so no tier is claimed for it.

What it cannot do: limit memory, threads or processes, and end the kernel with its parent.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from .policy import Policy


def profile_text(policy: Policy, program: str) -> str:
    """The profile, in Seatbelt's language, for a kernel that `program` (an interpreter) runs.

    Raises:
        ValueError: a path has a control character in it, which the language has no safe way to write.
    """
    written = _places(policy.write)
    lines = [
        "(version 1)",
        "(deny default)",
        '(import "system.sb")',
        "(deny network*)",
        "(deny process-exec*)",
        f"(allow process-exec {_places([program])})",
        "(allow process-fork)" if policy.fork else "(deny process-fork)",
        "(allow signal (target self))",
        "(allow sysctl-read)",
        "(allow file-read-metadata)",
        f"(allow file-read* {_places([*policy.read, *policy.write, policy.connection_file, program])})",
        '(allow file-read* file-write-data (literal "/dev/null"))',
        # The listening sockets were bound outside, in the folder of the connection file.
        f"(allow network-inbound {_places([os.path.dirname(policy.connection_file)])})",
    ]
    if written:
        lines.append(f"(allow file-write* {written})")
    return "\n".join(lines) + "\n"


def _places(paths: Iterable[str]) -> str:
    """Each path with all below it; also where links lead to, since the rules are about real paths."""
    both = dict.fromkeys(place for path in paths for place in (os.path.abspath(path), os.path.realpath(path)))
    return " ".join(f"(subpath {_quoted(path)})" for path in both)


def _quoted(path: str) -> str:
    if not path.isprintable():
        raise ValueError(f"the path {path!r} has a control character in it; rename it, or leave it out")
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'
