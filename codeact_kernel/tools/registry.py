"""Owns the tools of a run: a call comes in encoded, is checked, run on the host, and answered encoded."""

from __future__ import annotations

import inspect
from asyncio import CancelledError
from collections.abc import Awaitable, Iterable, Mapping
from contextvars import Context
from functools import partial
from types import MappingProxyType

from ..exceptions import ToolCallError, ToolDefinitionError
from ..interfaces import Later, OnTheSpot
from ..wire.frames import called, unknown
from ..wire.messages import Raised, Returned, ToolModule, ToolOutcome, ToolRequest, ToolSpec
from ..wire.values import SCALARS, DecodeError, encode, reader
from .failures import cut, failure, raised
from .runner import InlineRunner, Runner
from .tool import Tool, tool
from .toolkits import Tools, offered

__all__ = ["InlineRunner", "Runner", "Tool", "ToolRegistry", "tool"]
MAX_NEWS = 20
"""Sentences that wait for the end of a step."""


class ToolRegistry:
    """The tools of a run, as a `ToolSource`.

    Args:
        tools: made with `tool`, or plain functions, which are wrapped by it; by module, if a mapping.
        runner: where they run; `InlineRunner` when not given.
        modules: those that tools with dotted names are in, beside the tools' own (`Tool.home`).

    Raises:
        ToolDefinitionError: a function cannot be a tool, or two tools or modules have one name.
    """

    def __init__(
        self,
        tools: Tools,
        runner: Runner | None = None,
        modules: Iterable[ToolModule] = (),
    ) -> None:
        self._here = InlineRunner()
        self._runner = runner if runner is not None else self._here
        self._tools: dict[str, Tool] = {}
        self._modules: dict[str, ToolModule] = {}
        self._news: list[str] = []
        self.add(tools, modules)

    def add(self, tools: Tools, modules: Iterable[ToolModule] = (), news: str = "") -> None:
        """Further tools, from now on. `news`: what the model is told of them. Raises: ToolDefinitionError."""
        for module in modules:
            self._add_module(module)
        for made in offered(tools):
            if made.home is not None and self._modules.get(made.home.name) != made.home:
                self._add_module(made.home)
            if made.name in self._tools:
                raise ToolDefinitionError(f"two tools are called {made.name!r}; pass name= to one of them")
            if made.spec.module and made.spec.module not in self._modules:
                raise ToolDefinitionError(f"tool {made.name!r}: there is no module {made.spec.module!r}")
            self._tools[made.name] = made
        if news and len(self._news) < MAX_NEWS:
            self._news.append(news)

    def describe(self, modules: Iterable[ToolModule]) -> None:
        """More of modules that are known: what their servers say of themselves."""
        self._modules |= {module.name: module for module in modules}

    def _add_module(self, module: ToolModule) -> None:
        if module.name in self._modules:
            raise ToolDefinitionError(f"two modules of tools are called {module.name!r}; rename one of them")
        self._modules[module.name] = module

    @property
    def tools(self) -> Mapping[str, Tool]:
        """By name; those that are added later too."""
        return MappingProxyType(self._tools)

    def specs(self) -> tuple[ToolSpec, ...]:
        return tuple(made.spec for made in self._tools.values() if not made.hidden)

    def has(self, tool: str) -> bool:
        return tool in self._tools

    def modules(self) -> tuple[ToolModule, ...]:
        return tuple(self._modules.values())

    def news(self) -> tuple[str, ...]:
        news, self._news = tuple(self._news), []
        return news

    async def call(self, request: ToolRequest) -> ToolOutcome:
        """Validates, runs, encodes. What the tool raises is a `Raised`, never an exception here.

        KeyboardInterrupt and cancellation pass through.
        """
        made = self._tools.get(request.tool)
        if made is None:
            return unknown(request.tool, [spec.name for spec in self.specs()])
        try:
            args, kwargs = checked(made, request)
        except ToolCallError as problem:
            return Raised(problem.kind, cut(str(problem)), "no")
        try:
            runner = self._here if made.here else self._runner
            outcome = await runner.run(made, partial(_attempt, made, args, kwargs))
        except (Exception, SystemExit) as problem:
            return raised(problem, made.name)
        return outcome if isinstance(outcome, Returned | Raised) else _returned(outcome)

    def at_once(self, tool: str) -> OnTheSpot | None:
        made = self._tools.get(tool)
        context = None if made is None else self._runner.at_once(made)
        return None if made is None or context is None else partial(_here, made, context)


def checked(made: Tool, request: ToolRequest) -> tuple[tuple[object, ...], dict[str, object]]:
    """The arguments of a call, decoded, checked and converted. Raises ToolCallError."""
    try:
        return made.arguments(*_decoded(request))
    except ToolCallError:
        raise
    except Exception as problem:
        # Data from outside in the hands of a dozen libraries: whatever they object to, the call is wrong.
        said = f"{called(made.name)}: the arguments cannot be checked: {failure(problem)}"
        raise ToolCallError(said, "ValueError") from None


def _decoded(request: ToolRequest) -> tuple[list[object], dict[str, object]]:
    """Raises ToolCallError."""
    if SCALARS.issuperset(map(type, (*request.args, *request.kwargs.values()))):
        return list(request.args), dict(request.kwargs)
    read = reader()
    args: list[object] = []
    kwargs: dict[str, object] = {}
    name: str | None = None
    try:
        for value in request.args:
            args.append(read(value))
        for name, value in request.kwargs.items():
            kwargs[name] = read(value)
    except DecodeError as problem:
        place = str(len(args) + 1) if name is None else f"{name!r:.100}"
        text = f"{called(request.tool)}: argument {place}: {problem}"
        raise ToolCallError(text, "ValueError") from None
    return args, kwargs


def _here(made: Tool, context: Context, request: ToolRequest) -> ToolOutcome | Later:
    try:
        args, kwargs = checked(made, request)
    except ToolCallError as problem:
        return Raised(problem.kind, cut(str(problem)), "no")
    return context.copy().run(_attempt, made, args, kwargs)


def _attempt(made: Tool, args: tuple[object, ...], kwargs: Mapping[str, object]) -> ToolOutcome | Later:
    """The call as the runner gets it: the outcome, or a coroutine of it.

    Failures are turned into data here, in the thread they happened in: a StopIteration could not
    leave a future or a coroutine as itself.
    """
    try:
        value = made.function(*args, **kwargs)
        return _finish(made, value) if inspect.isawaitable(value) else _returned(value)
    except (Exception, SystemExit, CancelledError) as problem:
        # CancelledError: something of the tool's own was cancelled; this call cannot be from here.
        return raised(problem, made.name)


async def _finish(made: Tool, value: Awaitable[object]) -> ToolOutcome:
    try:
        return _returned(await value)
    except (Exception, SystemExit) as problem:
        return raised(problem, made.name)


def _returned(value: object) -> Returned:
    return Returned(encode(value, fallback=True, blobs=True))
