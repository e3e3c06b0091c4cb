"""Owns one kernel process: launched through the provisioner, watched, and stopped without a trace."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any

from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec

from ..config import SandboxProfile
from ..exceptions import SandboxError
from . import supervisor
from .carrier import Carrier
from .folders import SessionFolder
from .mailbox import Mailbox

START_S = 60.0
POLL_S = 0.004


def kernel_spec() -> KernelSpec:
    """The kernelspec `codeact-python` with this interpreter, installed or not."""
    return KernelSpec(
        argv=[sys.executable, "-P", supervisor.__file__, "-f", "{connection_file}"],
        display_name="Python 3 (CodeAct)",
        language="python",
        interrupt_mode="message",
        metadata={"kernel_provisioner": {"provisioner_name": "codeact-sandbox", "config": {}}},
    )


class KernelProcess:
    """One kernel, from launch to the end of its process."""

    def __init__(self, folder: SessionFolder, profile: SandboxProfile) -> None:
        self._folder = folder
        self._profile = profile
        self._lifeline = -1
        self._pidfd = -1
        self._loop = asyncio.get_running_loop()
        self.mailbox: Mailbox | None = None
        runtime = folder.runtime()
        self._manager = AsyncKernelManager(
            kernel_name="codeact-python",
            transport="ipc",
            ip=str(runtime / "k"),
            connection_file=str(runtime / "c.json"),
        )
        self._manager._kernel_spec = kernel_spec()

    async def start(self, carrier: Carrier) -> Mailbox:
        """Launches the kernel and connects. Raises: SandboxError, with the kernel's last words."""
        lifeline, self._lifeline = os.pipe()
        channel = carrier.kernel_end
        fds = (lifeline, channel.fileno())
        try:
            await self._manager.start_kernel(
                env=self._environment(*fds), cwd=str(self._folder.path), pass_fds=fds, stderr=-1
            )
        except Exception as problem:
            raise SandboxError(f"the sandbox kernel cannot be launched: {problem}") from problem
        finally:
            os.close(lifeline)
            channel.close()  # Only the kernel's side may keep it open, so that its end is noticed.
        self._watch()
        await self._wait_for_sockets()
        self.mailbox = Mailbox(self._manager.get_connection_info(session=False))
        if self._exited():
            self.mailbox.kernel_died()
        return self.mailbox

    async def stop(self) -> None:
        """Ends the process and everything it started; returns when they are gone."""
        if self.mailbox is not None:
            self.mailbox.close()
            self.mailbox = None
        self._unwatch()
        if self._manager.has_kernel:
            await self._manager.shutdown_kernel(now=True)
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1

    def exit_reason(self) -> str:
        """What is known of the end of the process, as the second half of a sentence."""
        provisioner = self._manager.provisioner
        process = provisioner.process if provisioner is not None else None
        code = process.poll() if process is not None else None
        if process is None or code is None:
            return "its process stopped answering"
        words = process.stderr.read().decode("utf-8", "replace").strip()[-2000:] if process.stderr else ""
        code = 128 - code if code < 0 else code  # The supervisor itself was hit.
        how = _signal(code - 128) if code > 128 else f"exit code {code}"
        return f"its process ended ({how})" + (f": {words}" if words else "")

    def _environment(self, lifeline: int, channel: int) -> dict[str, str]:
        passed = {name: os.environ[name] for name in self._profile.env if name in os.environ}
        return {
            **passed,
            "PATH": os.environ.get("PATH", os.defpath),
            "CODEACT_ENV": ",".join(passed),
            "CODEACT_SESSION_DIR": str(self._folder.path),
            "CODEACT_WORKSPACE": str(self._folder.workspace),
            "CODEACT_LIFELINE_FD": str(lifeline),
            "CODEACT_CHANNEL_FD": str(channel),
        }

    async def _wait_for_sockets(self) -> None:
        info: dict[str, Any] = self._manager.get_connection_info(session=False)
        last = f"{info['ip']}-{info['hb_port']}"  # ipykernel binds it last
        deadline = self._loop.time() + START_S
        while not os.path.exists(last):  # noqa: ASYNC240  # one stat of a local file
            if self._exited():
                raise SandboxError(f"the sandbox kernel did not start: {self.exit_reason()}")
            if self._loop.time() > deadline:
                raise SandboxError(f"the sandbox kernel did not start within {START_S:.0f} s")
            await asyncio.sleep(POLL_S)

    def _exited(self) -> bool:
        provisioner = self._manager.provisioner
        return provisioner is None or provisioner.process is None or provisioner.process.poll() is not None

    def _watch(self) -> None:
        self._pidfd = os.pidfd_open(self._manager.provisioner.process.pid)
        self._loop.add_reader(self._pidfd, self._on_exit)

    def _unwatch(self) -> None:
        if self._pidfd >= 0:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1

    def _on_exit(self) -> None:
        self._loop.remove_reader(self._pidfd)
        if self.mailbox is not None:
            self.mailbox.kernel_died()


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
