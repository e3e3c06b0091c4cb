"""Owns our kernel as an MCP server: the tools that a client is offered, and what becomes of their calls.

What comes from a client is a stranger's like anything else: code goes into the sandbox, names are checked.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from codeact_kernel import __version__

from ..config import OutputLimits
from ..events import Event, Notice, OutputShown, ToolProgress, ToolStarted
from ..exceptions import CodeActError
from ..outputs import Stream
from .mcp_server_kernels import ClientKernel, Kernels
from .mcp_server_results import (
    CELL,
    RESET,
    SAVED,
    VARIABLES,
    cell_result,
    facts_result,
    problem_result,
)
from .mcp_server_words import INSTRUCTIONS, LIST_VARIABLES, RESET_TEXT, RUN_CELL, SAVE, listing
from .terminal import clean, clip

if TYPE_CHECKING:
    from mcp.server.context import ServerRequestContext
    from mcp.server.lowlevel import Server
    from mcp_types import CallToolRequestParams, CallToolResult, ListToolsResult, Tool

T = TypeVar("T")
SESSION = "mcp-session-id"
"""The header that names the session of a client over HTTP."""
LOOK_S = 0.25
BEAT_S = 5.0
"""Seconds between two words of progress when nothing is shown."""
MAX_TYPE = 100
STDIO = "stdio"


class KernelServer:
    """What is offered.

    Args:
        limits: how much of a cell a client sees.
        about: what `run_cell` says of the kernel beside the rest: data, tools, imports.
        reaches_out: whether code has tools, whose calls have effects outside of the kernel.
        tell: what the user of this server should know.
    """

    def __init__(
        self,
        kernels: Kernels,
        limits: OutputLimits,
        about: str,
        *,
        reaches_out: bool,
        tell: Callable[[str], None],
    ) -> None:
        self.kernels = kernels
        self._limits = limits
        self._about = about
        self._reaches_out = reaches_out
        self._tell = tell

    def server(self) -> Server[Any]:
        """As the SDK serves it."""
        from mcp.server.lowlevel import Server

        return Server(
            "codeact",
            version=__version__,
            title="Isolated Python kernel",
            instructions=INSTRUCTIONS,
            on_list_tools=self._list,
            on_call_tool=self._call,
        )

    def tools(self) -> list[Tool]:
        from mcp_types import Tool, ToolAnnotations

        code = {"code": {"type": "string", "description": "Python, as in one cell of a notebook."}}
        name = {"name": {"type": "string", "description": "Of the notebook, without a folder."}}
        out = self._reaches_out
        run = ToolAnnotations(read_only_hint=False, destructive_hint=out, open_world_hint=out)
        look = ToolAnnotations(read_only_hint=True, open_world_hint=False)
        lose = ToolAnnotations(read_only_hint=False, destructive_hint=True, open_world_hint=False)
        keep = ToolAnnotations(read_only_hint=False, destructive_hint=False, open_world_hint=False)
        about = f"{RUN_CELL}\n{self._about}".strip()
        return [
            _tool(Tool, "run_cell", "Run Python", about, code, CELL, run),
            _tool(Tool, "list_variables", "List variables", LIST_VARIABLES, {}, VARIABLES, look),
            _tool(Tool, "reset", "Begin anew", RESET_TEXT, {}, RESET, lose),
            _tool(Tool, "save_trajectory", "Save the notebook", SAVE, name, SAVED, keep),
        ]

    async def _list(self, ctx: ServerRequestContext[Any], params: object) -> ListToolsResult:
        from mcp_types import ListToolsResult

        return ListToolsResult(tools=self.tools())

    async def _call(self, ctx: ServerRequestContext[Any], params: CallToolRequestParams) -> CallToolResult:
        from mcp import MCPError
        from mcp_types import INVALID_PARAMS

        arguments = params.arguments or {}
        try:
            match params.name:
                case "run_cell":
                    code = _text(arguments, "code")
                    return await self._run_cell(ctx, self._kernel(ctx), code)
                case "list_variables":
                    return await _by_itself(self._variables(self._kernel(ctx)))
                case "reset":
                    saved = await _by_itself(self._kernel(ctx).reset())
                    return facts_result(
                        {"saved": None if saved is None else str(saved)},
                        "nothing had been run" if saved is None else f"what was run is saved in {saved}",
                    )
                case "save_trajectory":
                    path, steps = await self._kernel(ctx).save(_text(arguments, "name"))
                    return facts_result(
                        {"path": str(path), "steps": steps},
                        f"saved {steps:,} cells in {path}; `codeact replay` runs it again and compares",
                    )
        except CodeActError as problem:
            return problem_result(problem)
        raise MCPError(INVALID_PARAMS, f"Unknown tool: {params.name[:100]}")

    def _kernel(self, ctx: ServerRequestContext[Any]) -> ClientKernel:
        """Over HTTP the transport has checked that there is such a session; a pipe has one client."""
        headers: Mapping[str, str] = getattr(ctx.request, "headers", {})
        return self.kernels.of(headers.get(SESSION, STDIO))

    async def _run_cell(
        self, ctx: ServerRequestContext[Any], kernel: ClientKernel, code: str
    ) -> CallToolResult:
        watch = _Watch(ctx, self._tell)
        step = await _by_itself(kernel.run(code, watch, ctx), watch.report)
        note, kernel.note = kernel.note, ""
        return cell_result(step, self._limits, [note] if note else [])

    async def _variables(self, kernel: ClientKernel) -> CallToolResult:
        names = kernel.names()
        lines: Sequence[str] = ()
        if names:
            step = await kernel.run(listing(names))
            if step.observation.status != "ok":
                return cell_result(step, self._limits)
            lines = step.observation.text("stdout").splitlines()[: len(names)]
        # The kernel's words: a name that we did not ask for is none.
        found = [line.partition(" ") for line in lines]
        variables = [
            {"name": name, "type": clean(clip(kind, MAX_TYPE))} for name, _, kind in found if name in names
        ]
        text = "\n".join(f"{one['name']}: {one['type']}" for one in variables) or "there are no variables yet"
        return facts_result({"variables": variables}, text)


class _Watch:
    """What of a running cell a client is told as progress: seconds, and the last line or call."""

    def __init__(self, ctx: ServerRequestContext[Any], tell: Callable[[str], None]) -> None:
        self._ctx, self._tell = ctx, tell
        self._began = self._told = time.monotonic()
        self._said = self._news = ""

    def __call__(self, event: Event) -> None:
        match event:
            case OutputShown(Stream(text=text)):
                lines = text[-2_000:].split("\n")
                self._news = next((line.strip() for line in reversed(lines) if line.strip()), self._news)
            case ToolStarted(tool=name):
                self._news = f"calling {name}"
            case ToolProgress(tool=name, message=message):
                self._news = f"{name}: {message}"
            case Notice(text=text):
                self._tell(text)

    async def report(self) -> None:
        now = time.monotonic()
        if self._news == self._said and now - self._told < BEAT_S:
            return
        self._said, self._told = self._news, now
        message = clean(clip(self._news, 200)) or "running"
        await self._ctx.session.report_progress(round(now - self._began, 2), None, message)


async def _by_itself(work: Awaitable[T], look: Callable[[], Awaitable[None]] | None = None) -> T:
    """`work` as a task of its own, looked after now and then; cancelled once, and waited for by nobody, when
    this call is: the SDK would cancel each `await` of it again, and cut off its cleaning up."""
    task = asyncio.ensure_future(work)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())  # Seen, if nobody waits.
    try:
        while not task.done():
            await asyncio.wait([task], timeout=None if look is None else LOOK_S)
            if look is not None and not task.done():
                await look()
    except BaseException:
        task.cancel()
        raise
    return task.result()


def _tool(
    made: Callable[..., Tool],
    name: str,
    title: str,
    description: str,
    parameters: Mapping[str, Any],
    output: Mapping[str, Any],
    annotations: object,
) -> Tool:
    given = {"type": "object", "properties": parameters, "required": [*parameters]}
    return made(
        name=name,
        title=title,
        description=description,
        input_schema=given | {"additionalProperties": False},
        output_schema=dict(output),
        annotations=annotations,
    )


def _text(arguments: Mapping[str, Any], name: str) -> str:
    """Raises: CodeActError."""
    value = arguments.get(name)
    if not isinstance(value, str) or len(arguments) != 1:
        raise CodeActError(f"give one argument, {name}, a text")
    return value
