"""Owns the connection to one server: started when it is needed, asked, started again when it has died."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

import anyio
import mcp_types as types
from mcp import Client
from mcp.client._transport import TransportStreams
from mcp.shared.dispatcher import ProgressFnT
from mcp.shared.exceptions import MCPError
from pydantic import ValidationError

from ...wire.messages import Json
from ..json_schema import StrangersChecker
from ..mismatch import Mismatch
from .callbacks import Callbacks, Handlers, Progress
from .http import http
from .link import Link
from .listing import listed
from .oauth import Access
from .patience import Patience
from .problems import Unavailable, Violation, plain
from .server import Http, ServerConfig, Stdio
from .stdio import stdio
from .tail import Tail

T = TypeVar("T")
STARTS, WITHIN_S = 3, 60.0
LIST_S = 60.0
ENDING_S, CLOSING_S = 20.0, 5.0
PROGRESS_S = 0.1
MAX_CHECKERS = 200


class Connection:
    """One server. Used on one event loop, by any task of it, by many at once.

    Every method that asks the server starts it first where it does not run. Raises of all of them:

        Unavailable: it cannot be started, or ended meanwhile: whether it did what it was asked is not known,
            and is not tried again here.
        TimeoutError: no answer in time; the server was told to stop.
        MCPError: the server's own error.
        Violation: an answer that the protocol, or the server's own schema, does not allow.
    """

    def __init__(self, config: ServerConfig, callbacks: Callbacks | None = None) -> None:
        _quieten()
        self.config = config
        self._callbacks = callbacks or Callbacks()
        self._patience = Patience()
        self._lock = asyncio.Lock()
        self._link: Link | None = None
        self._starts: deque[float] = deque(maxlen=STARTS)
        self._last = ""
        self._closed = False
        self._client: Client | None = None
        self._checkers: dict[int, tuple[Mapping[str, Json], StrangersChecker]] = {}

    async def open(self) -> None:
        """Starts it, if it does not run; else nothing. Raises: Unavailable."""
        link = await self._linked()
        try:
            await self._ready(link)
        except asyncio.CancelledError:
            await link.stop()
            raise

    async def aclose(self) -> None:
        """Stops it; what is asked meanwhile fails. Returns when nothing of it is left."""
        self._closed = True
        if self._link is not None:
            await self._link.stop()

    @property
    def running(self) -> bool:
        """Whether it has been started and has not ended."""
        return self._link is not None and self._link.alive

    @property
    def client(self) -> Client | None:
        """Of the life that answered last: protocol version, name, capabilities, instructions."""
        return self._client

    @property
    def remarks(self) -> tuple[str, ...]:
        """What was left out of its lists, since nobody could make sense of it."""
        return () if self._link is None else tuple(self._link.remarks)

    async def list_tools(self) -> tuple[types.Tool, ...]:
        """All of them, as the server has them."""
        return await self._asked("list its tools", listed("tools"), LIST_S)

    async def list_resources(self) -> tuple[types.Resource, ...]:
        return await self._asked("list its resources", listed("resources"), LIST_S)

    async def list_resource_templates(self) -> tuple[types.ResourceTemplate, ...]:
        return await self._asked("list its resource templates", listed("resource_templates"), LIST_S)

    async def list_prompts(self) -> tuple[types.Prompt, ...]:
        return await self._asked("list its prompts", listed("prompts"), LIST_S)

    async def call_tool(
        self,
        name: str,
        arguments: Mapping[str, Any],
        on_progress: Progress | None = None,
        output: Mapping[str, Json] | None = None,
    ) -> types.CallToolResult:
        """`on_progress` is told at most ten times a second, and of the end. `output`: the schema that the
        server has given for structured results; one that does not fit is a Violation."""
        progress = None if on_progress is None else _paced(on_progress)

        async def call(client: Client) -> types.CallToolResult:
            return await client.call_tool(name, dict(arguments), progress_callback=progress)

        result = await self._asked(f"call {plain(name, 100)}", call)
        if output is not None and not result.is_error:
            self._check(result, output)
        return result

    def _check(self, result: types.CallToolResult, output: Mapping[str, Json]) -> None:
        """Raises: Violation."""
        if result.structured_content is None and "structured_content" not in result.model_fields_set:
            raise Violation(
                f"{self._name}: its answer has no structured content, which its schema says it has"
            )
        checker = self._checkers.get(id(output))
        if checker is None or checker[0] is not output:
            if len(self._checkers) >= MAX_CHECKERS:
                self._checkers.clear()
            checker = self._checkers[id(output)] = output, StrangersChecker(output)
        try:
            checker[1].check(result.structured_content)
        except Mismatch as problem:
            said = problem.at(f"{self._name}: its answer is not what its schema says")
            raise Violation(plain(said)) from None

    async def read_resource(self, uri: str) -> types.ReadResourceResult:
        return await self._asked("read a resource", lambda client: client.read_resource(uri))

    async def get_prompt(self, name: str, arguments: Mapping[str, str]) -> types.GetPromptResult:
        return await self._asked("get a prompt", lambda client: client.get_prompt(name, dict(arguments)))

    async def _asked(
        self, what: str, ask: Callable[[Client], Awaitable[T]], seconds: float | None = None
    ) -> T:
        link = await self._linked()
        client = await self._ready(link)
        seconds = self.config.timeout_s if seconds is None else seconds
        try:
            async with self._patience.limit(seconds):
                return await ask(client)
        except TimeoutError:
            raise TimeoutError(
                f"{self._name}: no answer to {what!r} in {seconds:g} s; it was told to stop, and may be done"
            ) from None
        except MCPError as problem:
            if (how := await self._lost(link, problem)) is not None:
                raise self._unavailable(
                    f"it ended before it had answered to: {what}; whether it did is not known{how}"
                ) from None
            raise
        except ValidationError as problem:
            first = problem.errors(include_url=False, include_input=False)[0]
            place = ".".join(str(step) for step in first["loc"])
            said = f"{self._name}: its answer is none to {what!r}: at {place or 'its top'}: {first['msg']}"
            raise Violation(plain(said)) from None
        except (RuntimeError, ValueError) as problem:
            raise Violation(f"{self._name}: {plain(str(problem))}") from None

    async def _lost(self, link: Link, problem: MCPError) -> str | None:
        """How the answer got lost, where an error says that it did; None: the error is the server's own."""
        if problem.code != types.CONNECTION_CLOSED:
            return None
        if problem.message == "Connection closed":
            ended = await link.ended(ENDING_S if not link.alive else CLOSING_S)
            return link.words() if ended or not link.alive else None
        # Over HTTP an answer may be cut off, and the server be well.
        return None if isinstance(self.config.launch, Stdio) else f" ({plain(problem.message)})"

    async def _linked(self) -> Link:
        async with self._lock:
            if self._closed:
                raise self._unavailable("it was stopped, with the run")
            if self._link is None or not self._link.alive:
                if self._link is not None:
                    await self._link.stop()
                    self._last = self._link.words()
                self._link = self._started()
            return self._link

    def _started(self) -> Link:
        now = time.monotonic()
        if len(self._starts) == STARTS and now - self._starts[0] < WITHIN_S:
            raise self._unavailable(
                f"it was started {STARTS} times within {WITHIN_S:g} s and has ended each time{self._last}"
            )
        self._starts.append(now)
        tail = Tail()
        handlers = Handlers(self._callbacks, self._patience, tail)

        def transport(ended: anyio.Event) -> AbstractAsyncContextManager[TransportStreams]:
            if isinstance(self.config.launch, Stdio):
                return stdio(self.config.launch, tail, ended)
            return http(self.config.launch, tail, self._access(self.config.launch))

        return Link(transport, handlers, self._patience, tail, self.config.start_timeout_s)

    def _access(self, launch: Http) -> Access | None:
        """None: the user has said what lets requests in."""
        said = any(name.lower() == "authorization" for name in launch.headers)
        return None if said else Access(launch, self._callbacks.authorize, self._patience)

    async def _ready(self, link: Link) -> Client:
        try:
            self._client = await link.client()
        except Unavailable as problem:
            raise self._unavailable(str(problem)) from None
        return self._client

    @property
    def _name(self) -> str:
        return f"MCP server {self.config.name!r}"

    def _unavailable(self, problem: str) -> Unavailable:
        return Unavailable(f"{self._name}: {problem}")


def _quieten() -> None:
    """The SDK logs what servers do wrong, in their words; without a handler Python writes it to stderr."""
    for name in ("mcp", "client"):
        logger = logging.getLogger(name)
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())


def _paced(tell: Progress) -> ProgressFnT:
    last = -PROGRESS_S

    async def told(progress: float, total: float | None, message: str | None) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= PROGRESS_S or (total is not None and progress >= total):
            last = now
            tell(progress, total, message)

    return told
