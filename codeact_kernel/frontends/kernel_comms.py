"""Owns the relay of widgets between the sandbox and the front end of a CodeAct kernel.

A comm of the sandbox has a proxy at the front end; what passes, and under which id, says a `Gate`. Lives on
the front-end kernel's main loop. A message from the front end is the token of what comes of it, so that the
output of a widget's callback has that message as its parent, as in any kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol

from ..outputs import CommMessage, DisplayUpdate, Output
from .kernel_publish import CellPublish
from .relay import Relay

WIDGETS = "jupyter.widget"
KINDS: Mapping[str, Literal["open", "msg", "close"]] = {
    "comm_open": "open",
    "comm_msg": "msg",
    "comm_close": "close",
}


class Gate(Protocol):
    """What of a widget's messages may pass, under the ids of the other side; None: nothing."""

    def from_sandbox(self, message: CommMessage) -> CommMessage | None: ...

    def to_sandbox(self, message: CommMessage) -> CommMessage | None: ...


class CommRelay:
    """The comms of one front-end kernel.

    Args:
        kernel: whose session and iopub socket are used. Comm messages that it gets are handled here.
        gate: `safe_widgets.WidgetGate`.
        send: to the sandbox: `Agent.send_comm`.
        keep: what of an output may reach the front end: `safe_outputs.safe_output`.
    """

    def __init__(
        self,
        kernel: Any,  # an ipykernel Kernel
        gate: Gate,
        send: Callable[[CommMessage, object], None],
        keep: Callable[[Output], Output | None],
    ) -> None:
        self._kernel = kernel
        self._gate = gate
        self._send = send
        self._keep = keep
        self._open: set[str] = set()
        """By their ids at the front end."""
        self.cell: Mapping[str, Any] | None = None
        """The request of the cell that runs, while one does."""
        kernel.shell_handlers |= dict.fromkeys(KINDS, self.handle)
        for handlers in (kernel.shell_handlers, kernel.control_handlers):
            handlers["comm_info_request"] = self.handle_info

    # --- from the sandbox ---

    def comm(self, message: CommMessage) -> None:
        """As `Attendant.comm`. What answers the front end has what it sent as its parent: JupyterLab, when it
        connects again, takes no other for the state that it has asked for."""
        passed = self._gate.from_sandbox(message)
        if passed is not None:
            self._tell(passed, message.token if isinstance(message.token, Mapping) else self.cell)

    def tell(self, message: CommMessage) -> None:
        """A message of the gate's own: it has passed."""
        self._tell(message, self.cell)

    def late(self, output: Output, token: object) -> None:
        """As `Attendant.late`. Of what a cell shows after its end, only changes of its displays are shown."""
        if isinstance(token, Mapping) or isinstance(output, DisplayUpdate):
            parent = token if isinstance(token, Mapping) else {}
            relay = Relay(CellPublish(self._kernel, parent, 0), self._keep, narrated=False)
            relay.feed(output)
            relay.end_step()

    # --- from the front end ---

    async def handle(self, stream: Any, ident: Any, message: Mapping[str, Any]) -> None:
        """The handler of comm_open, comm_msg and comm_close."""
        asked = _read(message)
        if asked is None:
            return
        if asked.kind == "open":
            # Widgets begin in the sandbox. And JupyterLab, where nobody is at its control comm, asks each
            # model for its state, which passes the gate.
            self._tell(CommMessage("close", asked.comm_id), message, known=True)
        elif (passed := self._gate.to_sandbox(asked)) is not None:
            if asked.kind == "close":
                self._open.discard(asked.comm_id)
            self._send(passed, {"header": message["header"]})
        if self.cell is not None:
            self._handled(message, self.cell)

    async def handle_info(self, stream: Any, ident: Any, message: Mapping[str, Any]) -> None:
        """The handler of comm_info_request: JupyterLab asks when it connects again."""
        asked = message["content"].get("target_name") in (None, "", WIDGETS)
        comms = {comm_id: {"target_name": WIDGETS} for comm_id in self._open if asked}
        self._kernel.session.send(stream, "comm_info_reply", {"status": "ok", "comms": comms}, message, ident)

    def close(self) -> None:
        """Closes every comm at the front end: the kernel behind them is gone."""
        for comm_id in list(self._open):
            self._tell(CommMessage("close", comm_id), None)

    # --- to the front end ---

    def _tell(self, message: CommMessage, parent: Mapping[str, Any] | None, *, known: bool = False) -> None:
        content: dict[str, Any] = {"comm_id": message.comm_id, "data": dict(message.data)}
        if message.kind == "open":
            self._open.add(message.comm_id)
            content |= {"target_name": WIDGETS, "target_module": None}
        elif message.comm_id not in self._open and not known:
            return
        if message.kind == "close":
            self._open.discard(message.comm_id)
        self._kernel.session.send(
            self._kernel.iopub_socket,
            f"comm_{message.kind}",
            content,
            parent=parent,
            ident=f"comm-{message.comm_id}".encode(),
            metadata=dict(message.metadata),
            buffers=list(message.buffers),
        )

    def _handled(self, message: Mapping[str, Any], cell: Mapping[str, Any]) -> None:
        """ipykernel says no `idle` of a comm message that comes while a cell runs, and ipywidgets sends the
        next one of its model after that only. The kernel itself stays busy, and says so."""
        self._kernel._publish_status("idle", "shell", parent=message)
        self._kernel._publish_status("busy", "shell", parent=cell)


def _read(message: Mapping[str, Any]) -> CommMessage | None:
    content, kind = message.get("content"), KINDS.get(message["header"].get("msg_type", ""))
    if kind is None or not isinstance(content, dict):
        return None
    comm_id, data, target = content.get("comm_id"), content.get("data"), content.get("target_name", "")
    if not isinstance(comm_id, str) or not isinstance(target, str):
        return None
    metadata = message.get("metadata")
    return CommMessage(
        kind,
        comm_id,
        data if isinstance(data, dict) else {},
        target,
        metadata if isinstance(metadata, dict) else {},
        tuple(bytes(buffer) for buffer in message.get("buffers", ())),
    )
