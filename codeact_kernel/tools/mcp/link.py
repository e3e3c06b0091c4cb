"""Owns one life of a server: started, spoken to, ended, all in one task of the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from importlib.metadata import version
from typing import Any, TypeAlias

import anyio
import httpx2
import mcp_types as types
from mcp import Client
from mcp.client._transport import TransportStreams
from mcp.client.subscriptions import SubscriptionLost
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from .callbacks import Handlers
from .gate import Gate, Mend
from .mending import mend
from .patience import Patience
from .problems import Unavailable, plain
from .tail import Tail

Transport: TypeAlias = Callable[[anyio.Event], AbstractAsyncContextManager[TransportStreams]]
"""Makes one; it sets the event when the server says no more."""
CLOSE_S = 5.0
AGAIN_S, AGAIN_MOST_S = 1.0, 60.0


class Link:
    """A server that was started. One task enters and leaves the SDK's client, as its cancel scopes want."""

    def __init__(
        self, transport: Transport, handlers: Handlers, patience: Patience, tail: Tail, start_s: float
    ) -> None:
        self._transport = transport
        self._handlers = handlers
        self._patience = patience
        self._tail = tail
        self._start_s = start_s
        self._over = anyio.Event()
        self._problem = ""
        self._version = ""
        self.remarks: list[str] = []
        """What was left out of its lists, and why."""
        self._ready: asyncio.Future[Client | None] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._live())
        self._stopping: asyncio.Task[None] | None = None

    @property
    def alive(self) -> bool:
        """Whether it starts, or can be asked."""
        return not self._over.is_set() and not self._task.done()

    async def client(self) -> Client:
        """Once the server has answered. Raises: Unavailable."""
        client = await asyncio.shield(self._ready)
        if client is None:
            raise Unavailable(self._problem)
        return client

    async def ended(self, seconds: float) -> bool:
        """Whether it has ended, for which is waited."""
        await asyncio.wait([self._task], timeout=seconds)
        return self._task.done()

    async def stop(self) -> None:
        """Returns when nothing of it is left. Whoever asks, one does it: cancelled twice, the task would not
        clean up."""
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop())
        await asyncio.shield(self._stopping)

    async def _stop(self) -> None:
        self._over.set()
        if self._ready.done():
            await self.ended(CLOSE_S)
        while not self._task.done():
            self._task.cancel()
            await self.ended(CLOSE_S)

    def words(self) -> str:
        """How it ended and its last words, as the end of a sentence."""
        how = f" ({self._tail.ended})" if self._tail.ended else ""
        words = self._tail.words()
        return how + (f"; its last words: {words}" if words else "")

    async def _live(self) -> None:
        try:
            async with AsyncExitStack() as stack:
                async with self._patience.limit(self._start_s):
                    client = await stack.enter_async_context(self._client())
                self._version = client.protocol_version
                _leave_results(client)
                self._ready.set_result(client)
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._heed, client)
                    try:
                        await self._over.wait()
                    finally:
                        self._over.set()  # Before those hear of it who wait for answers.
                    tasks.cancel_scope.cancel()
        except TimeoutError:
            self._problem = f"it did not answer within {self._start_s:g} s of its start{self.words()}"
        except BaseException as problem:
            if self._ready.done():
                self._tail.ended = self._tail.ended or _told(problem, self._tail.masked)
            self._problem = f"{_told(problem, self._tail.masked)}{self.words()}"
            if isinstance(problem, KeyboardInterrupt | SystemExit):
                raise
        finally:
            self._over.set()
            self._handlers.close()
            if not self._ready.done():
                self._ready.set_result(None)

    def _client(self) -> Client:
        return Client(
            _Gated(self._transport(self._over), self._mend, self._handlers.heard, self._over.set),
            cache=None,
            client_info=types.Implementation(name="codeact_kernel", version=version("codeact_kernel")),
            **self._handlers.of_client(),
        )

    def _mend(self, result: dict[str, Any]) -> None:
        mend(result, self._version, self.remarks)

    async def _heed(self, client: Client) -> None:
        """In the protocol of 2026 changes of lists are told to those who listen; before, to everybody."""
        can = client.server_capabilities
        tools = bool(can.tools and can.tools.list_changed)
        prompts = bool(can.prompts and can.prompts.list_changed)
        if client.protocol_version not in MODERN_PROTOCOL_VERSIONS or not (tools or prompts):
            return
        wait = AGAIN_S
        while True:
            try:
                async with client.listen(tools_list_changed=tools, prompts_list_changed=prompts) as heard:
                    wait = AGAIN_S
                    async for _ in heard:
                        pass  # The message handler has been told.
            except (MCPError, SubscriptionLost) as problem:
                self._tail.note(f"[its changes are not heard] {self._tail.masked(str(problem)):.200}")
            await anyio.sleep(wait)
            wait = min(2 * wait, AGAIN_MOST_S)
            if tools:
                self._handlers.changed("tools")  # Nobody knows what was missed.


def _leave_results(client: Client) -> None:
    """Results are checked by `Connection`: the SDK would try a stranger's regular expressions, which need not
    end, and ask for the list of tools first."""

    async def unchecked(name: str, result: types.CallToolResult) -> None:
        return None

    client.session.validate_tool_result = unchecked  # type: ignore[method-assign]  # There is no switch.


class _Gated(AbstractAsyncContextManager[TransportStreams]):
    """A transport whose server cannot flood."""

    def __init__(
        self,
        inner: AbstractAsyncContextManager[TransportStreams],
        mend: Mend,
        missed: Callable[[str], None],
        over: Callable[[], None],
    ) -> None:
        self._inner = inner
        self._mend = mend
        self._missed = missed
        self._over = over

    async def __aenter__(self) -> TransportStreams:
        gate = Gate(*await self._inner.__aenter__(), self._mend, self._missed, self._over)
        return gate.incoming, gate.outgoing

    async def __aexit__(self, *problem: Any) -> bool | None:
        return await self._inner.__aexit__(*problem)


def _told(problem: BaseException, masked: Callable[[str], str]) -> str:
    """What it says, of whatever groups of tasks have made of it."""
    leaves = list(_leaves(problem))
    for leaf in leaves:
        if isinstance(leaf, Unavailable):
            return str(leaf)
    for leaf in leaves:
        if isinstance(leaf, MCPError):
            if leaf.code == types.CONNECTION_CLOSED:
                return "it ended before it had answered"
            return f"it refuses: {plain(masked(leaf.message))}"
    for leaf in leaves:
        if isinstance(leaf, httpx2.HTTPStatusError):  # Its own words have the whole URL, secrets and all.
            return f"HTTP {leaf.response.status_code} {plain(leaf.response.reason_phrase)}"
        if isinstance(leaf, Exception):
            return f"{type(leaf).__name__}: {plain(masked(str(leaf)))}"
    return "it was stopped"


def _leaves(problem: BaseException) -> Iterator[BaseException]:
    if isinstance(problem, BaseExceptionGroup):
        for inner in problem.exceptions:
            yield from _leaves(inner)
    else:
        yield problem
