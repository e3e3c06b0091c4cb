"""Owns the process of the front-end kernel: ipykernel's application with what does not fit ours left out."""

from __future__ import annotations

import signal
from typing import Any

from ipykernel.kernelapp import IPKernelApp
from traitlets import Type

from .kernel_config import JupyterConfigured
from .traits import GROUPS

JOIN_S = 2.0


class CodeActKernelApp(JupyterConfigured, IPKernelApp):  # type: ignore[misc]  # ipykernel is untyped to us
    """One kernel, in a process of its own."""

    name = "codeact-kernel"
    kernel_class = Type(
        "codeact_kernel.frontends.kernel.CodeActKernel", klass="ipykernel.kernelbase.Kernel"
    ).tag(config=True)
    classes = [*GROUPS]  # noqa: RUF012  # a trait of the base's

    def init_profile_dir(self) -> None:
        """None: profiles configure IPython."""
        self.profile_dir = None

    def init_config_files(self) -> None:
        """Those of Jupyter's folders; `load_config_file`."""

    def init_path(self) -> None:
        """The current folder is not searched for modules: it may be a stranger's."""

    def init_pdb(self) -> None:
        """Nobody debugs here."""

    def init_control(self, context: Any) -> None:
        """Without subshells: a second cell would run beside the first, in another thread and loop."""
        super().init_control(context)
        self.shell_channel_thread = None

    def init_signal(self) -> None:
        """An interrupt stops what runs. ipykernel raises KeyboardInterrupt, which ends the loop of a kernel
        that awaits, and ignores it meanwhile, which processes started here would inherit."""
        signal.signal(signal.SIGINT, self._interrupted)

    def _interrupted(self, number: int, frame: object) -> None:
        if self.kernel is not None:
            self.kernel.interrupt()

    def start(self) -> None:
        """Serves until the shutdown; then waits for the control thread, which may still be writing."""
        super().start()
        if self.control_thread is not None and self.control_thread.is_alive():
            self.control_thread.join(JOIN_S)
