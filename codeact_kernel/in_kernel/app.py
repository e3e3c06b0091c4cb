"""Owns the launch of the sandbox kernel: lean, without a debugger, history, startup files, and without a
socket of its own making: those it listens on are inherited, since a confined process cannot bind."""

from __future__ import annotations

import gc
import sys
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import zmq
from ipykernel import ipkernel
from ipykernel.control import ControlThread
from ipykernel.heartbeat import Heartbeat
from ipykernel.kernelapp import IPKernelApp
from ipykernel.shellchannel import ShellChannelThread

from codeact_kernel.in_kernel import attach, denials_hooks
from codeact_kernel.in_kernel.attach import attach_from_environment
from codeact_kernel.in_kernel.bounded import BoundedSession
from codeact_kernel.in_kernel.denials import Cage
from codeact_kernel.in_kernel.kernel import ActionKernel
from codeact_kernel.in_kernel.publishing import NoSubshells, PublishingThread
from codeact_kernel.in_kernel.streams import inherit_context

IOPUB_QUEUE = 1000
"""Messages that wait for a slow client; then the sender waits too, instead of dropping them."""


class InheritedHeartbeat(Heartbeat):  # type: ignore[misc]  # ipykernel publishes no types
    """A heartbeat on a socket that listens already."""

    descriptor = -1

    def _try_bind_socket(self) -> None:
        self.socket.set(zmq.USE_FD, self.descriptor)
        super()._try_bind_socket()


class ActionApp(IPKernelApp):  # type: ignore[misc]  # ipykernel publishes no types
    """The application around an `ActionKernel`."""

    name = "codeact-python"
    inherited: Mapping[str, int] = {}
    """Descriptors of listening sockets, by channel."""

    def _session_default(self) -> BoundedSession:
        return BoundedSession(parent=self)

    def load_config_file(self, *args: Any, **kwargs: Any) -> None:
        """No configuration is read: a file that action code planted would run at the next start."""

    def init_code(self) -> None:
        """No startup files, for the same reason."""

    def parse_command_line(self, argv: Any = None) -> None:
        if argv:  # To make the parser takes 6 ms.
            super().parse_command_line(argv)

    def write_connection_file(self, **kwargs: Any) -> None:
        """It is the supervisor's, who has bound what it names."""

    def _try_bind_socket(self, s: zmq.Socket[Any], port: int) -> int:
        descriptors = {getattr(self, f"{channel}_port"): fd for channel, fd in self.inherited.items()}
        s.set(zmq.USE_FD, descriptors[port])
        bound: int = super()._try_bind_socket(s, port)
        return bound

    def init_heartbeat(self) -> None:
        self.heartbeat = InheritedHeartbeat(
            zmq.Context(),
            (self.transport, self.ip, self.hb_port),
            curve_publickey=self.curve_publickey,
            curve_secretkey=self.curve_secretkey,
        )
        self.heartbeat.descriptor = self.inherited["hb"]
        self.heartbeat.start()

    def init_control(self, context: zmq.Context[Any]) -> None:
        # As stock, but for the socket with which its debugger connects to the shell channel.
        self.control_socket = context.socket(zmq.ROUTER)
        self.control_socket.linger = 1000
        self._apply_curve_server_options(self.control_socket)
        self.control_port: int = self._bind_socket(self.control_socket, self.control_port)
        self.control_socket.router_handover = 1
        self.debugpy_socket = context.socket(zmq.STREAM)
        self.debug_shell_socket = context.socket(zmq.DEALER)
        self.control_thread = ControlThread(daemon=True)
        agent = attach.channel is not None
        self.shell_channel_thread = NoSubshells() if agent else ShellChannelThread(context, daemon=True)

    def init_iopub(self, context: zmq.Context[Any]) -> None:
        # Stock drops messages of a client that is slow, silently; and it listens on TCP for forks.
        self.iopub_socket = context.socket(zmq.XPUB)
        self.iopub_socket.linger = 1000
        self.iopub_socket.set(zmq.XPUB_NODROP, 1)
        self.iopub_socket.set(zmq.SNDHWM, IOPUB_QUEUE)
        self._apply_curve_server_options(self.iopub_socket)
        self.iopub_port: int = self._bind_socket(self.iopub_socket, self.iopub_port)
        self.configure_tornado_logger()
        self.iopub_thread = PublishingThread(self.iopub_socket, pipe=False, session=self.session)
        self.iopub_thread.start()
        self.iopub_socket = self.iopub_thread.background_socket

    def start(self) -> None:
        super().start()
        # The control thread may still be flushing into the IOPub thread, which exit stops first: a
        # deadlock in ipykernel 7.4 once debugpy is out of the way.
        if self.control_thread is not None and self.control_thread.is_alive():
            self.control_thread.join(2)


def rehearse(shell: Any) -> None:
    """Makes what IPython makes when it is first used: in a kernel that is kept ready, nobody waits for it."""
    shell.display_formatter.formatters  # noqa: B018  # It is made when it is first looked at.
    shell.run_cell("pass", store_history=False, silent=True)


def launch(
    connection_file: str,
    sockets: Mapping[str, int],
    arguments: Sequence[str] = (),
    cage: Cage | None = None,
) -> None:
    """Runs the kernel until it is told to shut down.

    Args:
        sockets: descriptors of the listening sockets, by channel.
        arguments: further options, as `ipykernel_launcher` takes them.
        cage: what this process is confined to, if it is.
    """
    if cage is not None:
        denials_hooks.install(cage)
    sys.modules["debugpy"] = None  # type: ignore[assignment]  # 75 ms of start-up for nothing
    attach_from_environment()
    app = ActionApp.instance(
        kernel_class=ActionKernel,
        outstream_class="codeact_kernel.in_kernel.streams.CappedOutStream",
        connection_file=connection_file,
        parent_handle=1,  # No poller: the supervisor watches over this process.
    )
    app.inherited = sockets
    app.config.HistoryManager.enabled = False
    # It takes seconds to load when first asked, longer than a front end waits.
    app.config.IPCompleter.use_jedi = False
    # For a debugger, stock asks every module where its file is: a fork would copy the memory of them all.
    ipkernel.sys = SimpleNamespace(modules={})
    app.initialize(list(arguments))
    ipkernel.sys = sys
    inherit_context()
    rehearse(app.shell)
    denials_hooks.ready()
    gc.enable()  # The launcher had it off.
    app.start()
