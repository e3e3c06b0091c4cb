"""Owns what a server offers, as tools: names that stay, bounded words, what the user says of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
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
ANYTHING: Mapping[str, Json] = {"type": "object"}
Caller = Callable[[ToolSpec], Call]


@dataclass(frozen=True)
class Changes:
    """What another list of its tools has changed. `redefined`: these take or return something else now."""

    new: tuple[RemoteTool, ...] = ()
    redefined: tuple[RemoteTool, ...] = ()
    gone: tuple[str, ...] = ()

    def sentence(self, module: str) -> str:
        """What the model is told; "": nothing."""
        said = [
            _some(f"{module} has new tools", [tool.spec.function for tool in self.new]),
            _some(f"{module} has changed", [tool.spec.function for tool in self.redefined]),
            _some(f"{module} does not offer any more", self.gone),
        ]
        return " ".join(filter(None, said))


class Offers:
    """The tools of a server, those of its earlier lists too.

    Args:
        caller: makes what calls the server.
    """

    def __init__(self, config: ServerConfig, caller: Caller) -> None:
        self._config = config
        self._caller = caller
        self._tools: dict[str, RemoteTool] = {}
        self._listed: set[str] = set()
        self._specs: dict[str, ToolSpec] = {}

    @property
    def tools(self) -> tuple[RemoteTool, ...]:
        return tuple(self._tools.values())

    def take(self, listed: Iterable[types.Tool]) -> Changes:
        """The list as it is now. Raises: ValueError when no module can be made of it."""
        wanted = {tool.name: tool for tool in reversed([*listed]) if self._is_offered(tool.name)}
        wanted = dict(reversed(wanted.items()))
        fresh = [name for name in wanted if name not in self._tools][: MAX_TOOLS - len(self._tools)]
        functions = dict(zip((all_ := [*self._tools, *fresh]), function_names(all_), strict=True))
        specs = {
            name: self._spec(tool, functions[name]) for name, tool in wanted.items() if name in functions
        }
        check_source(module_source(ToolModule(self._config.module, "mcp_servers"), [*specs.values()]))
        new = tuple(self._added(name, specs[name]) for name in fresh)
        redefined = tuple(
            self._redefined(name, spec) for name, spec in specs.items() if self._differs(name, spec)
        )
        gone = tuple(functions[name] for name in self._listed - specs.keys())
        self._listed, self._specs = set(specs), self._specs | specs
        return Changes(new, redefined, gone)

    def _is_offered(self, name: str) -> bool:
        config = self._config
        return (not config.include or _matches(name, config.include)) and not _matches(name, config.exclude)

    def _added(self, name: str, spec: ToolSpec) -> RemoteTool:
        self._specs[name] = spec
        made = self._tools[name] = RemoteTool(spec, self._caller(spec), way(name, self._config.approve))
        return made

    def _differs(self, name: str, spec: ToolSpec) -> bool:
        return self._specs[name].schema != spec.schema

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
