"""Owns the lives of one server: started when it is needed, and again when it has died, but not for ever."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from contextlib import AbstractAsyncContextManager

import anyio
from mcp import Client
from mcp.client._transport import TransportStreams

from .callbacks import Callbacks, Handlers
from .http import http
from .link import Link
from .oauth import Access
from .patience import Patience
from .problems import Unavailable
from .server import Http, ServerConfig, Stdio
from .stdio import stdio
from .tail import Tail

STARTS, WITHIN_S = 3, 60.0


class Lives:
    """Of the server of `config`. One at a time."""

    def __init__(self, config: ServerConfig, callbacks: Callbacks, patience: Patience) -> None:
        _quieten()
        self.name = f"MCP server {config.name!r}"
        self.client: Client | None = None
        """Of the life that answered last."""
        self.link: Link | None = None
        self._config = config
        self._callbacks = callbacks
        self._patience = patience
        self._lock = asyncio.Lock()
        self._starts: deque[float] = deque(maxlen=STARTS)
        self._last = ""
        self._closed = False

    def unavailable(self, problem: str) -> Unavailable:
        return Unavailable(f"{self.name}: {problem}")

    async def current(self) -> tuple[Link, Client]:
        """The one that can be asked, begun where there is none. Raises: Unavailable."""
        async with self._lock:
            if self.link is not None and not self.link.alive:
                await self.link.stop()
                self._last = self.link.words()
            if self._closed:  # Asked after that wait: nothing is begun that nobody would end.
                raise self.unavailable("it was stopped, with the run")
            if self.link is None or not self.link.alive:
                self.link = self._begun()
            link = self.link
        try:
            self.client = await link.client()
        except Unavailable as problem:
            raise self.unavailable(str(problem)) from None
        return link, self.client

    async def end(self) -> None:
        """For good. Returns when nothing of it is left."""
        self._closed = True
        await self.stop()

    async def stop(self) -> None:
        """Ends the one there is."""
        if self.link is not None:
            await self.link.stop()

    def _begun(self) -> Link:
        now = time.monotonic()
        if len(self._starts) == STARTS and now - self._starts[0] < WITHIN_S:
            raise self.unavailable(
                f"it was started {STARTS} times within {WITHIN_S:g} s and has ended each time{self._last}"
            )
        self._starts.append(now)
        tail = Tail()
        handlers = Handlers(self._callbacks, self._patience, tail)

        def transport(ended: anyio.Event) -> AbstractAsyncContextManager[TransportStreams]:
            if isinstance(self._config.launch, Stdio):
                return stdio(self._config.launch, tail, ended)
            return http(self._config.launch, tail, ended, self._access(self._config.launch))

        return Link(transport, handlers, self._patience, tail, self._config.start_timeout_s)

    def _access(self, launch: Http) -> Access | None:
        """None: the user has said what lets requests in."""
        said = any(name.lower() == "authorization" for name in launch.headers)
        return None if said else Access(launch, self._callbacks.authorize, self._patience)


def _quieten() -> None:
    """The SDK logs what servers do wrong, in their words; without a handler Python writes it to stderr."""
    for name in ("mcp", "client"):
        logger = logging.getLogger(name)
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())
