"""Owns `KernelSession`: one persistent namespace in an isolated kernel process, as an Executor."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

from ..config import Settings
from ..exceptions import SandboxError
from ..interfaces import CallHandler
from ..outputs import Error, Finished, Output
from ..trajectory import Action, Refusal
from ..wire.messages import Raised, ToolOutcome, ToolRequest
from .carrier import Carrier
from .folders import SessionFolder, sweep
from .mailbox import KernelDied, Mailbox
from .process import KernelProcess
from .translate import output_of

SETUP_S = 60.0
IDLE_S = 5.0
"""Seconds that outputs may trail the reply of their cell."""
MAX_NAMES = 10_000
REPORTED = ("codeact_kernel", "ipykernel", "ipython", "numpy", "pandas", "matplotlib")


class NoCalls:
    """A handler for code that has no tools yet: the setup cell."""

    async def call(self, request: ToolRequest) -> ToolOutcome:
        return Raised("RuntimeError", "tools cannot be called while the session is set up")

    def refused(self, refusal: Refusal) -> None: ...


@dataclass
class _Run:
    """The cell that runs: until when, and what is known of its end."""

    message_id: str
    started: float
    deadline: float | None
    stopping: str | None = None
    """Why it was interrupted, once it was."""
    reply: Mapping[str, Any] | None = None
    idle: bool = False
    received: int = 0
    interrupted: asyncio.Event = field(default_factory=asyncio.Event)


class KernelSession:
    """Runs actions in a sandbox kernel.

    The kill ladder is here: at the step's limit the cell is interrupted, after the grace its whole
    process group is killed, and the session says so (`Finished("killed", reason)`). Restoring state
    is `rebuild`'s.
    """

    def __init__(self, settings: Settings = Settings()) -> None:
        self._settings = settings
        self._folder: SessionFolder | None = None
        self._process: KernelProcess | None = None
        self._carrier: Carrier | None = None
        self._mailbox: Mailbox | None = None
        self._run: _Run | None = None
        self._setup = ""

    async def start(self, setup: str) -> Mapping[str, str]:
        if self._folder is not None:
            raise SandboxError("this session is started already; make a new one")
        sweep()
        self._setup = setup
        self._folder = SessionFolder(self._settings.profile)
        try:
            await self._launch()
        except BaseException:
            await self.aclose()
            raise
        return versions()

    @property
    def workspace(self) -> str:
        """The folder that the kernel works in."""
        if self._folder is None:
            raise SandboxError("this session has not been started")
        return str(self._folder.workspace)

    async def restart(self) -> None:
        await self._end_process()
        await self._launch()

    async def interrupt(self) -> None:
        if self._run is not None and self._mailbox is not None:
            self._stop_cell(self._run, "it was interrupted")
            self._mailbox.kernel_stirred()

    async def aclose(self) -> None:
        await self._end_process()
        if self._folder is not None:
            self._folder.remove()

    async def execute(self, action: Action, handler: CallHandler) -> AsyncGenerator[Output, None]:
        carrier = self._carrier
        if self._mailbox is None or carrier is None:
            raise SandboxError("the sandbox kernel is down; `restart` it before it can run anything")
        if self._run is not None:
            raise SandboxError("the sandbox kernel runs a cell already; it takes one at a time")
        now = asyncio.get_running_loop().time()
        limit = self._settings.limits.step_timeout_s
        carrier.begin(handler)
        self._run = _Run(self._mailbox.execute(action.code), now, None if limit is None else now + limit)
        try:
            async with aclosing(self._outputs(self._mailbox, self._run)) as outputs:
                async for output in outputs:
                    yield output
        finally:
            run, self._run = self._run, None
            await carrier.end()
            if run is not None and run.reply is None:
                await self._end_process()  # Nobody knows what it would go on doing.

    # --- one cell ---

    async def _outputs(self, mailbox: Mailbox, run: _Run) -> AsyncGenerator[Output, None]:
        loop = asyncio.get_running_loop()
        while not (run.reply is not None and run.idle):
            if run.deadline is not None and loop.time() >= run.deadline:
                if run.reply is not None:
                    break  # Its idle message never came: only a kernel that forges messages does that.
                if run.stopping is not None:
                    yield self._killed(
                        run, f"{run.stopping}, did not stop within {self._grace:g} s and was killed"
                    )
                    return
                self._stop_cell(run, f"it ran longer than {self._settings.limits.step_timeout_s:g} s")
            try:
                received = await mailbox.receive(run.deadline)
            except KernelDied:
                yield self._killed(run, self._process.exit_reason() if self._process else "its process ended")
                return
            if received is not None:
                output = self._on_message(run, *received)
                if output is not None:
                    yield output
        yield self._finished(run)

    def _on_message(self, run: _Run, channel: str, message: Mapping[str, Any], size: int) -> Output | None:
        if message["parent_header"].get("msg_id") != run.message_id:
            return None  # Late output of an earlier cell, or forged.
        run.received += size
        if run.received > self._settings.output.received_bytes and run.stopping is None:
            self._stop_cell(
                run, f"it sent more than {self._settings.output.received_bytes:,} bytes of output"
            )
        if channel == "shell":
            if message["header"].get("msg_type") == "execute_reply" and run.reply is None:
                run.reply = message["content"]
                run.deadline = asyncio.get_running_loop().time() + IDLE_S
            return None
        if message["header"].get("msg_type") == "status":
            run.idle = run.idle or message["content"].get("execution_state") == "idle"
            return None
        if run.received > 2 * self._settings.output.received_bytes:
            return None
        return output_of(message)

    def _stop_cell(self, run: _Run, why: str) -> None:
        if run.stopping is not None or self._mailbox is None:
            return
        run.stopping = why
        run.deadline = asyncio.get_running_loop().time() + self._grace
        self._mailbox.interrupt()

    @property
    def _grace(self) -> float:
        return self._settings.limits.interrupt_grace_s

    def _killed(self, run: _Run, reason: str) -> Finished:
        return Finished("killed", reason, duration_s=self._elapsed(run))

    def _finished(self, run: _Run) -> Finished:
        reply = run.reply or {}
        count = reply.get("execution_count")
        extra = reply.get("codeact")
        names = extra.get("names") if isinstance(extra, dict) else None
        kept = tuple(name for name in names if isinstance(name, str)) if isinstance(names, list) else ()
        if run.stopping is not None and reply.get("status") != "ok":
            status, reason = "timeout", f"{run.stopping} and was interrupted; variables are kept"
        else:
            status, reason = ("ok" if reply.get("status") == "ok" else "error"), None
        return Finished(
            status,  # type: ignore[arg-type]  # one of Status, chosen above
            reason,
            count if type(count) is int else None,
            kept[:MAX_NAMES],
            self._elapsed(run),
        )

    def _elapsed(self, run: _Run) -> float:
        return asyncio.get_running_loop().time() - run.started

    # --- the process ---

    async def _launch(self) -> None:
        assert self._folder is not None
        self._process = KernelProcess(self._folder, self._settings.profile)
        self._carrier = Carrier(self._settings.tools)
        self._mailbox = await self._process.start(self._carrier)
        await self._mailbox.ready(SETUP_S)
        problem: list[str] = []
        async with asyncio.timeout(SETUP_S):
            async for output in self.execute(Action(self._setup), NoCalls()):
                match output:
                    case Error(ename, evalue):
                        problem.append(f"{ename}: {evalue}")
                    case Finished(status, reason) if status != "ok":
                        raise SandboxError(f"the setup cell failed: {'; '.join(problem) or reason}")

    async def _end_process(self) -> None:
        process, carrier = self._process, self._carrier
        self._process = self._carrier = self._mailbox = None
        if carrier is not None:
            await carrier.aclose()
        if process is not None:
            await process.stop()


def versions() -> dict[str, str]:
    """Of Python and the packages that matter to a re-run. The kernel has the host's interpreter."""
    found = {"python": platform.python_version()}
    for name in REPORTED:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            pass
    return found
