"""Owns what Output widgets of the sandbox show: in Jupyter the browser collects it, here the gate does."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ..outputs import ClearOutput, Display, Error, Output, Result, Stream
from ..wire.lines import dump_line
from ..wire.messages import Json
from .safe_outputs import View, output_json, safe_output

MAX_OUTPUTS = 100
MAX_SIZE = 2_000_000
"""Characters that one Output widget shows."""


@dataclass(eq=False)
class _Area:
    """What one widget shows."""

    shown: list[Output] = field(default_factory=list)
    size: int = 0
    clear_next: bool = False

    def add(self, output: Stream | Display | Result | Error) -> None:
        if self.clear_next:
            self.clear()
        size = len(output.text) if isinstance(output, Stream) else len(dump_line(output_json(output)))
        if self.size + size > MAX_SIZE:
            return
        self.size += size
        last = self.shown[-1] if self.shown else None
        if isinstance(output, Stream) and isinstance(last, Stream) and last.name == output.name:
            self.shown[-1] = replace(last, text=last.text + output.text)
        elif len(self.shown) < MAX_OUTPUTS:
            self.shown.append(output)

    def clear(self) -> None:
        self.shown, self.size, self.clear_next = [], 0, False


class Captures:
    """The Output widgets, by their ids in the sandbox."""

    def __init__(self) -> None:
        self._areas: dict[str, _Area] = {}
        self._capturing: list[str] = []
        self._changed: set[str] = set()

    def set(self, model_id: str, capturing: bool) -> None:
        """`with output:` begins or ends."""
        self._capturing = [other for other in self._capturing if other != model_id]
        if capturing:
            self._capturing.append(model_id)

    def forget(self, model_id: str) -> None:
        """A model is closed."""
        self.set(model_id, False)
        self._areas.pop(model_id, None)
        self._changed.discard(model_id)

    def take(self, output: Output, view: View) -> bool:
        """Whether an output is shown in the widget whose block runs, and not where the cell shows things."""
        if not self._capturing or not isinstance(output, Stream | Display | Result | Error | ClearOutput):
            return False
        area = self._areas.setdefault(self._capturing[-1], _Area())
        self._changed.add(self._capturing[-1])
        if isinstance(output, ClearOutput):
            area.clear_next = output.wait
            if not output.wait:
                area.clear()
        elif isinstance(kept := safe_output(output, view), Stream | Display | Result | Error):
            area.add(kept)
        return True

    def changes(self) -> dict[str, list[Json]]:
        """What the widgets show that show something else than the last time."""
        changed, self._changed = self._changed, set()
        return {one: self.shown(one) for one in changed}

    def shown(self, model_id: str) -> list[Json]:
        """What that widget shows of it."""
        area = self._areas.get(model_id)
        return [] if area is None else [output_json(output) for output in area.shown]
