"""Owns the connection to one server: what it is asked, for how long, and what becomes of it when it fails."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import mcp_types as types
from mcp import Client
from mcp.shared.dispatcher import ProgressFnT
from mcp.shared.exceptions import MCPError
from pydantic import ValidationError

from ...wire.messages import Json
from .callbacks import Callbacks, Progress
from .http import SESSION_OVER
from .link import Link
from .listing import listed
from .lives import Lives
from .output_checks import OutputChecks
from .patience import Patience
from .problems import Lost, Violation, plain
from .server import ServerConfig, Stdio

T = TypeVar("T")
LIST_S = 60.0
ENDING_S = 20.0
PROGRESS_S = 0.1


class Connection:
    """One server. Used on one event loop, by any task of it, by many at once.

    Every method that asks the server starts it first where it does not run. Raises of all of them:

        Unavailable: it cannot be started. Lost: it ended meanwhile: whether it did what it was asked is not
            known, and is not tried again here.
        TimeoutError: no answer in time; the server was told to stop.
        MCPError: the server's own error.
        Violation: an answer that the protocol, or the server's own schema, does not allow.
    """

    def __init__(self, config: ServerConfig, callbacks: Callbacks | None = None) -> None:
        self.config = config
        self._patience = Patience()
        self._lives = Lives(config, callbacks or Callbacks(), self._patience)
        self._checks = OutputChecks()

    async def open(self) -> None:
        """Starts it, if it does not run; else nothing. Raises: Unavailable.

        Cancelled, it leaves the start to others who wait for it; `aclose` ends it.
        """
        await self._lives.current()

    async def aclose(self) -> None:
        """Stops it; what is asked meanwhile fails. Returns when nothing of it is left."""
        await self._lives.end()

    @property
    def running(self) -> bool:
        """Whether it has been started and has not ended."""
        return self._lives.link is not None and self._lives.link.alive

    @property
    def client(self) -> Client | None:
        """Of the life that answered last: protocol version, name, capabilities, instructions."""
        return self._lives.client

    @property
    def remarks(self) -> tuple[str, ...]:
        """What was left out of its lists, since nobody could make sense of it."""
        return () if self._lives.link is None else tuple(self._lives.link.remarks)

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
        seconds: float | None = None,
    ) -> types.CallToolResult:
        """`on_progress` is told at most ten times a second, and of the end. `output`: the schema that the
        server has given for structured results; one that does not fit is a Violation. `seconds`: it may take,
        if that is not the server's `timeout_s`."""
        progress = None if on_progress is None else _paced(on_progress)

        async def call(client: Client) -> types.CallToolResult:
            result = await client.call_tool(name, dict(arguments), progress_callback=progress)
            if output is not None and not result.is_error:
                self._checks.check(result, output)
            return result

        return await self._asked(f"call {plain(name, 100)}", call, seconds)

    async def read_resource(self, uri: str) -> types.ReadResourceResult:
        return await self._asked("read a resource", lambda client: client.read_resource(uri))

    async def get_prompt(self, name: str, arguments: Mapping[str, str]) -> types.GetPromptResult:
        return await self._asked("get a prompt", lambda client: client.get_prompt(name, dict(arguments)))

    async def _asked(
        self,
        what: str,
        ask: Callable[[Client], Awaitable[T]],
        seconds: float | None = None,
        again: bool = True,
    ) -> T:
        """`again`: in another session, when the server does not know this one any more."""
        link, client = await self._lives.current()
        seconds = self.config.timeout_s if seconds is None else seconds
        try:
            async with self._patience.limit(seconds):
                return await ask(client)
        except TimeoutError:
            said = f"no answer to {what!r} in {seconds:g} s; it was told to stop, and may be done"
            raise TimeoutError(f"{self._lives.name}: {said}") from None
        except MCPError as problem:
            if problem.data == SESSION_OVER:  # After which the protocol wants another.
                await link.stop()
                if again:  # It was refused unseen.
                    return await self._asked(what, ask, seconds, again=False)
                raise self._lives.unavailable(f"it forgets each session at once; not done: {what}") from None
            if (how := await self._lost(link, problem)) is not None:
                said = f"it ended before it had answered to: {what}; whether it did is not known{how}"
                raise Lost(f"{self._lives.name}: {said}") from None
            raise
        except ValidationError as problem:
            raise Violation(f"{self._lives.name}: {_shape(what, problem)}") from None
        except (RuntimeError, ValueError) as problem:
            raise Violation(f"{self._lives.name}: {plain(str(problem))}") from None

    async def _lost(self, link: Link, problem: MCPError) -> str | None:
        """How the answer got lost, where an error says that it did; None: the error is the server's own."""
        if problem.code != types.CONNECTION_CLOSED:
            return None
        if problem.message == "Connection closed":
            if link.alive:  # So says the SDK of one that is over; but a gateway may pass on the same words.
                return None
            await link.ended(ENDING_S)
            return link.words()
        # Over HTTP an answer may be cut off, and the server be well.
        return None if isinstance(self.config.launch, Stdio) else f" ({plain(problem.message)})"


def _shape(what: str, problem: ValidationError) -> str:
    first = problem.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(step) for step in first["loc"]) or "its top"
    return plain(f"its answer is none to {what!r}: at {place}: {first['msg']}")


def _paced(tell: Progress) -> ProgressFnT:
    last = -PROGRESS_S

    async def told(progress: float, total: float | None, message: str | None) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= PROGRESS_S or (total is not None and progress >= total):
            last = now
            tell(progress, total, message)

    return told
