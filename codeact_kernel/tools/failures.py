"""Owns what the sandbox learns of an exception on the host: its type's name and a safe message."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from ..wire.messages import Made, Raised

MAX_MESSAGE = 2000
"""Characters."""


class Failure(Exception):
    """A failure whose `kind` and message are what the code gets, made for it. `made`: as of `Raised`."""

    def __init__(self, kind: str, message: str, made: Made = "yes") -> None:
        super().__init__(message)
        self.kind = kind
        self.made = made


def raised(problem: BaseException, tool: str) -> Raised:
    """The outcome for what `tool` raised."""
    if isinstance(problem, Failure):
        return Raised(problem.kind, cut(str(problem)), problem.made)
    if isinstance(problem, SystemExit):
        said = f"{tool}() tried to end the host process: SystemExit({problem.code!r})"
        return Raised("RuntimeError", cut(said))
    return Raised(type(problem).__name__, safe_text(_message(problem)))


def _message(problem: BaseException) -> str:
    if isinstance(problem, KeyError) and len(problem.args) == 1 and isinstance(problem.args[0], str):
        return problem.args[0]  # str() would quote it, and the exception made from it quotes it again
    try:
        return str(problem)
    except Exception as other:  # somebody else's __str__
        return f"no message: {type(other).__name__}"


def failure(problem: BaseException) -> str:
    """In one line, for a reason within a message: the type and what it says."""
    return f"{type(problem).__name__}: {safe_text(_message(problem))[:200]}"


def cut(text: str) -> str:
    """`text` in `MAX_MESSAGE` characters."""
    return text if len(text) <= MAX_MESSAGE else text[:MAX_MESSAGE] + "…"


def safe_text(text: str) -> str:
    """`text` cut to `MAX_MESSAGE` characters, paths of this machine replaced by their last part."""
    text = text[: 4 * MAX_MESSAGE].encode("utf-8", "backslashreplace").decode("utf-8")
    text = _host_paths().sub(lambda match: match[0].rstrip("/").rpartition("/")[2], text)
    return cut(text)


@cache
def _host_paths() -> re.Pattern[str]:
    """Absolute paths below any top folder of this machine; not `/api/orders`, nor part of a URL."""
    tops = "|".join(re.escape(path.name) for path in Path("/").iterdir())
    return re.compile(rf"(?<![\w.-])/(?:{tops})/[^\s'\"<>|:;,)\]}}]+")
