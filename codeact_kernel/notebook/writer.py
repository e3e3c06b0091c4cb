"""Owns putting a notebook on disk: whole or not at all, without secrets, at a negligible cost."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..ahead import import_ahead
from ..trajectory import Trajectory
from ..wire.lines import writable
from .chain import seal
from .redact import Redactor
from .render import render
from .replacing import replace_file

if TYPE_CHECKING:
    from nbformat import NotebookNode

SHARE = 0.005
"""Of the time since the start that `NotebookWriter` means to spend on writing. One that has grown costs more
than the one before, on a busy machine twice as much: all saving is to stay below 2 %."""


def write(trajectory: Trajectory, path: str | Path, redactor: Redactor | None = None) -> None:
    """Replaces the notebook at `path`; whoever reads it sees the old one or the new one, never half.

    Args:
        redactor: keeps secrets out, and knows what of the trajectory was replaced earlier (`learn`); by
            default one that knows the secrets of this process's environment.

    Raises: UsageError when the place cannot be written.
    """
    path = Path(path)
    if redactor is None:
        redactor = Redactor.of_host()
        redactor.learn(trajectory)
    data = _text(trajectory, redactor).encode("utf-8", "backslashreplace")
    replace_file(path, data, "choose another --out")


class NotebookWriter:
    """Writes the notebook of one run as it goes on.

    The journal holds the truth, so a notebook that is a few steps old loses nothing.

    Args:
        clock: seconds; what shares of time are measured with.
    """

    def __init__(
        self,
        path: str | Path,
        redactor: Redactor | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.path = Path(path)
        self._redactor = redactor or Redactor.of_host()
        self._clock = clock
        import_ahead("codeact_kernel.jupyter_schemas")  # The kernel has yet to start.
        self._start = clock()
        self._spent = 0.0
        self._last = 0.0

    def maybe_write(self, trajectory: Trajectory) -> bool:
        """Writes when that keeps writing a negligible share (`SHARE`) of the run; says whether it did.

        The next time is taken to cost what the last one did, and so is the one at the end; the first always
        happens.
        """
        elapsed = self._clock() - self._start
        if self._last and self._spent + 2 * self._last > SHARE * elapsed:
            return False
        self.write(trajectory)
        return True

    def write(self, trajectory: Trajectory) -> None:
        """Writes now: at pauses and at the end."""
        begin = self._clock()
        write(trajectory, self.path, self._redactor)
        self._last = self._clock() - begin
        self._spent += self._last


def _text(trajectory: Trajectory, redactor: Redactor) -> str:
    from ..jupyter_schemas import nbformat  # Dear, and not needed before something is written.

    notebook = render(redactor.record(trajectory), redacted=redactor.summary)
    if redactor.names:
        notebook.metadata.codeact["redacted"] = list(redactor.names)
    try:
        return _sealed(notebook)
    except (ValueError, RecursionError):  # NaN, or nested too deep: JSON has no word for it.
        return _sealed(nbformat.from_dict(writable(notebook)))


def _sealed(notebook: NotebookNode) -> str:
    from ..jupyter_schemas import nbformat  # As above.

    seal(notebook)
    return str(nbformat.v4.writes(notebook, allow_nan=False)) + "\n"
