"""Owns how any Jupyter application starts a sandboxed kernel: the provisioner `codeact-sandbox`."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Sequence
from typing import Any

from jupyter_client.provisioning import LocalProvisioner
from traitlets import Dict

from ..exceptions import SandboxError, UsageError
from . import supervisor
from .confine.policy import load_profile
from .confine.preparation import PASSED_ON

PLUMBING = (
    "CODEACT_PROFILE",
    "CODEACT_SESSION_DIR",
    "CODEACT_LIFELINE_FD",
    "CODEACT_CHANNEL_FD",
    "CODEACT_REPORT",
)
HOST_ONLY = ("PATH", "HOME", "TMPDIR", "XDG_CACHE_HOME", "JPY_PARENT_PID", "JPY_SESSION_NAME")
"""For the supervisor, which does not pass them on (of the notebook's path its name)."""
STOP_S = 3.0
POLL_S = 0.004
OWN_MODULES = ("codeact_kernel.sandbox.supervisor", supervisor.__file__)
IPYKERNEL = ("ipykernel_launcher", "ipykernel")


class SandboxProvisioner(LocalProvisioner):  # type: ignore[misc]  # jupyter_client's types are partial
    """Puts a Python kernel into the sandbox, whatever kernelspec it comes from.

    Named in a kernelspec as `"metadata": {"kernel_provisioner": {"provisioner_name": "codeact-sandbox",
    "config": {"profile": {…}}}}`. It starts the supervisor, with an environment made from an allow-list,
    and stops it by asking it: the supervisor kills the kernel and everything it started, and is killed
    itself only if it does not answer, in which case the kernel dies with it.
    """

    profile = Dict(
        help="What the kernel gets: fields of `codeact_kernel.SandboxProfile`, for example "
        '{"data": ["/srv/data"], "limits": {"memory_bytes": 2000000000}, "sandbox": "A"}.'
    ).tag(config=True)

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        kwargs = await super().pre_launch(**kwargs)
        env = dict(kwargs["env"])
        profile = env.get("CODEACT_PROFILE") or json.dumps(self.profile)
        try:
            passed = {*PASSED_ON, *PLUMBING, *HOST_ONLY, *load_profile(profile).env}
        except (ValueError, TypeError) as problem:
            raise UsageError(f"the sandbox profile {profile!r:.300} cannot be used: {problem}") from None
        kwargs["env"] = {name: value for name, value in env.items() if name in passed}
        kwargs["env"]["CODEACT_PROFILE"] = profile
        kwargs["cmd"] = supervised(kwargs["cmd"])
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


def supervised(command: Sequence[str]) -> list[str]:
    """The command of a kernelspec, as one that starts the supervisor.

    Raises: SandboxError when it is no Python kernel: only ipykernel can be started with sockets that are
    bound already, and with nothing to execute.
    """
    if any(word in OWN_MODULES for word in command):
        return list(command)
    words = list(command)
    module = next((words.index(name) for name in IPYKERNEL if name in words), -1)
    if module < 2 or words[module - 1] != "-m" or "-f" not in words[module:]:
        raise SandboxError(
            f"the provisioner codeact-sandbox starts Python kernels (`python -m ipykernel_launcher -f "
            f"{{connection_file}}`); this kernelspec starts {' '.join(words)!r:.200}"
        )
    at = words.index("-f", module)
    options = words[module + 1 : at] + words[at + 2 :]
    python = [] if words[0] == sys.executable else ["--python", words[0]]
    return [
        sys.executable,
        "-P",
        supervisor.__file__,
        "-f",
        words[at + 1],
        *python,
        *(["--", *options] if options else []),
    ]
