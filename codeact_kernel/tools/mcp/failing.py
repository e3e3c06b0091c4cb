"""Owns how a call that fails at its server fails in the kernel: by which exception, in which words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mcp.shared.exceptions import MCPError

from ..failures import Failure, cut
from .problems import Unavailable, Violation
from .results import PROTOCOL
from .words import said

UNAVAILABLE = "ToolUnavailable"


@contextmanager
def told(tool: str, violation: str = PROTOCOL) -> Iterator[None]:
    """Within it, what a server is asked for `tool`. `violation`: the exception for an answer that cannot be.

    Raises: Failure.
    """
    try:
        yield
    except Unavailable as problem:
        raise Failure(UNAVAILABLE, cut(f"{tool}(): {problem}")) from None
    except TimeoutError as problem:
        raise Failure("TimeoutError", cut(f"{tool}(): {problem}")) from None
    except Violation as problem:
        raise Failure(violation, cut(f"{tool}(): {problem}")) from None
    except MCPError as problem:
        raise Failure(PROTOCOL, f"{tool}(): {said(problem.message)} (code {problem.code})") from None
