"""Owns what the sandbox tests drive sessions with: real kernels on one long-lived event loop."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from codeact_kernel.collect import Collector
from codeact_kernel.config import Limits, Settings
from codeact_kernel.interfaces import CallHandler
from codeact_kernel.outputs import Error, Finished, MimeBundle, Output, Result, Shown, Stream
from codeact_kernel.sandbox.confine.usage import children
from codeact_kernel.sandbox.launching import Launcher
from codeact_kernel.sandbox.session import KernelSession
from codeact_kernel.trajectory import Action, Refusal
from codeact_kernel.wire.messages import Raised, Returned, ToolOutcome, ToolRequest, ToolSpec
from codeact_kernel.wire.setup import SetupSpec, setup_source
from codeact_kernel.wire.values import decode, encode

from . import started

T = TypeVar("T")
SLOW = Settings(limits=Limits(step_timeout_s=30.0, interrupt_grace_s=1.0))
"""For cells that are not meant to be stopped."""


def impatient(**limits: Any) -> Settings:
    """For cells that are: stopped after 0.5 s, killed 1 s later."""
    return Settings(limits=replace(Limits(step_timeout_s=0.5, interrupt_grace_s=1.0), **limits))


@dataclass(frozen=True)
class Cell:
    """One executed cell, as the loop would see it."""

    outputs: tuple[Output, ...]
    shown: tuple[Shown, ...]
    finished: Finished
    truncated: bool
    seconds: float

    @property
    def status(self) -> str:
        return self.finished.status

    @property
    def reason(self) -> str:
        return self.finished.reason or ""

    @property
    def out(self) -> str:
        return "".join(s.text for s in self.shown if isinstance(s, Stream) and s.name == "stdout")

    @property
    def err(self) -> str:
        return "".join(s.text for s in self.shown if isinstance(s, Stream) and s.name == "stderr")

    @property
    def error(self) -> Error:
        return next(s for s in self.shown if isinstance(s, Error))

    @property
    def bundle(self) -> MimeBundle:
        return next(s.data for s in self.shown if isinstance(s, Result))

    @property
    def result(self) -> str:
        """The text of the last expression."""
        return str(self.bundle["text/plain"])


Answer = Callable[[ToolRequest], ToolOutcome | Awaitable[ToolOutcome]]


@dataclass
class Calls(CallHandler):
    """A CallHandler with functions for tools: gets decoded arguments, keeps what it was asked."""

    tools: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    requests: list[ToolRequest] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    cancelled: list[int] = field(default_factory=list)
    running: int = 0
    most: int = 0

    async def call(self, request: ToolRequest) -> ToolOutcome:
        self.requests.append(request)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            value = self.tools[request.tool](*map(decode, request.args))
            if isinstance(value, Coroutine):
                value = await value
            return value if isinstance(value, Raised) else Returned(encode(value))
        except asyncio.CancelledError:
            self.cancelled.append(request.call_id)
            raise
        finally:
            self.running -= 1

    def refused(self, refusal: Refusal) -> None:
        self.refusals.append(refusal)


def setup_with(*tools: str, allow: tuple[str, ...] = ()) -> str:
    """A real setup cell with stubs of these names; `allow`: imports beside the default ones."""
    return setup_source(SetupSpec("test", allow, tuple(ToolSpec(name) for name in tools)))


class Lab:
    """A session and its event loop, driven from synchronous tests."""

    def __init__(
        self, settings: Settings = SLOW, setup: str = "pass", launcher: Launcher | None = None
    ) -> None:
        self._runner = asyncio.Runner()
        self._setup = setup
        self.session = KernelSession(settings, launcher=launcher or started.launcher(settings.profile))
        self.kernels = 0

    def start(self) -> Lab:
        self.wait(self.session.start(self._setup))
        return self

    def wait(self, doing: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(doing)

    def close(self) -> None:
        self.wait(self.session.aclose())
        self._runner.close()

    def restart(self) -> None:
        self.wait(self.session.restart())

    def run(self, code: str, handler: CallHandler | None = None) -> Cell:
        return self.wait(self.execute(code, handler))

    async def execute(
        self,
        code: str,
        handler: CallHandler | None = None,
        on_output: Callable[[Output], Awaitable[None]] | None = None,
    ) -> Cell:
        outputs: list[Output] = []
        collector = Collector(self.session._settings.output)
        began = time.monotonic()
        async with aclosing(self.session.execute(Action(code), handler or Calls())) as stream:
            async for output in stream:
                outputs.append(output)
                collector.add(output)
                if on_output is not None:
                    await on_output(output)
        seconds = time.monotonic() - began
        finished = outputs[-1]
        assert isinstance(finished, Finished)
        assert not any(isinstance(output, Finished) for output in outputs[:-1])
        return Cell(tuple(outputs), collector.shown(), finished, collector.truncated, seconds)


OpenLab = Callable[..., Lab]


async def underway(lab: Lab) -> None:
    """Returns when the kernel has taken up the current cell."""
    while lab.session._run is None or not lab.session._run.begun:  # noqa: ASYNC110  # no event to wait for
        await asyncio.sleep(0.005)


def value_of(lab: Lab, code: str, handler: CallHandler | None = None) -> str:
    """The text of the last expression of a cell that must end well."""
    cell = lab.run(code, handler)
    assert cell.status == "ok", (cell.finished, cell.shown)
    return cell.result


def supervisor_of(lab: Lab) -> int:
    """Process id of the supervisor of a running session."""
    assert lab.session._process is not None
    pid: int = lab.session._process.supervisor
    return pid


def kernel_of(lab: Lab) -> int:
    """Process id of the kernel as the host numbers it; inside a cage it may have another."""
    pid = supervisor_of(lab)
    while below := children(pid):
        pid = below[0]
    return pid


def alive(pid: int) -> bool:
    """Whether a process is there and not only waiting to be reaped."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def until(holds: Callable[[], bool], seconds: float = 8.0) -> bool:
    """Waits for a condition; False when it did not come true in time."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def processes_of(folder: Path) -> list[int]:
    """Processes that name the session's folder on their command line: supervisor and kernel."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if os.fsencode(folder) in command:
                found.append(int(entry.name))
    return found
