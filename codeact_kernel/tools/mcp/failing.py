"""Owns how a call that fails at its server fails in the kernel: by which exception, in which words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from mcp.shared.exceptions import MCPError

from ..failures import Failure, cut
from .problems import Unavailable, Violation
from .results import PROTOCOL
from .words import said, without

UNAVAILABLE = "ToolUnavailable"


@contextmanager
def told(tool: str, secrets: Iterable[str], violation: str = PROTOCOL) -> Iterator[None]:
    """Within it, what a server is asked for `tool`. `secrets`: are in no message, though a server may write
    them to its stderr; `violation`: the exception for an answer that cannot be.

    Raises: Failure.
    """
    try:
        yield
    except Unavailable as problem:
        raise Failure(UNAVAILABLE, cut(without(f"{tool}(): {problem}", secrets)), problem.made) from None
    except TimeoutError as problem:
        raise Failure("TimeoutError", cut(f"{tool}(): {problem}"), "unknown") from None
    except Violation as problem:
        raise Failure(violation, cut(without(f"{tool}(): {problem}", secrets))) from None
    except MCPError as problem:
        raise Failure(
            PROTOCOL, f"{tool}(): {said(without(problem.message, secrets))} (code {problem.code})"
        ) from None
