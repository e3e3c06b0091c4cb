"""Owns how one value on the command line is read, and what tells a value from a positional argument.

Standard library only. A reader raises ValueError, whose message says what is needed.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

TIERS = ("auto", "A", "B", "C")
IN_DOUBT = ("ask", "skip", "retry")
APPROVALS = ("allow", "ask", "ask-writes", "deny")
DRIFT_KINDS = ("code", "tool", "output", "profile")
LEAST_MEMORY = 384 * 1024**2
"""Bytes. Below it a kernel does not start: see `sandbox.process`."""


def whole(value: str) -> int | None:
    """A whole number of at least 1, or `none`."""
    if value.lower() == "none":
        return None
    try:
        number = int(value)
    except ValueError:
        number = 0
    if number < 1:
        raise ValueError("give a whole number of at least 1, or 'none' for no bound")
    return number


def amount(value: str) -> float | None:
    """A finite number above 0, or `none`."""
    if value.lower() == "none":
        return None
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise ValueError("give a number above 0, or 'none' for no bound")
    return number


def count(value: str) -> int:
    """A whole number of at least 0."""
    if not re.fullmatch(r"[0-9]{1,9}", value):
        raise ValueError("give the number of a step, such as 3")
    return int(value)


def positive(value: str) -> int:
    """A whole number of at least 1."""
    if not re.fullmatch(r"[0-9]{1,9}", value) or int(value) < 1:
        raise ValueError("give a whole number of at least 1, such as 8")
    return int(value)


def seconds(value: str) -> float:
    """Some seconds, at least one."""
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    if not 1 <= number < float("inf"):
        raise ValueError("give seconds, at least 1, such as 1800")
    return number


def in_doubt(value: str) -> str:
    """What becomes of calls in doubt."""
    if value not in IN_DOUBT:
        raise ValueError(f"give one of {', '.join(IN_DOUBT)}")
    return value


def approval(value: str) -> str:
    """Which tool calls a person is asked about: a mode, or one for a tool."""
    tool, equals, mode = value.rpartition("=")
    named = re.fullmatch(r"[\w.*?]+", tool) is not None
    if mode not in APPROVALS or (equals and (not named or mode == "ask-writes")):
        raise ValueError(
            "give one of allow, ask, ask-writes, deny, or TOOL=MODE such as refund=ask, files.write_*=ask"
        )
    return value


def drift_kind(value: str) -> str:
    """A class of drift."""
    if value not in DRIFT_KINDS:
        raise ValueError(f"give one of {', '.join(DRIFT_KINDS)}")
    return value


def redaction(value: str) -> str:
    """`NAME=REGEX`: what is masked, and what it is called in its place. RE2 judges the expression later."""
    name, equals, pattern = value.partition("=")
    if not (equals and pattern and name.isidentifier() and name.isascii()):
        raise ValueError("give a name and a regular expression, such as email='[a-z]+@[a-z.]+'")
    return value


def module(value: str) -> str:
    """The dotted name of a module."""
    if not all(part.isidentifier() for part in value.split(".")):
        raise ValueError("give the name of a module, such as 'os' or 'xml.etree'")
    return value


def tier(value: str) -> str:
    """What `--sandbox` takes."""
    if value == "none":
        raise ValueError("code without a cage is asked for with --unsandboxed")
    if value not in TIERS:
        raise ValueError(f"give one of {', '.join(TIERS)}; `codeact doctor` says which this machine has")
    return value


def size(value: str) -> int:
    """Bytes, as `512M` or `2G` (of 1024); at least what a kernel needs."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([KMGT]?)(?:i?B)?", value, re.IGNORECASE)
    count = float(found[1]) * 1024 ** " KMGT".index(found[2].upper() or " ") if found else 0.0
    if not LEAST_MEMORY <= count < 2**60:
        raise ValueError("give a size of at least 384M, such as 512M or 2G")
    return int(count)


def kernel_name(value: str) -> str:
    """The name of a kernelspec: that of its folder."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", value):
        raise ValueError("give letters, digits, '.', '_' and '-', such as codeact-shop")
    return value.lower()


def assignment(value: str) -> str:
    """`NAME=VALUE`, for an environment."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*=[^\0]*", value, re.DOTALL):
        raise ValueError("give NAME=VALUE, such as CODEACT_TEAM=blue")
    return value


def folder(value: str) -> str:
    """A folder, as an absolute path."""
    return str(Path(some(value)).expanduser().absolute())


def some(value: str) -> str:
    """A text that is not empty."""
    if not value:
        raise ValueError("give a value that is not empty")
    return value


def is_sentence(value: str) -> bool:
    return value == "-" or (any(c.isspace() for c in value) and not Path(value).exists())


def is_script(value: str) -> bool:
    return value == "-" or value.endswith(".py")


def is_notebook(value: str) -> bool:
    return value.endswith(".ipynb")


def is_path(value: str) -> bool:
    return bool(re.search(r"[./]", value)) or Path(value).exists()
