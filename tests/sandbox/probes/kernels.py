"""Owns how a kernel is started for a stock Jupyter client: by Jupyter's own manager, or as a fork."""

from __future__ import annotations

import asyncio
import json
import select
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from jupyter_client import KernelManager
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.kernelspec import KernelSpecManager

from codeact_kernel.config import SandboxLimits, SandboxProfile
from codeact_kernel.sandbox.folders import SessionFolder
from codeact_kernel.sandbox.forked import Order
from codeact_kernel.sandbox.launching import Launcher
from codeact_kernel.sandbox.request import LEAST_MEMORY

from .. import started
from .probe import Probe
from .scene import Scene
from .victims import LIVING

KERNELSPECS = Path(__file__).parents[3] / "kernelspec"
END_S = 10.0
PRELOADED_BYTES = 48 * 1024 * 1024
"""Where it is only what every kernel needs."""


class Started(Protocol):
    """A kernel with its supervisor. `runtime`: folder of its connection file and sockets."""

    runtime: Path

    @property
    def supervisor(self) -> int: ...

    def client(self) -> BlockingKernelClient: ...

    def code(self) -> int | None:
        """The exit code of the supervisor, negative for a signal; None while it runs."""

    def interrupt(self) -> None: ...

    def kill(self) -> None:
        """The supervisor, at once."""

    def stop(self) -> None: ...


class Managed:
    """Started cold, by Jupyter."""

    def __init__(self, scene: Scene, profile: dict[str, Any], transport: str, *, provisioned: bool) -> None:
        self.runtime = scene.root / "runtime"
        self._manager = KernelManager(
            kernel_name="codeact-python",
            kernel_spec_manager=KernelSpecManager(kernel_dirs=[str(KERNELSPECS)]),
            transport=transport,
            connection_file=str(self.runtime / "kernel-own.json"),
        )
        if transport == "ipc":
            self._manager.ip = str(self.runtime / "k")
        if not provisioned:
            self._manager.kernel_spec.metadata.pop("kernel_provisioner")
        env = {**scene.environment, "CODEACT_PROFILE": json.dumps(profile)}
        self._manager.start_kernel(env=env, cwd=str(scene.root / "client"))

    @property
    def supervisor(self) -> int:
        return int(self._manager.provisioner.process.pid)

    def client(self) -> BlockingKernelClient:
        client: BlockingKernelClient = self._manager.client()
        return client

    def code(self) -> int | None:
        code: int | None = self._manager.provisioner.process.poll() if self._manager.provisioner else 0
        return code

    def interrupt(self) -> None:
        self._manager.interrupt_kernel()

    def kill(self) -> None:
        process = self._manager.provisioner.process
        process.send_signal(signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        self._manager.shutdown_kernel(now=True)
        self._manager.context.destroy(linger=0)


class Client(BlockingKernelClient):  # type: ignore[misc]  # jupyter_client publishes no types of it
    """Of a kernel without a manager: whether it lives says its supervisor, not a heartbeat that is late."""

    order: Order

    async def _async_is_alive(self) -> bool:
        return self.order.poll() is None


class Forked:
    """A fork of a launcher, or a spare of one."""

    def __init__(self, scene: Scene, launcher: Launcher, profile: SandboxProfile) -> None:
        assert launcher._process is not None
        LIVING.add(launcher._process.pid)
        order: Order | str | None = launcher.take(profile)
        if order is None and started.START == "fork":
            order = launcher.fork(SessionFolder(profile), profile)
        assert isinstance(order, Order), order
        self._order = order
        self.runtime = Path(order.connection["ip"]).parent
        if order.spare:
            scene.work = order.folder.workspace
        report = asyncio.run(order.report())
        assert report is not None, order.words()
        assert not report.problem, report
        if report.start != started.START:
            order.close()
            raise RuntimeError(f"asked for a {started.START}, got: {report}")
        self._client: Client | None = None

    @property
    def supervisor(self) -> int:
        return self._order.pid

    def client(self) -> BlockingKernelClient:
        self._client = Client()
        self._client.order = self._order
        self._client.load_connection_info(dict(self._order.connection))
        return self._client

    def code(self) -> int | None:
        return self._order.poll()

    def interrupt(self) -> None:
        assert self._client is not None
        self._client.control_channel.send(self._client.session.msg("interrupt_request"))

    def kill(self) -> None:
        signal.pidfd_send_signal(self._order._pidfd, signal.SIGKILL)
        assert select.select([self._order._pidfd], [], [], END_S)[0]

    def stop(self) -> None:
        self._order.close()


def start(scene: Scene, tier: str, without: list[str], transport: str, probe: Probe) -> Started:
    """A kernel in the workspace of the scene, with what `probe` wants of it."""
    data = scene.root / "data"
    if started.START != "cold" and tier != "none" and transport == "ipc" and probe.provisioned:
        profile = SandboxProfile(
            workspace=None if started.START == "spare" else scene.work,
            data=(data,),
            sandbox=tier,
            without=tuple(without),
            limits=_limits(probe),
            **probe.profile,
        )
        launcher = started.launcher(profile)
        if launcher is not None:
            return Forked(scene, launcher, profile)
    told = {"sandbox": tier, "without": without, "workspace": str(scene.work), "data": [str(data)]}
    limits = {"limits": probe.limits} if probe.limits else {}
    return Managed(scene, {**told, **limits, **probe.profile}, transport, provisioned=probe.provisioned)


def _limits(probe: Probe) -> SandboxLimits:
    """Of our own host, which refuses so little memory that no kernel starts."""
    found = SandboxLimits(**probe.limits)
    return replace(found, memory_bytes=max(found.memory_bytes, LEAST_MEMORY + PRELOADED_BYTES))
