"""Owns which denials the host is told of: those that a program got to see, each once in a cell."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["import", "read", "write", "network", "process", "system"]
Report: TypeAlias = Callable[[str, str], None]

PENDING = 32
TOLD = 200
"""Of one cell."""
SHOWN = 200
"""Characters of a name that are reported."""


class Reports:
    """Of the denials of one kernel process.

    A denial is reported when its exception has reached code of a cell, caught there or not: libraries look
    for files and programs that may not be there, and what they then do without is nobody's concern. The
    traceback says how far an exception came, so it is looked at a little later: at the next denial, or when
    the cell ends. Network is never looked for in vain, so that is reported at once.

    Args:
        report: called with the kind and the name of what was denied.
    """

    def __init__(self, report: Report) -> None:
        self._report = report
        self._pending: deque[tuple[Exception, Kind, str]] = deque(maxlen=PENDING)
        self._told: set[tuple[str, str]] = set()

    def remember(self, error: Exception, kind: Kind, name: str) -> None:
        """Has the denial reported that this exception, about to be raised, is for."""
        self._settle()
        if kind == "network":
            self.tell(kind, name)
        else:
            self._pending.append((error, kind, name))

    def of_shown(self, error: BaseException) -> None:
        """Reports the denial that this exception is for, if any: it is, or led to, what is shown."""
        for pending, kind, name in list(self._pending):
            if pending is error:
                self.tell(kind, name)

    def end_cell(self) -> None:
        """What has not reached the cell's code by now was dealt with by a library."""
        self._settle()
        self._pending.clear()
        self._told.clear()

    def tell(self, kind: Kind, name: str) -> None:
        """Reports at once."""
        name = name[:SHOWN]
        if (kind, name) not in self._told and len(self._told) < TOLD:
            self._told.add((kind, name))
            self._report(kind, name)

    def _settle(self) -> None:
        for _ in range(len(self._pending)):
            try:
                entry = self._pending.popleft()
            except IndexError:
                return  # Another thread settles too.
            error, kind, name = entry
            if _has_reached_cell(error):
                self.tell(kind, name)
            else:
                self._pending.append(entry)


def _has_reached_cell(error: BaseException) -> bool:
    traceback = error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_globals.get("__name__") == "__main__":
            return True
        traceback = traceback.tb_next
    return False
