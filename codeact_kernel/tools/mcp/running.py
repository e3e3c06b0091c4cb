"""Owns one server of a run: its catalogue as tools, the calls of them, what changes while the run goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import mcp_types as types
from mcp.shared.exceptions import MCPError, UrlElicitationRequiredError

from ...events import ToolProgress
from ...inert.text import clean
from ...wire.messages import Json, ToolModule, ToolSpec
from ...wire.stubs import HINT, parameters_hint
from ..failures import Failure
from .asking import Asking
from .callbacks import Callbacks, List
from .catalogue import Catalogue, CatalogueCache
from .connection import Connection
from .failing import UNAVAILABLE, told
from .limits import Allowed
from .offers import Changes, Offers, described
from .problems import Unavailable, Violation
from .remote import Call, RemoteTool
from .results import ERROR, SCHEMA, value_of
from .server import ServerConfig
from .words import said, without

MAX_LISTS = 200
"""Times that a run looks at a list which its server says has changed."""
MAX_REMARKS = 5
MAX_PAGES = 3
"""Pages that a person is asked to visit for one call."""
PROBLEMS = (Unavailable, Violation, MCPError, TimeoutError, ValueError)
"""Why a server has no tools."""


class Around(Protocol):
    """What is told of a server, to whoever runs it."""

    def tell(self, text: str) -> None: ...
    def changed(self, tools: tuple[RemoteTool, ...], said: str) -> None: ...
    def progress(self, event: ToolProgress) -> None: ...


class Running:
    """One server. Its tools can be called when they are there: the first call starts it, if need be."""

    def __init__(self, config: ServerConfig, asking: Asking, around: Around, cache: CatalogueCache) -> None:
        self.config = config
        self._cache = cache
        self._around = around
        self._asking = asking
        callbacks = Callbacks(
            elicit=asking.elicitation,
            on_changed=self._list_changed,
            authorize=asking.login,
            secrets=config.confidential,
        )
        self.connection = Connection(config, callbacks)
        self.allowed = Allowed(config.module, config.max_calls)
        self.offers = Offers(config, self._caller)
        self.module = ToolModule(config.module, "mcp_servers")
        self.added: dict[str, ToolSpec] = {}
        """Since the run began, by name; of a tool that was redefined the last word."""
        self.problem = ""
        """Why it cannot be had; "": it can, as far as is known."""
        self._begun = False
        self._current = False
        self._lists = 0
        self._looking: asyncio.Task[None] | None = None
        self._again = False
        self._taking = asyncio.Lock()

    # --- the catalogue -----------------------------------------------------------------------------

    async def open(self) -> None:
        """Gets what it offers; `problem`: why not. Never raises but for cancellation."""
        try:
            known = await asyncio.to_thread(self._cache.load, self.config)
            if known is None:
                await self.look()
            else:
                await self._take(known)
        except PROBLEMS as problem:
            self.problem = without(str(problem), self.config.confidential)
        self._begun = True

    async def look(self) -> None:
        """Asks the server what it offers, and tells what is another. Raises: PROBLEMS."""
        catalogue = await Catalogue.of(self.connection)
        self._current = True
        await self._take(catalogue)
        await asyncio.to_thread(self._cache.save, self.config, catalogue)

    async def _take(self, catalogue: Catalogue) -> None:
        async with self._taking:
            changes = self.offers.take(await asyncio.to_thread(self.offers.prepared, catalogue.tools))
        self.module = described(self.config.module, catalogue.info, catalogue.instructions)
        self.problem = ""
        if self._begun:
            self._told(changes)
        else:
            for remark in catalogue.remarks[:MAX_REMARKS]:
                self._around.tell(f"server {self.config.module}: {said(remark)}")

    async def be_current(self) -> None:
        """Looks: what the server has told of a change is heard a moment later. Raises: PROBLEMS."""
        if not self._current or self.problem or self._lists < MAX_LISTS:
            self._lists += 1
            await self.look()

    def _told(self, changes: Changes) -> None:
        for tool in (*changes.new, *changes.redefined):
            self.added[tool.name] = tool.current
        if sentence := changes.sentence(self.config.module):
            self._around.changed(changes.new, sentence)

    def _list_changed(self, which: List) -> None:
        if which == "tools" and self._lists < MAX_LISTS:
            self._lists += 1
            self.look_soon()

    def _look_again(self, gone: bool = False) -> None:
        """After a call: what was offered may be from the cache, and not so any more."""
        if self._current:
            return
        if gone:
            self._cache.forget(self.config)  # The next run is to know at once.
        else:
            self.look_soon()

    def look_soon(self) -> None:
        """One look at a time, and one more when there was reason for it meanwhile."""
        if self._looking is not None and not self._looking.done():
            self._again = True
            return
        self._looking = asyncio.create_task(self._look_on())

    async def _look_on(self) -> None:
        self._again = True
        while self._again:
            self._again = False
            try:
                await self.look()
            except PROBLEMS:
                return  # The next call says what is wrong.

    async def aclose(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])
        await self.connection.aclose()

    # --- calls -------------------------------------------------------------------------------------

    def _caller(self, spec: ToolSpec) -> Call:
        async def call(given: Mapping[str, Json]) -> object:
            return await self._called(spec, given)

        return call

    async def _called(self, spec: ToolSpec, given: Mapping[str, Json]) -> object:
        schema = spec.schema
        assert schema is not None
        async with self.allowed.one(spec.name, self.config.limit_of(schema.tool).max_calls):
            try:
                with told(spec.name, self.config.confidential, SCHEMA):
                    result = await self._answered(spec, lambda: self._call_tool(spec, given))
            except Failure as problem:
                self._look_again(gone=problem.kind == UNAVAILABLE)
                raise
        self._look_again()
        try:
            return value_of(result, spec.name, spec.module, schema.output)
        except Failure as problem:
            if problem.kind != ERROR or HINT in str(problem):
                raise
            raise Failure(ERROR, f"{problem}\n{spec.name}: {parameters_hint(spec)}") from None

    def _call_tool(self, spec: ToolSpec, given: Mapping[str, Json]) -> Awaitable[types.CallToolResult]:
        def progress(done: float, total: float | None, message: str | None) -> None:
            self._around.progress(ToolProgress(spec.name, done, total, clean((message or "")[:400])[:200]))

        assert spec.schema is not None
        tool, seconds = spec.schema.tool, self.config.limit_of(spec.schema.tool).timeout_s
        return self.connection.call_tool(tool, given, progress, spec.schema.output, seconds)

    async def _answered(
        self, spec: ToolSpec, ask: Callable[[], Awaitable[types.CallToolResult]]
    ) -> types.CallToolResult:
        """Once more, when the server says that the person has to visit pages first, and they did."""
        try:
            return await ask()
        except MCPError as problem:
            if problem.code != types.URL_ELICITATION_REQUIRED:
                raise
            pages = _pages(problem)
        for page in pages:
            if (await self._asking.answer(page)).action != "accept":
                why = f"{spec.name}(): the person did not visit the page that it needs"
                raise Failure(ERROR, why, "no")  # The server has done nothing but name the page.
        return await ask()


def _pages(problem: MCPError) -> list[types.ElicitRequestURLParams]:
    """That a person has to visit. Raises: `problem`, where it says none that can be read."""
    try:
        return UrlElicitationRequiredError.from_error(problem.error).elicitations[:MAX_PAGES]
    except (ValueError, TypeError, AttributeError):
        raise problem from None
