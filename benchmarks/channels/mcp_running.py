"""Owns runs with real MCP servers: a task, through one channel and the agent's own loop, checked to be right.

The servers are those of tests/mcp, pinned (`make servers`). Each run has processes of them and data of its
own. JSON has the definitions of all their tools, as an API takes them; code has our prompt.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from codeact_kernel import SandboxProfile
from codeact_kernel.agent import AgentLoop
from codeact_kernel.frontends.starting import Offered, system
from codeact_kernel.interfaces import Executor, Policy
from codeact_kernel.notebook.journal import JournalRecorder
from codeact_kernel.notebook.redact import Redactor
from codeact_kernel.policy import CodeActPolicy
from codeact_kernel.sandbox.session import KernelSession
from codeact_kernel.tools.mcp.config import parse_config
from codeact_kernel.tools.mcp.servers import McpServers
from codeact_kernel.tools.registry import ToolRegistry
from codeact_kernel.trajectory import RunInfo, Trajectory
from codeact_kernel.wire.messages import ToolSpec
from codeact_kernel.wire.setup import SetupSpec, setup_source

from .code_channel import CodeModel
from .json_channel import WITHIN, JsonCalls, JsonPolicy
from .mcp_tasks import McpKind, McpTask
from .running import CHANNELS, UNBOUND, Channel, Measured, ignore
from .task import Task
from .tokens import Block, Meter, Tokenizer

sys.path.append(str(Path(__file__).parents[2]))

from tests.mcp.installed import SERVERS, document, why_not  # It is beside this folder, not below.

__all__ = ["CACHE", "DATA", "Servers", "measured", "missing", "served"]


DATA, CACHE = "data", "cache"
"""Folders: of the servers' data, of what they offer."""


def missing() -> str | None:
    """Why nothing can be measured here, if so."""
    return why_not(*SERVERS)


@dataclass(frozen=True)
class Servers:
    """Servers that run, and what they offer. `started_s`: until all had said it."""

    registry: ToolRegistry
    started_s: float

    @property
    def specs(self) -> list[ToolSpec]:
        """Without those of ours."""
        return [spec for spec in self.registry.specs() if not spec.function.startswith("_")]

    def definitions(self, with_results: bool = False) -> list[Block]:
        """As an API takes them; `with_results`: with the schemas of the results, which it does not take."""
        return [_definition(spec, with_results) for spec in self.specs]

    @property
    def setup(self) -> str:
        return setup_source(SetupSpec("", (), self.registry.specs(), (), self.registry.modules()))


def _definition(spec: ToolSpec, with_results: bool) -> Block:
    assert spec.schema is not None
    asked = {"description": spec.doc, "input_schema": spec.schema.input}
    results = {"output_schema": spec.schema.output} if with_results and spec.schema.output else {}
    return {"name": f"{spec.module}{WITHIN}{spec.function}", **asked, **results}


@asynccontextmanager
async def served(
    folder: Path, names: Sequence[str] = (), cache: Path | None = None
) -> AsyncIterator[Servers]:
    """These servers, or all. Raises: RuntimeError when one does not start."""
    told: list[str] = []
    servers = McpServers(parse_config(document(folder, *names)), cache=cache)
    began = time.perf_counter()
    try:
        await servers.open(told.append)
        if told:
            raise RuntimeError("; ".join(told))
        registry = ToolRegistry(servers.tools(), modules=servers.modules())
        yield Servers(registry, time.perf_counter() - began)
    finally:
        await servers.aclose()


async def measured(kinds: Sequence[McpKind], top: Path, tokens: Tokenizer) -> list[Measured]:
    """All of them through all channels that differ. Raises: RuntimeError when a run is not right."""
    return [
        await _run(kind, channel, top, tokens)
        for kind in kinds
        for channel in CHANNELS
        if kind.n > 1 or channel != "parallel"
    ]


async def _run(kind: McpKind, channel: Channel, top: Path, tokens: Tokenizer) -> Measured:
    """In a folder that is empty at first, and always the same, so that what the servers offer is known."""
    folder, meter = top / DATA, Meter()
    shutil.rmtree(folder, ignore_errors=True)
    task = kind.make(folder, kind.n)
    async with served(folder, kind.servers, top / CACHE) as servers:
        began = time.perf_counter()
        async with _parts(task, channel, servers, meter) as (policy, executor):
            answer = await _answered(task, policy, executor, servers, top)
        own = time.perf_counter() - began
    if (answer, task.state()) != (task.asked.answer, task.right):
        raise RuntimeError(f"{kind.name}, {channel}: {answer!r:.300}, {task.state()!r:.300} is not right")
    return Measured(kind.name, kind.n, channel, meter.spent(tokens.count), own)


@asynccontextmanager
async def _parts(
    task: McpTask, channel: Channel, servers: Servers, meter: Meter
) -> AsyncIterator[tuple[Policy, Executor]]:
    """All that differs between the channels."""
    told = Task((), (task.asked,), [], [], servers.definitions())
    if channel != "code":
        yield JsonPolicy(told, channel == "parallel", meter), JsonCalls()
        return
    session = KernelSession(UNBOUND)
    await session.start(servers.setup)
    try:
        model = CodeModel(told, meter)
        prompt = system(SandboxProfile(), Offered.now(servers.registry), model)
        yield CodeActPolicy(model, UNBOUND, prompt), session
    finally:
        await session.aclose()


async def _answered(task: McpTask, policy: Policy, executor: Executor, servers: Servers, top: Path) -> object:
    recorder = JournalRecorder(top / "run.ipynb", Redactor.of_host())
    info = RunInfo("bench", "scripted", "2026-11-28T10:00:00Z", servers.setup)
    recorder.begin(info)
    try:
        loop = AgentLoop(Trajectory(info), policy, executor, servers.registry, recorder, UNBOUND, emit=ignore)
        return (await loop.run(task.asked.words)).answer
    finally:
        recorder.close(saved=True)
