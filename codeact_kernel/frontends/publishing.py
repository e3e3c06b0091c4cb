"""Owns `Publish`: what can be done to the outputs of a notebook's cell, and how that front end is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from ..outputs import Error, MimeBundle
from ..wire.messages import Json

NO_METADATA: Mapping[str, Json] = {}


class Publish(Protocol):
    """The outputs of the cell that runs. Called on one thread; each returns at once."""

    def stream(self, name: Literal["stdout", "stderr"], text: str) -> None: ...

    def display(
        self, data: MimeBundle, metadata: Mapping[str, Json] = NO_METADATA, display_id: str | None = None
    ) -> None: ...

    def update(
        self, display_id: str, data: MimeBundle, metadata: Mapping[str, Json] = NO_METADATA
    ) -> None: ...

    def clear(self, wait: bool) -> None: ...

    def result(self, data: MimeBundle, metadata: Mapping[str, Json] = NO_METADATA) -> None:
        """The value of the cell, its one `Out[n]`."""
        ...

    def error(self, error: Error) -> None:
        """What ended the cell."""
        ...


@dataclass(frozen=True)
class Style:
    """How a front end shows outputs. `updates`: a display can be given new content in its place; `progress`:
    somebody watches."""

    updates: bool = True
    progress: bool = True


LIVE = Style()
CONSOLE = Style(updates=False)
"""Consoles print what comes, once."""
BATCH = Style(updates=False, progress=False)
"""nbclient, papermill: only what is to stay counts."""


def style_for(cell_id: str | None, allow_stdin: bool) -> Style:
    """Notebooks name their cells, and update displays; consoles do not, but somebody sits there."""
    if cell_id is not None:
        return LIVE
    return CONSOLE if allow_stdin else BATCH


class Counted:
    """Publishes, and knows how many outputs the cell holds."""

    def __init__(self, publish: Publish) -> None:
        self._publish = publish
        self._stream = ""
        self.outputs = 0

    def stream(self, name: Literal["stdout", "stderr"], text: str) -> None:
        if name != self._stream:  # Else a front end puts it to the last one.
            self.outputs += 1
        self._stream = name
        self._publish.stream(name, text)

    def display(
        self, data: MimeBundle, metadata: Mapping[str, Json] = NO_METADATA, display_id: str | None = None
    ) -> None:
        self._one_more()
        self._publish.display(data, metadata, display_id)

    def update(self, display_id: str, data: MimeBundle, metadata: Mapping[str, Json] = NO_METADATA) -> None:
        self._publish.update(display_id, data, metadata)

    def clear(self, wait: bool) -> None:
        self._stream, self.outputs = "", 0
        self._publish.clear(wait)

    def result(self, data: MimeBundle, metadata: Mapping[str, Json] = NO_METADATA) -> None:
        self._one_more()
        self._publish.result(data, metadata)

    def error(self, error: Error) -> None:
        self._one_more()
        self._publish.error(error)

    def _one_more(self) -> None:
        self._stream = ""
        self.outputs += 1
