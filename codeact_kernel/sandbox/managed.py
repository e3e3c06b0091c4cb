"""Owns one kernel that starts cold: by Jupyter's kernel manager, through the provisioner."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from socket import socketpair
from subprocess import Popen
from typing import Any

from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec

from ..config import SandboxProfile
from ..exceptions import CodeActError, SandboxError
from . import supervisor
from .confine.policy import Report, load_report
from .folders import SessionFolder
from .request import environment

POLL_S = 0.004


def kernel_spec() -> KernelSpec:
    """The kernelspec `codeact-python` with this interpreter, installed or not."""
    return KernelSpec(
        argv=[sys.executable, "-P", supervisor.__file__, "-f", "{connection_file}"],
        display_name="Python 3 (sandboxed)",
        language="python",
        interrupt_mode="message",
        metadata={"kernel_provisioner": {"provisioner_name": "codeact-sandbox", "config": {}}},
    )


class Managed:
    """A `process.Supervised`. `remarks`: what the report is to say besides; `channel`: our end of its tool
    channel."""

    def __init__(self, folder: SessionFolder, profile: SandboxProfile, remarks: tuple[str, ...] = ()) -> None:
        self._folder, self._profile, self._remarks = folder, profile, remarks
        self._lifeline = -1
        self.channel, self._kernel_end = socketpair()
        runtime = folder.runtime()
        self._report_path = runtime / "report.json"
        self._manager = AsyncKernelManager(
            kernel_name="codeact-python",
            transport="ipc",
            ip=str(runtime / "k"),
            connection_file=str(runtime / "c.json"),
        )
        self._manager._kernel_spec = kernel_spec()

    async def launch(self) -> None:
        """Raises: SandboxError, UsageError."""
        lifeline, self._lifeline = os.pipe()
        fds = (lifeline, self._kernel_end.fileno())
        told = {"lifeline_fd": str(fds[0]), "channel_fd": str(fds[1]), "report": str(self._report_path)}
        try:
            env = environment(self._profile, self._folder, **told)
            await self._manager.start_kernel(
                env=dict(env), cwd=str(self._folder.path), pass_fds=fds, stderr=-1
            )
        except CodeActError:
            raise
        except Exception as problem:
            raise SandboxError(f"the sandbox kernel cannot be launched: {problem}") from problem
        finally:
            os.close(lifeline)
            self._kernel_end.close()  # Only the kernel's side may keep it open, so that its end is noticed.

    @property
    def connection(self) -> Mapping[str, Any]:
        info: Mapping[str, Any] = self._manager.get_connection_info(session=False)
        return info

    @property
    def pid(self) -> int:
        return self._process.pid if self._process is not None else 0

    def pidfd(self) -> int:
        return os.pidfd_open(self.pid) if sys.platform == "linux" else -1

    def poll(self) -> int | None:
        return None if self._process is None else self._process.poll()

    def words(self) -> str:
        stderr = self._process.stderr if self._process is not None else None
        return stderr.read().decode("utf-8", "replace") if stderr else ""

    async def report(self) -> Report | None:
        while not self._report_path.exists():
            if self._process is None or self.poll() is not None:
                break
            await asyncio.sleep(POLL_S)
        try:
            report = load_report(self._report_path.read_text())
        except FileNotFoundError:
            return None
        return report._replace(remarks=(*self._remarks, *report.remarks))

    async def stop(self) -> None:
        self._kernel_end.close()
        if self._manager.has_kernel:
            # Not `shutdown_kernel`: it sends an interrupt first, and where the kernel has broken its end
            # of the connection that blocks for ever.
            await self._manager.provisioner.kill()
            await self._manager.provisioner.wait()
            await self._manager.cleanup_resources()
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1

    @property
    def _process(self) -> Popen[bytes] | None:
        provisioner = self._manager.provisioner
        return provisioner.process if provisioner is not None else None
