"""Owns one run: a task, through one channel and the agent's own loop, recorded, and checked to be right."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, TypeAlias

from codeact_kernel import Limits, SandboxProfile
from codeact_kernel.agent import AgentLoop
from codeact_kernel.config import Settings
from codeact_kernel.events import Event
from codeact_kernel.frontends.starting import Offered, system
from codeact_kernel.interfaces import Executor, Policy
from codeact_kernel.notebook.journal import JournalRecorder
from codeact_kernel.notebook.redact import Redactor
from codeact_kernel.policy import CodeActPolicy
from codeact_kernel.sandbox.session import KernelSession
from codeact_kernel.tools.registry import Tool, ToolRegistry
from codeact_kernel.trajectory import RunInfo, Trajectory
from codeact_kernel.wire.setup import SetupSpec, setup_source

from .code_channel import CodeModel
from .json_channel import JsonCalls, JsonPolicy
from .task import Task
from .tasks import Kind
from .tokens import Meter, Spent, Tokenizer

Channel: TypeAlias = Literal["one call", "parallel", "code"]
CHANNELS: tuple[Channel, ...] = ("one call", "parallel", "code")
TURN_S, TOKENS_S = 1.0, 60.0
"""A model's latency: until a reply begins, and how many tokens of it a second. Assumed, not measured; that a
long prompt takes longer to read is left out, which favours JSON."""
UNBOUND = Settings(limits=Limits(max_steps=None, max_seconds=None, max_tokens=None))


@dataclass(frozen=True)
class Measured:
    """One run. `own_s`: what it took on this machine, a kernel's start included where there is one."""

    task: str
    size: int
    channel: Channel
    spent: Spent
    own_s: float

    @property
    def wall_s(self) -> float:
        """With the time of the model."""
        return self.own_s + self.spent.turns * TURN_S + self.spent.output / TOKENS_S


@dataclass(frozen=True)
class Kernel:
    """What runs cells, ready to, and how long that took."""

    session: Executor
    start_s: float


@asynccontextmanager
async def kernel_for(kinds: Iterable[Kind]) -> AsyncIterator[Kernel]:
    """One kernel with the tools of all these tasks. Each run in it is charged with the whole start."""
    session = KernelSession(UNBOUND)
    began = time.perf_counter()
    await session.start(_setup([made for kind in kinds for made in kind.make(1).tools]))
    try:
        yield Kernel(session, time.perf_counter() - began)
    finally:
        await session.aclose()


async def run(kind: Kind, size: int, channel: Channel, kernel: Kernel, tokens: Tokenizer) -> Measured:
    """Raises RuntimeError when the answer, or what was changed, is not right."""
    task, meter = kind.make(size), Meter()
    policy, executor = _parts(task, channel, kernel, meter)
    began = time.perf_counter()
    with TemporaryDirectory() as folder:
        answers = await _conversation(task, policy, executor, Path(folder))
    own = time.perf_counter() - began + (kernel.start_s if channel == "code" else 0.0)
    _check(f"{kind.name}, N={size}, {channel}", task, answers)
    return Measured(kind.name, size, channel, meter.spent(tokens.count), own)


def _parts(task: Task, channel: Channel, kernel: Kernel, meter: Meter) -> tuple[Policy, Executor]:
    """All that differs between the channels."""
    if channel != "code":
        return JsonPolicy(task, channel == "parallel", meter), JsonCalls()
    model = CodeModel(task, meter)
    prompt = system(SandboxProfile(), Offered.now(ToolRegistry(task.tools)), model)
    return CodeActPolicy(model, UNBOUND, prompt), kernel.session


async def _conversation(task: Task, policy: Policy, executor: Executor, folder: Path) -> list[object]:
    """The answers to all requests of the task."""
    recorder = JournalRecorder(folder / "run.ipynb", Redactor.of_host())
    info = RunInfo("bench", "scripted", "2026-11-28T10:00:00Z", _setup(task.tools))
    recorder.begin(info)
    loop = AgentLoop(
        Trajectory(info), policy, executor, ToolRegistry(task.tools), recorder, UNBOUND, emit=ignore
    )
    try:
        return [(await loop.run(asked.words)).answer for asked in task.rounds]
    finally:
        recorder.close(saved=True)


def _check(name: str, task: Task, answers: Sequence[object]) -> None:
    expected = [asked.answer for asked in task.rounds]
    if answers != expected:
        raise RuntimeError(f"{name}: the answers are {answers!r:.300}, not {expected!r:.300}")
    if sorted(task.changed, key=repr) != sorted(task.right, key=repr):
        raise RuntimeError(f"{name}: the tools changed {task.changed!r:.300}, not {task.right!r:.300}")


def _setup(tools: Iterable[Tool]) -> str:
    return setup_source(SetupSpec("", (), ToolRegistry(tools).specs(), ()))


def ignore(event: Event) -> None: ...
