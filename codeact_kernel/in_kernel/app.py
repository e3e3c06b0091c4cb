"""Owns the launch of the sandbox kernel: lean, without a debugger, history, startup files or TCP."""

from __future__ import annotations

import sys
from typing import Any

import zmq
from ipykernel.iostream import IOPubThread
from ipykernel.kernelapp import IPKernelApp

from codeact_kernel.in_kernel.attach import attach_from_environment
from codeact_kernel.in_kernel.bounded import BoundedSession
from codeact_kernel.in_kernel.kernel import ActionKernel
from codeact_kernel.in_kernel.streams import inherit_context

IOPUB_QUEUE = 1000
"""Messages that wait for a slow client; then the sender waits too, instead of dropping them."""


class ActionApp(IPKernelApp):  # type: ignore[misc]  # ipykernel publishes no types
    """The application around an `ActionKernel`."""

    name = "codeact-python"

    def _session_default(self) -> BoundedSession:
        return BoundedSession(parent=self)

    def load_config_file(self, *args: Any, **kwargs: Any) -> None:
        """No configuration is read: a file that action code planted would run at the next start."""

    def init_code(self) -> None:
        """No startup files, for the same reason."""

    def init_iopub(self, context: zmq.Context[Any]) -> None:
        # Stock drops messages of a client that is slow, silently; and it listens on TCP for forks.
        self.iopub_socket = context.socket(zmq.XPUB)
        self.iopub_socket.linger = 1000
        self.iopub_socket.set(zmq.XPUB_NODROP, 1)
        self.iopub_socket.set(zmq.SNDHWM, IOPUB_QUEUE)
        self._apply_curve_server_options(self.iopub_socket)
        self.iopub_port: int = self._bind_socket(self.iopub_socket, self.iopub_port)
        self.configure_tornado_logger()
        self.iopub_thread = IOPubThread(self.iopub_socket, pipe=False, session=self.session)
        self.iopub_thread.start()
        self.iopub_socket = self.iopub_thread.background_socket

    def start(self) -> None:
        super().start()
        # The control thread may still be flushing into the IOPub thread, which exit stops first: a
        # deadlock in ipykernel 7.4 once debugpy is out of the way.
        if self.control_thread is not None and self.control_thread.is_alive():
            self.control_thread.join(2)


def launch(connection_file: str) -> None:
    """Runs the kernel until it is told to shut down."""
    sys.modules["debugpy"] = None  # type: ignore[assignment]  # 75 ms of start-up for nothing
    attach_from_environment()
    app = ActionApp.instance(
        kernel_class=ActionKernel,
        outstream_class="codeact_kernel.in_kernel.streams.CappedOutStream",
        connection_file=connection_file,
        parent_handle=1,  # No poller: the supervisor watches over this process.
    )
    app.config.HistoryManager.enabled = False
    app.initialize([])
    inherit_context()
    app.start()
