"""Owns the `%%recorded` magic: shows the code of a step that was stopped, and raises its error."""

from __future__ import annotations

from typing import Any, NoReturn

from IPython.core.error import UsageError
from IPython.core.magic import no_var_expand

from codeact_kernel.wire.recorded import parse_header


class RecordedError(Exception):
    """Base of the errors that stand for a recorded one; the subclass carries the recorded name."""

    def _render_traceback_(self) -> list[str]:
        # IPython asks for this: the frames of the magic would say nothing about the recorded step.
        return [f"{type(self).__name__}: {self}"]


@no_var_expand  # type: ignore[untyped-decorator]  # IPython's types are not read here
def recorded(line: str, cell: str) -> NoReturn:
    """Raise the error that this step ended with when it was recorded; the code is not run."""
    try:
        header = parse_header(line)
    except ValueError as problem:
        raise UsageError(str(problem)) from None
    raise type(header.ename, (RecordedError,), {"__module__": __name__})(header.evalue)


def register_recorded(shell: Any) -> None:
    """Adds the cell magic `%%recorded` to an IPython shell."""
    shell.register_magic_function(recorded, "cell", "recorded")
