"""Owns one kernel process: launched through the provisioner, watched, and stopped without a trace."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from dataclasses import asdict

from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec

from ..config import MIB, SandboxProfile
from ..exceptions import CodeActError, SandboxError, UsageError
from . import supervisor
from .carrier import Carrier
from .computed import computed
from .confine.policy import Bounds, Profile, Report, dumps, load_report
from .folders import SessionFolder
from .mailbox import Mailbox

START_S = 60.0
LEAST_MEMORY = 384 * MIB
"""Bytes with which a kernel starts and imports its libraries."""
LAST_WORDS = 500
POLL_S = 0.004
LOOK_S = 0.1


def kernel_spec() -> KernelSpec:
    """The kernelspec `codeact-python` with this interpreter, installed or not."""
    return KernelSpec(
        argv=[sys.executable, "-P", supervisor.__file__, "-f", "{connection_file}"],
        display_name="Python 3 (sandboxed)",
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
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self.mailbox: Mailbox | None = None
        runtime = folder.runtime()
        self._report_path = runtime / "report.json"
        self.report = Report()
        """Of the cage, once the kernel is started."""
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
        except CodeActError:
            raise
        except Exception as problem:
            raise SandboxError(f"the sandbox kernel cannot be launched: {problem}") from problem
        finally:
            os.close(lifeline)
            channel.close()  # Only the kernel's side may keep it open, so that its end is noticed.
        self._watch()
        await self._wait_for_report()
        try:
            self.mailbox = Mailbox(self._manager.get_connection_info(session=False))
        except OSError as problem:
            raise SandboxError(f"the sandbox kernel did not start: {self.exit_reason()}") from problem
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
            # Not `shutdown_kernel`: it sends an interrupt first, and where the kernel has broken its end
            # of the connection that blocks for ever.
            await self._manager.provisioner.kill()
            await self._manager.provisioner.wait()
            await self._manager.cleanup_resources()
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1

    def computed(self) -> float:
        """Seconds of processor time of the kernel and all that it started."""
        provisioner = self._manager.provisioner
        process = provisioner.process if provisioner is not None else None
        return 0.0 if process is None else computed(process.pid)

    def exit_reason(self) -> str:
        """What is known of the end of the process, as the second half of a sentence."""
        provisioner = self._manager.provisioner
        process = provisioner.process if provisioner is not None else None
        code = process.poll() if process is not None else None
        if process is None or code is None:
            return "its process stopped answering"
        words = process.stderr.read().decode("utf-8", "replace").strip()[-2000:] if process.stderr else ""
        if code == supervisor.LIMIT:
            return f"its kernel was stopped: {words}"
        code = 128 - code if code < 0 else code  # The supervisor itself was hit.
        how = _signal(code - 128) if code > 128 else f"exit code {code}"
        if self.mailbox is not None and words:  # The program's own: not to pass for ours.
            words = f"the last it wrote, as text of the program: {words[-LAST_WORDS:]!r}"
        return f"its process ended ({how})" + (f": {words}" if words else "")

    def _environment(self, lifeline: int, channel: int) -> dict[str, str]:
        passed = {name: os.environ[name] for name in self._profile.env if name in os.environ}
        return {
            **passed,
            **{name: os.environ[name] for name in ("PATH", "HOME", "XDG_CACHE_HOME") if name in os.environ},
            "CODEACT_PROFILE": dumps(request(self._profile, str(self._folder.workspace))),
            "CODEACT_SESSION_DIR": str(self._folder.path),
            "CODEACT_REPORT": str(self._report_path),
            "CODEACT_LIFELINE_FD": str(lifeline),
            "CODEACT_CHANNEL_FD": str(channel),
        }

    async def _wait_for_report(self) -> None:
        """The sockets are bound by then, and nothing of the kernel's own code has run before."""
        deadline = self._loop.time() + START_S
        while not self._report_path.exists():
            if self._exited() and not self._report_path.exists():
                raise SandboxError(f"the sandbox kernel did not start: {self.exit_reason()}")
            if self._loop.time() > deadline:
                raise SandboxError(f"the sandbox kernel did not start within {START_S:.0f} s")
            await asyncio.sleep(POLL_S)
        self.report = load_report(self._report_path.read_text())
        if self.report.problem:
            raise SandboxError(self.report.problem)

    def _exited(self) -> bool:
        provisioner = self._manager.provisioner
        return provisioner is None or provisioner.process is None or provisioner.process.poll() is not None

    def _watch(self) -> None:
        if sys.platform == "linux":
            self._pidfd = os.pidfd_open(self._manager.provisioner.process.pid)
            self._loop.add_reader(self._pidfd, self._on_exit)
        else:
            self._look()

    def _look(self) -> None:
        """Where no descriptor tells of the end of a process."""
        if self._exited():
            self._on_exit()
        else:
            self._timer = self._loop.call_later(LOOK_S, self._look)

    def _unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._pidfd >= 0:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1

    def _on_exit(self) -> None:
        if self._pidfd >= 0:
            self._loop.remove_reader(self._pidfd)
        if self.mailbox is not None:
            self.mailbox.kernel_died()


def request(profile: SandboxProfile, workspace: str) -> Profile:
    """What the supervisor is asked for. Raises UsageError."""
    if profile.limits.memory_bytes < LEAST_MEMORY:
        raise UsageError(
            f"a memory limit of {profile.limits.memory_bytes:,} bytes is too small for a kernel; "
            f"give at least {LEAST_MEMORY:,}"
        )
    return Profile(
        workspace=workspace,
        data=tuple(str(path.expanduser().absolute()) for path in profile.data),
        readable=tuple(str(path.expanduser().absolute()) for path in profile.readable),
        import_ceiling=profile.import_ceiling,
        env=profile.env,
        limits=Bounds(**asdict(profile.limits)),
        allow_fork=profile.allow_fork,
        sandbox=profile.sandbox,
        without=profile.without,
    )


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
