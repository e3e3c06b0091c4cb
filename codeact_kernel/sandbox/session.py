"""Owns `KernelSession`: one persistent namespace in an isolated kernel process, as an Executor."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Coroutine, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from ..config import Settings
from ..exceptions import SandboxError
from ..interfaces import CallHandler
from ..outputs import ClearOutput, Error, Finished, Output
from ..trajectory import Action, Refusal
from ..waiting import Waiting
from ..wire.messages import Raised, ToolOutcome, ToolRequest
from .attending import Attended, aside
from .carrier import Carrier
from .confine.policy import Report
from .confine.preparation import refuse_platform
from .descriptors import check_descriptors
from .folders import SessionFolder, sweep
from .forked import Order
from .launching import Launcher, kernel_for
from .mailbox import COMMS, KernelDied, Mailbox
from .managed import Managed
from .process import KernelProcess
from .run import Run
from .translate import output_of
from .versions import versions
from .workspace import Workspace

SETUP_S = 60.0
REFILL_S = 0.1


class NoCalls(CallHandler):
    """A handler for code that has no tools yet: the setup cell."""

    async def call(self, request: ToolRequest) -> ToolOutcome:
        return Raised("RuntimeError", "tools cannot be called while the session is set up")

    def refused(self, refusal: Refusal) -> None: ...


class KernelSession(Attended):
    """Runs actions in a sandbox kernel, as an InteractiveExecutor.

    The kill ladder is here: at the step's limit the cell is interrupted, after the grace its whole
    process group is killed, and the session says so (`Finished("killed", reason)`). Restoring state
    is `rebuild`'s. `launcher`: makes its kernels, where it can; else they start cold.
    """

    def __init__(self, settings: Settings = Settings(), *, launcher: Launcher | None = None) -> None:
        super().__init__()
        self._settings = settings
        self._launcher = launcher
        self._limits = settings.limits
        self._folder: SessionFolder | None = None
        self._process: KernelProcess | None = None
        self._carrier: Carrier | None = None
        self._mailbox: Mailbox | None = None
        self._run: Run | None = None
        self.waiting = Waiting(lambda: 0.0 if self._process is None else self._process.computed())
        """Where it is said that a person is asked: then the clock of the cell stands still."""
        self._setup: str | Awaitable[str] = ""
        self.files: Workspace | None = None
        """What cells left in the workspace; None before the first start."""

    async def start(self, setup: str | Awaitable[str]) -> Mapping[str, str]:
        """As `Executor.start`. `setup` may be still to come: it is awaited when the kernel is there."""
        if self._folder is not None:
            raise SandboxError("this session is started already; make a new one")
        refusal = refuse_platform()
        if refusal:
            raise SandboxError(refusal)
        check_descriptors()
        self._setup = setup
        spare = self._launcher.take(self._settings.profile) if self._launcher is not None else None
        if spare is None:
            sweep()
        if self._launcher is not None:  # Not at once: it would compete with this start.
            asyncio.get_running_loop().call_later(REFILL_S, self._launcher.fill)
        self._folder = spare.folder if spare is not None else SessionFolder(self._settings.profile)
        try:
            await self._launch(spare)
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

    @property
    def report(self) -> Report:
        """What the cage of the running kernel is made of, and what its self-test said."""
        return Report() if self._process is None else self._process.report

    async def restart(self) -> None:
        if self._folder is None:
            raise SandboxError("this session has not been started; `start` comes first")
        await self._end_process()
        try:
            await self._launch()
        except BaseException:
            await self._end_process()
            raise

    async def interrupt(self) -> None:
        if self._run is not None and self._mailbox is not None:
            self._stop_cell(self._run, "it was interrupted")
            self._mailbox.kernel_stirred()

    async def aclose(self) -> None:
        try:
            await self._end_process()
        finally:
            if self._folder is not None:
                await to_the_end(self._folder.remove_aside())
            if self._launcher is not None:
                self._launcher.fill()  # Where the event loop ends before it was time.

    async def execute(self, action: Action, handler: CallHandler) -> AsyncGenerator[Output, None]:
        """As `Executor.execute`; what `handler` itself raises ends the cell and comes out of here."""
        async with aclosing(self._cell(action.code, handler, self._limits.step_timeout_s)) as cell:
            async for output in cell:
                if self.files is not None and isinstance(output, Finished):
                    output = self.files.ended(output)
                yield output

    # --- one cell ---

    async def _cell(
        self, code: str, handler: CallHandler, limit: float | None
    ) -> AsyncGenerator[Output, None]:
        mailbox, carrier = self._mailbox, self._carrier
        if mailbox is None or carrier is None:
            raise SandboxError("the sandbox kernel is down; `restart` it before it can run anything")
        if self._run is not None:
            raise SandboxError("the sandbox kernel runs a cell already; it takes one at a time")
        if carrier.broken is not None:
            await self._end_process()
            yield Finished("killed", f"the tool channel was broken before this cell ran ({carrier.broken})")
            return
        loop = asyncio.get_running_loop()
        carrier.begin(handler)
        deadline = None if limit is None else loop.time() + limit
        self._cell_begins()
        run = self._run = Run(mailbox.execute(code), limit, deadline, waited=self.waiting.seconds)
        try:
            async with aclosing(self._outputs(mailbox, carrier, run)) as outputs:
                async for output in outputs:
                    handed_over = loop.time()
                    yield output
                    run.wait(loop.time() - handed_over)
        finally:
            self._run = None
            await carrier.end()
            if run.reply is None or carrier.broken is not None:
                await self._end_process()  # Nobody knows what it would go on doing.
            self._cell_ended(run.message_id)

    async def _outputs(self, mailbox: Mailbox, carrier: Carrier, run: Run) -> AsyncGenerator[Output, None]:
        loop = asyncio.get_running_loop()
        while not run.over:
            if carrier.failure is not None:
                raise carrier.failure
            if carrier.broken is not None:
                self._stop_cell(run, f"it broke the tool channel ({carrier.broken}) and was interrupted")
            if run.deadline is not None and loop.time() >= run.deadline:
                if run.excused(self.waiting.seconds):
                    continue
                if run.reply is not None:
                    run.reply = None  # Only a kernel that forges messages gets here: it is ended.
                    yield run.killed("it replied, but its outputs did not end, and its kernel was killed")
                    return
                if run.stopping is not None:
                    grace = f"{self._limits.interrupt_grace_s:g} s"
                    yield run.killed(f"{run.stopping}, but did not stop within {grace} and was killed")
                    return
                self._stop_cell(run, f"it ran longer than {run.limit:g} s and was interrupted")
            try:
                received = await mailbox.receive(run.deadline)
            except KernelDied as problem:
                run.reply = None  # Whatever it has said, it is to be ended.
                closed = "the session was closed or restarted while it ran"
                gone = closed if self._process is None else self._process.exit_reason()
                yield run.killed(str(problem) or gone)
                return
            if received is None:
                continue
            output = self._on_message(run, *received)
            if output is not None:
                yield output
            elif (own := aside(received[1], run.message_id)) is not None:
                run.wait(await self._aside(*received[1:], own=own))
        if carrier.broken is None:
            yield run.finished()
        else:
            yield run.killed(f"{run.stopping or 'it broke the tool channel'}, and its kernel was killed")

    def _on_message(self, run: Run, channel: str, message: Mapping[str, Any], size: int) -> Output | None:
        kind = message["header"].get("msg_type")
        if channel == "control":
            run.signalled = run.signalled or kind == "interrupt_reply"
            return None
        if message["parent_header"].get("msg_id") != run.message_id:
            return None  # Late output of an earlier cell, or forged.
        most = self._settings.output.received_bytes
        run.received += size
        if run.received > most:
            self._stop_cell(run, f"it sent more than {most:,} bytes of output and was interrupted")
        if channel == "shell":
            if kind == "execute_reply" and run.reply is None:
                run.answer(message["content"])
        elif kind == "status":
            run.idle = run.idle or message["content"].get("execution_state") == "idle"
        elif kind == "execute_input":
            if not run.begun and run.stopping is not None and self._mailbox is not None:
                self._mailbox.interrupt()
            run.begin()
        elif run.received > 2 * most:
            run.truncated = True
            return None
        if run.reply is not None and not run.truncated:
            run.expect_end(asyncio.get_running_loop().time())
        if str(kind) in COMMS:
            run.widget_said(message["content"])
        output = output_of(message)
        return replace(output, inside=True) if run.areas and isinstance(output, ClearOutput) else output

    def _stop_cell(self, run: Run, why: str) -> None:
        if run.stopping is not None or self._mailbox is None:
            return
        run.stopping = why
        if run.reply is None:
            run.deadline = asyncio.get_running_loop().time() + self._limits.interrupt_grace_s
        if run.begun:
            self._mailbox.interrupt()

    # --- the process ---

    async def _launch(self, spare: Order | None = None) -> None:
        assert self._folder is not None
        supervised = spare or await kernel_for(self._folder, self._settings.profile, self._launcher)
        self._process = KernelProcess(supervised)
        self._carrier = Carrier(self._settings.tools, self._on_trouble, supervised.channel)
        if isinstance(supervised, Managed):
            await supervised.launch()
        self._mailbox = await self._process.start()
        await self._mailbox.ready(SETUP_S)
        setup = self._setup = self._setup if isinstance(self._setup, str) else await self._setup
        problem: list[str] = []
        async with aclosing(self._cell(setup, NoCalls(), SETUP_S)) as outputs:
            async for output in outputs:
                match output:
                    case Error(ename, evalue):
                        problem.append(f"{ename}: {evalue}")
                    case Finished(status, reason) if status != "ok":
                        raise SandboxError(f"the setup cell failed: {'; '.join(problem) or reason}")
        self._kernel_up(self._mailbox)
        if self.files is None:
            self.files = Workspace(self.workspace)
        self.files.look()

    def _on_trouble(self) -> None:
        if self._mailbox is not None:
            self._mailbox.kernel_stirred()

    async def _end_process(self) -> None:
        process, carrier = self._process, self._carrier
        self._process = self._carrier = self._mailbox = None
        self._kernel_down()
        await to_the_end(_stopped(process, carrier))


async def _stopped(process: KernelProcess | None, carrier: Carrier | None) -> None:
    if carrier is not None:
        await carrier.aclose()
    if process is not None:
        await process.stop()


async def to_the_end(closing: Coroutine[Any, Any, None]) -> None:
    """Awaits `closing` wholly, also when the caller is cancelled meanwhile: half closed is left behind."""
    task = asyncio.ensure_future(closing)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
