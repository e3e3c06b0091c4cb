"""Owns how many calls a cell may make, and how much of what they say is kept of them."""

from __future__ import annotations

from .config import ToolLimits
from .wire.frames import HEADER, MAX_FRAME, answer, called, too_large
from .wire.messages import Raised, Returned, ToolOutcome, ToolRequest
from .wire.weight import weight

_ESCAPED = 6
"""Bytes that one of `weight` takes at most in a frame: a control character is `\\u0000` there."""


class Allowance:
    """The account of one cell. Refusals are what the code gets in place of an outcome."""

    def __init__(self, limits: ToolLimits) -> None:
        self._limits = limits
        self._asked = 0
        self._kept = 0

    def too_many(self, request: ToolRequest) -> Raised | None:
        """Counts a call. Not those that were made: many may wait for approval at once."""
        self._asked += 1
        most = self._limits.max_calls
        if self._asked <= most:
            return None
        return Raised("RuntimeError", f"{called(request.tool)}: more than {most} calls in one cell")

    def no_room(self, request: ToolRequest, size: int) -> Raised | None:
        """Takes room for arguments of that weight."""
        if self._kept + size > self._limits.max_cell_bytes:
            return self._too_much(request, "arguments", size)
        self._kept += size
        return None

    def give_back(self, size: int) -> None:
        """The call is not on the tape."""
        self._kept -= size

    def taken(self, request: ToolRequest, outcome: ToolOutcome) -> ToolOutcome:
        """`outcome`, if it can be sent and the cell has room for it: what it gets is what is recorded."""
        size = weight(outcome.value if isinstance(outcome, Returned) else outcome.message)
        most = min(self._limits.max_payload_bytes, MAX_FRAME)
        if _ESCAPED * size > most and (sent := len(answer(request.call_id, outcome)) - HEADER) > most:
            outcome = too_large(request.tool, sent, most)
            size = weight(outcome.message)
        if self._kept + size > self._limits.max_cell_bytes:
            return self._too_much(request, "result", size)
        self._kept += size
        return outcome

    def _too_much(self, request: ToolRequest, what: str, size: int) -> Raised:
        problem = (
            f"{called(request.tool)}: {what} of {size:,} bytes, after {self._kept:,} in this cell; a cell "
            f"can have {self._limits.max_cell_bytes:,} (max_cell_bytes); go on in the next cell, or with less"
        )
        return Raised("RuntimeError", problem)
