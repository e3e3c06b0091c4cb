"""Owns what a server offers, as tools: names that stay, bounded words, what the user says of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import mcp_types as types

from ...inert.text import clean
from ...wire.lines import dump_line
from ...wire.messages import Json, ToolModule, ToolSchema, ToolSpec
from ...wire.schemas import check_source, function_names, module_source, tool_spec
from ..approval import Mode
from .remote import Call, RemoteTool
from .server import ServerConfig

MAX_TOOLS = 10_000
"""Of a server, in all of a run: one that keeps on changing its list does not fill the memory."""
MAX_SCHEMA = 256 * 1024
"""Bytes of a schema; of a longer one nothing is said, and the server checks what it gets."""
MAX_DEPTH = 60
MAX_DOC = 20_000
MAX_TOLD = 40
ANYTHING: Mapping[str, Json] = {"type": "object", "additionalProperties": True}
"""In place of such a schema, and of one that is not understood: a function that takes whatever is given."""
Caller = Callable[[ToolSpec], Call]


@dataclass(frozen=True)
class Changes:
    """What another list of its tools has changed. `redefined`: these take or return something else now;
    `back`: were not offered for a while."""

    new: tuple[RemoteTool, ...] = ()
    redefined: tuple[RemoteTool, ...] = ()
    gone: tuple[str, ...] = ()
    back: tuple[str, ...] = ()

    def sentence(self, module: str) -> str:
        """What the model is told; "": nothing."""
        said = [
            _some(f"{module} has new tools", [tool.spec.function for tool in self.new]),
            _some(f"{module} has changed", [tool.spec.function for tool in self.redefined]),
            _some(
                "In this run these keep the parameters that they had, so calls of them may fail",
                [tool.spec.function for tool in self.redefined if tool.is_outgrown],
            ),
            _some(f"{module} does not offer any more", self.gone),
            _some(f"{module} offers again", self.back),
        ]
        return " ".join(filter(None, said))


@dataclass(frozen=True)
class Prepared:
    """A list of tools, understood. By the server's names."""

    listed: Mapping[str, types.Tool]
    specs: Mapping[str, ToolSpec]
    new: Mapping[str, RemoteTool]


class Offers:
    """The tools of a server, those of its earlier lists too.

    Args:
        caller: makes what calls the server.
    """

    def __init__(self, config: ServerConfig, caller: Caller) -> None:
        self._config = config
        self._caller = caller
        self._tools: dict[str, RemoteTool] = {}
        self._listed: dict[str, types.Tool] = {}
        self._specs: dict[str, ToolSpec] = {}

    @property
    def tools(self) -> tuple[RemoteTool, ...]:
        return tuple(self._tools.values())

    def prepared(self, listed: Iterable[types.Tool]) -> Prepared:
        """Understands a list; changes nothing, so that a thread can do it: 2,500 tools take seconds. What has
        been understood before is not again. Raises: ValueError when no module can be made of it."""
        wanted = {tool.name: tool for tool in reversed([*listed]) if self._is_offered(tool.name)}
        wanted = dict(reversed(wanted.items()))
        fresh = [name for name in wanted if name not in self._tools][: MAX_TOOLS - len(self._tools)]
        functions = dict(zip((all_ := [*self._tools, *fresh]), function_names(all_), strict=True))
        known = {name: self._specs[name] for name, tool in wanted.items() if self._listed.get(name) == tool}
        made = {
            name: self._understood(tool, functions[name])
            for name, tool in wanted.items()
            if name in functions and name not in known
        }
        self._check([*made.values()])
        specs = {name: made.get(name) or known[name] for name in wanted if name in made or name in known}
        return Prepared(wanted, specs, {name: self._made(name, made[name]) for name in fresh})

    def _understood(self, tool: types.Tool, function: str) -> ToolSpec:
        """Of schemas on which our own code fails nothing is said: the server checks what it gets. No server's
        word is to end the run, and one bad tool is not to cost the others. Raises: ValueError."""
        try:
            return self._spec(tool, function)
        except Exception:
            silent = tool.model_copy(update={"input_schema": ANYTHING, "output_schema": None})
        try:
            return self._spec(silent, function)
        except Exception as problem:
            raise ValueError(f"its tool {tool.name!r:.100} is not understood: {problem!r:.200}") from problem

    def _check(self, specs: Sequence[ToolSpec]) -> None:
        """Raises: ValueError."""
        try:
            check_source(module_source(ToolModule(self._config.module, "mcp_servers"), specs))
        except ValueError:
            raise
        except Exception as problem:
            raise ValueError(f"no module can be made of its tools: {problem!r:.200}") from problem

    def take(self, found: Prepared) -> Changes:
        """The list as it is now, of what was prepared last."""
        redefined = tuple(
            self._redefined(name, spec)
            for name, spec in found.specs.items()
            if name in self._tools and self._specs[name].schema != spec.schema
        )
        gone = tuple(
            self._tools[name].spec.function
            for name in self._listed
            if name in self._tools and name not in found.specs
        )
        back = tuple(
            made.spec.function
            for name, made in self._tools.items()
            if name in found.specs and name not in self._listed
        )
        self._tools |= found.new
        self._specs |= found.specs
        self._listed = dict(found.listed)
        return Changes(tuple(found.new.values()), redefined, gone, back)

    def _is_offered(self, name: str) -> bool:
        config = self._config
        return (not config.include or _matches(name, config.include)) and not _matches(name, config.exclude)

    def _made(self, name: str, spec: ToolSpec) -> RemoteTool:
        return RemoteTool(spec, self._caller(spec), way(name, self._config.approve))

    def _redefined(self, name: str, spec: ToolSpec) -> RemoteTool:
        made = self._tools[name]
        made.redefined(spec, self._caller(spec))
        return made

    def _spec(self, tool: types.Tool, function: str) -> ToolSpec:
        hint = tool.annotations.read_only_hint if tool.annotations is not None else None
        output = None if tool.output_schema is None else bounded(tool.output_schema)
        schema = ToolSchema(tool.name, bounded(tool.input_schema), output, hint)
        said = (tool.description or tool.title or "")[:MAX_DOC]
        spec = tool_spec(self._config.module, function, schema, said)
        return replace(spec, effect="read" if _matches(tool.name, self._config.reads) else "write")


def bounded(schema: Mapping[str, Json]) -> Mapping[str, Json]:
    """`schema`, or one that says nothing where it is too large to travel."""
    level: list[object] = [schema]
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _inner(outer)]
        if not level:
            return schema if len(dump_line(schema)) <= MAX_SCHEMA else ANYTHING
    return ANYTHING


def _inner(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def way(name: str, approve: Mapping[str, Mode]) -> Mode | None:
    """What the user says of a tool's calls: by its name, else by the longest pattern that it matches."""
    found = max((pattern for pattern in approve if fnmatchcase(name, pattern)), key=len, default=None)
    return approve.get(name, None if found is None else approve[found])


def described(module: str, info: types.Implementation | None, instructions: str | None) -> ToolModule:
    """The module, with what its server says of itself."""
    title = "" if info is None else clean((info.title or info.name)[:200])
    return ToolModule(module, "mcp_servers", title, clean((instructions or "")[:MAX_DOC]))


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _some(said: str, names: Iterable[str]) -> str:
    names = sorted(names)
    more = f" and {len(names) - MAX_TOLD:,} more" if len(names) > MAX_TOLD else ""
    return f"{said}: {', '.join(names[:MAX_TOLD])}{more}." if names else ""
