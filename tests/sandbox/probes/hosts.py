"""Owns the two hosts that the group `harness` attacks: ours, and for the control a naive one.

The naive host is what many notebooks tools do: a stock kernel and client, outputs read until an idle comes,
whoever's; no bound on sizes, no check of what a message has for its fields, files read by their names.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from queue import Empty
from typing import Any, Protocol

from jupyter_client import KernelManager
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.kernelspec import KernelSpec

from codeact_kernel.collect import Collector
from codeact_kernel.config import Limits, OutputLimits, SandboxProfile, Settings
from codeact_kernel.frontends.terminal import clean
from codeact_kernel.outputs import Finished
from codeact_kernel.sandbox.session import KernelSession, NoCalls
from codeact_kernel.trajectory import Action

from .. import started
from .scene import Scene

STEP_S, GRACE_S = 2.0, 1.0
BOUND_S = 9.0
"""Step, grace, and the 5 s that last outputs are waited for; the rest for a busy machine."""
ASLEEP_S = 3.0
"""The host's event loop has other things to do."""
GROWTH = 200 * 1024 * 1024
STOCK = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
WITHOUT = {"B": ("namespaces",), "C": ("landlock",)}


@dataclass(frozen=True)
class Told:
    """What a host says of one cell. `problem`: what it raised, or how it was held up; "" when well."""

    text: str
    ended: str
    seconds: float
    problem: str = ""


class Host(Protocol):
    """Runs cells one after the other."""

    def run(self, code: str) -> Told: ...

    def renew(self) -> None:
        """A fresh kernel, where the host knows how to."""

    def close(self) -> float:
        """Ends everything; returns how many seconds that took."""


class Ours:
    """A `KernelSession` with short limits, in the workspace of the scene."""

    def __init__(self, scene: Scene, tier: str) -> None:
        profile = SandboxProfile(workspace=scene.work, sandbox=tier, without=WITHOUT.get(tier, ()))
        limits = Limits(step_timeout_s=STEP_S, interrupt_grace_s=GRACE_S)
        self._runner = asyncio.Runner()
        self._session = KernelSession(
            Settings(limits=limits, profile=profile), launcher=started.launcher(profile)
        )
        self._down = False
        self._runner.run(self._session.start("pass"))

    def run(self, code: str) -> Told:
        if self._down:
            self.renew()
        began = time.monotonic()
        try:
            return self._runner.run(self._run(code))
        except Exception as problem:
            return Told("", "failed", time.monotonic() - began, f"the host raised {problem!r:.200}")

    async def _run(self, code: str) -> Told:
        began = time.monotonic()
        collector = Collector(OutputLimits())
        finished = Finished("killed")
        watching = asyncio.ensure_future(longest_wait())
        await asyncio.sleep(0)  # It has begun: else it would be cancelled before it can answer.
        async with aclosing(self._session.execute(Action(code), NoCalls())) as outputs:
            async for output in outputs:
                collector.add(output)
                if isinstance(output, Finished):
                    finished = output
        seconds = time.monotonic() - began
        watching.cancel()
        asleep = await watching
        self._down = finished.status == "killed"
        shown = [clean(str(one)) for one in collector.shown()] + [clean(str(one)) for one in finished.files]
        problem = f"the event loop stood still for {asleep:.1f} s" if asleep > ASLEEP_S else ""
        return Told("\n".join(shown), finished.status, seconds, problem)

    def renew(self) -> None:
        self._runner.run(self._session.restart())
        self._down = False

    def close(self) -> float:
        began = time.monotonic()
        self._runner.run(self._session.aclose())
        self._runner.close()
        return time.monotonic() - began


async def longest_wait() -> float:
    """Until it is cancelled: the longest time in which nothing else of this event loop got a turn."""
    longest, last = 0.0, time.monotonic()
    try:
        while True:
            await asyncio.sleep(0.05)
            longest, last = max(longest, time.monotonic() - last), time.monotonic()
    except asyncio.CancelledError:
        return max(longest, time.monotonic() - last)


def _too_long(*_: object) -> None:
    raise TimeoutError("the host hangs")


class Naive:
    """A stock kernel and client, without a cage."""

    def __init__(self, scene: Scene, command: list[str] = STOCK) -> None:
        self._folder = scene.work
        self._manager = KernelManager(
            transport="ipc",
            ip=str(scene.root / "runtime" / "k"),
            connection_file=str(scene.root / "runtime" / "kernel-own.json"),
        )
        self._manager._kernel_spec = KernelSpec(argv=command, display_name="stock", language="python")
        env = {**scene.environment, "HOME": str(scene.root / "client")}  # where it writes its history
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._manager.start_kernel(cwd=str(scene.work), env=env, **quiet)
        self._client: BlockingKernelClient = self._manager.client()
        self._client.start_channels()
        try:
            self._client.wait_for_ready(timeout=30)
        except RuntimeError:
            self.close()
            raise
        self._quiet()

    def _quiet(self) -> None:
        """What came of the start: its idle is not the first cell's."""
        try:
            while True:
                self._client.get_iopub_msg(timeout=0.5)
        except Empty:
            pass

    def run(self, code: str) -> Told:
        began = time.monotonic()
        pieces: list[str] = []
        signal.signal(signal.SIGALRM, _too_long)
        signal.setitimer(signal.ITIMER_REAL, BOUND_S + 1)
        try:
            self._client.execute(code, allow_stdin=True)
            while not self._take(pieces, began + BOUND_S + 0.5 - time.monotonic()):
                pass
            pieces += [path.read_text("latin-1") for path in self._folder.iterdir() if not path.is_dir()]
            return Told("\n".join(pieces), "ok", time.monotonic() - began)
        except Exception as raised:
            return Told("", "failed", time.monotonic() - began, f"the host raised {raised!r:.200}")
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _take(self, pieces: list[str], seconds: float) -> bool:
        """Takes one message; whether the cell is over."""
        message: dict[str, Any] = self._client.get_iopub_msg(timeout=max(seconds, 0.01))
        content = message["content"]
        match message["msg_type"]:
            case "stream":
                pieces.append(content["text"])
            case "display_data" | "execute_result":
                pieces.append(content["data"]["text/plain"])
            case "error":
                pieces.append("\n".join(content["traceback"]))
            case "status":
                return bool(content["execution_state"] == "idle")
        return False

    def renew(self) -> None:
        pass  # it trusts its kernel

    def close(self) -> float:
        began = time.monotonic()
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=False)
        seconds = time.monotonic() - began
        self._manager.context.destroy(linger=0)
        return seconds


def peak_memory(*, reset: bool = False) -> int:
    """Of this process, in bytes: the most it had since the last reset."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
