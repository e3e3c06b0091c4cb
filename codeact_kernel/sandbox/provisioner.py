"""Owns how any Jupyter application starts the sandbox kernel: the provisioner `codeact-sandbox`."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

from jupyter_client.provisioning import LocalProvisioner

from .supervisor import PASSED_ON

PLUMBING = (
    "CODEACT_SESSION_DIR",
    "CODEACT_LIFELINE_FD",
    "CODEACT_CHANNEL_FD",
    "CODEACT_WORKSPACE",
    "CODEACT_ENV",
)
STOP_S = 3.0
POLL_S = 0.004


class SandboxProvisioner(LocalProvisioner):  # type: ignore[misc]  # jupyter_client's types are partial
    """Starts the supervisor with an environment made from an allow-list, and stops it by asking it.

    The supervisor kills the kernel and everything it started; it is killed itself only if it does
    not answer, in which case the kernel dies with it.
    """

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        kwargs = await super().pre_launch(**kwargs)
        passed = {*PASSED_ON, *PLUMBING, "PATH", "JPY_PARENT_PID"}
        extra = kwargs["env"].get("CODEACT_ENV", "")
        passed |= set(filter(None, extra.split(",")))
        kwargs["env"] = {name: value for name, value in kwargs["env"].items() if name in passed}
        return kwargs

    async def send_signal(self, signum: int) -> None:
        if self.process is not None:
            self.process.send_signal(signum)

    async def kill(self, restart: bool = False) -> None:
        await self.terminate(restart)
        for _ in range(int(STOP_S / POLL_S)):  # The stock `wait` looks ten times a second.
            if await self.poll() is not None:
                return
            await asyncio.sleep(POLL_S)
        await self.send_signal(signal.SIGKILL)

    async def terminate(self, restart: bool = False) -> None:
        await self.send_signal(signal.SIGTERM)
