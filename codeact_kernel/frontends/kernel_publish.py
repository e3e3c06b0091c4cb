"""Owns what the front-end kernel sends of a cell: Jupyter messages on iopub, each with its cell as parent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from ..outputs import Error, MimeBundle
from ..wire.messages import Json
from .publishing import NO_METADATA


class CellPublish:
    """Publishes for one cell. The parent is said each time: ipykernel's own notion of the current one is a
    context variable, and comm messages that come in meanwhile change it.

    Args:
        kernel: whose session and iopub socket are used.
        parent: the execute_request.
        count: the cell's execution count.
    """

    def __init__(self, kernel: Any, parent: Mapping[str, Any], count: int) -> None:  # an ipykernel Kernel
        self._kernel = kernel
        self._parent = parent
        self._count = count
        self.said: str | None = None
        """The cell's result as text."""

    def stream(self, name: Literal["stdout", "stderr"], text: str) -> None:
        self._send("stream", {"name": name, "text": text})

    def display(
        self, data: MimeBundle, metadata: Mapping[str, Json] = NO_METADATA, display_id: str | None = None
    ) -> None:
        transient = {} if display_id is None else {"display_id": display_id}
        self._send("display_data", {"data": dict(data), "metadata": dict(metadata), "transient": transient})

    def update(self, display_id: str, data: MimeBundle, metadata: Mapping[str, Json] = NO_METADATA) -> None:
        content = {
            "data": dict(data),
            "metadata": dict(metadata),
            "transient": {"display_id": display_id},
        }
        self._send("update_display_data", content)

    def clear(self, wait: bool) -> None:
        self._send("clear_output", {"wait": wait})

    def result(self, data: MimeBundle, metadata: Mapping[str, Json] = NO_METADATA) -> None:
        self.said = str(data.get("text/plain", ""))
        content = {"execution_count": self._count, "data": dict(data), "metadata": dict(metadata)}
        self._send("execute_result", content)

    def error(self, error: Error) -> None:
        self._send("error", error_content(error))

    def _send(self, kind: str, content: Mapping[str, Any]) -> None:
        kernel = self._kernel
        kernel.session.send(
            kernel.iopub_socket, kind, content, parent=self._parent, ident=kernel._topic(kind)
        )


class Silent:
    """Publishes nothing: of a silent cell."""

    said = None

    def stream(self, name: Literal["stdout", "stderr"], text: str) -> None: ...

    def display(
        self, data: MimeBundle, metadata: Mapping[str, Json] = NO_METADATA, display_id: str | None = None
    ) -> None: ...

    def update(
        self, display_id: str, data: MimeBundle, metadata: Mapping[str, Json] = NO_METADATA
    ) -> None: ...

    def clear(self, wait: bool) -> None: ...

    def result(self, data: MimeBundle, metadata: Mapping[str, Json] = NO_METADATA) -> None: ...

    def error(self, error: Error) -> None: ...


def error_content(error: Error) -> dict[str, Any]:
    """Of an `error` message, and of the reply of the cell."""
    return {"ename": error.ename, "evalue": error.evalue, "traceback": list(error.traceback)}
