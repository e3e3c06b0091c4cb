"""Owns how it is said that a value does not fit: where, and why."""

from __future__ import annotations

from collections.abc import Sequence

_MAX_STEP = 100


class Mismatch(Exception):
    """A value does not fit. `path` such as ``.items[3].price``; `kind` TypeError or ValueError; `steps`:
    those of the path, where they are known."""

    def __init__(
        self, path: str, message: str, kind: str = "ValueError", steps: Sequence[int | str] = ()
    ) -> None:
        super().__init__(message)
        self.path = path
        self.message = message
        self.kind = kind
        self.steps = steps

    def at(self, place: str) -> str:
        """The whole sentence, for the value that is known as `place`."""
        return f"{place}{self.path}: {self.message}"


def path_text(steps: Sequence[int | str]) -> str:
    """Such as ``.items[3].price``."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step[:_MAX_STEP]}" for step in steps)
