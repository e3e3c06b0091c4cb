"""Owns the calls by which a kernel tells what a function does while its run is run again.

_skill.began(number, name, [args], {kwargs})      values, or null where they cannot be told
_skill.ended(number, {"returns": value} | {"refused": "why"})
_skill.again(number)                              -> [[args], {kwargs}]
"""

from __future__ import annotations

BEGAN, ENDED, AGAIN = "_skill.began", "_skill.ended", "_skill.again"
WATCH, CALL = "_codeact_watch", "_codeact_call"
"""What these are called in the kernel's namespace."""
SOURCE = f"from codeact_kernel.in_kernel.watching import call as {CALL}, watch as {WATCH}\n"
"""Before the setup of a kernel that watches."""
MAX_WATCHED = 100
"""Calls of functions that one kernel tells of."""
MAX_TOLD = 32 * 1024
"""Characters of the values of one call, about."""
