"""Owns `GoingOn`: how an agent, before its first task, takes up a saved run."""

from __future__ import annotations

from pathlib import Path

from ..wire.messages import ToolCall
from .origin import InDoubt, doubts, forked, resumed
from .work import Work


class GoingOn:
    """A part of `Agent`."""

    _work: Work
    _out: str | Path | None

    def resume(self, path: str | Path, *, in_doubt: InDoubt = "ask") -> None:
        """Makes this agent, before its first task, go on with a saved run: `run("next task")`, or `run(None)`
        for a task that was cut off. Its cells are run again at the start, tools answered from the record.

        The run goes on in that notebook, or, when `out` was given, in a new one that names its parent.
        `in_doubt`: calls that began and may have been done when the run was cut off: "skip", "retry", or a
        function that says whether to call again; "ask" refuses to go on while there are such calls.
        Raises: NotebookError, UsageError.
        """
        origin = resumed(Path(path), in_doubt, self._work.tools, elsewhere=self._out is not None)
        self._work.go_on_from(origin)
        if self._out is None:
            self._work.record_to(Path(path).absolute(), resumes=True)

    def doubts(self, path: str | Path) -> list[ToolCall]:
        """The calls of a run that was cut off that somebody has to decide on before it goes on: they began,
        may have been done, and may change something. Raises: NotebookError, UsageError."""
        return doubts(Path(path), self._work.tools)

    def fork(self, path: str | Path, at: int, *, code: str | None = None) -> None:
        """Makes this agent, before its first task, a branch of a saved run after step `at`: `run("…")` gives
        it a new task there, `run(None)` lets the model go on. `code` takes the place of that step's code.

        Raises: NotebookError, UsageError.
        """
        self._work.go_on_from(forked(Path(path), at, code))
