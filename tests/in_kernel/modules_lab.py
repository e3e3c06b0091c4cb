"""Owns modules of tools in the tests' own process: a finder, a caller that answers, no kernel."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from codeact_kernel.in_kernel.catalogue import Catalogue
from codeact_kernel.in_kernel.modules import ToolFinder
from codeact_kernel.wire.messages import (
    Json,
    Raised,
    Returned,
    ToolModule,
    ToolOutcome,
    ToolParameter,
    ToolSchema,
    ToolSpec,
)
from codeact_kernel.wire.setup_modules import tools_value
from codeact_kernel.wire.values import decode, encode


def remote(
    name: str, doc: str = "", output: Mapping[str, Json] | None = None, **properties: Json
) -> ToolSpec:
    """A tool of a server; the first parameter is required."""
    schema: dict[str, Json] = {"type": "object", "properties": properties, "required": [*properties][:1]}
    return ToolSpec(
        name, doc=doc, schema=ToolSchema(name.rpartition(".")[2].replace("_", "-"), schema, output)
    )


TEXT: Json = {"type": "string"}
READ = remote(
    "files.read_text",
    "Reads a text file. All of it.",
    {"type": "object", "properties": {"content": TEXT}, "required": ["content"]},
    path={"type": "string", "description": "Where it is"},
    tail={"type": "number"},
    head={"type": ["number", "null"]},
    **{"from": {"enum": ["start", "end"], "default": "start"}},
)
LIST = remote("files.list_directory", "Lists a directory.", path=TEXT)
REFUND = ToolSpec("shop.refund", (ToolParameter("order", annotation="int"),), "str", "Pays an order back.")
GREET = ToolSpec("greet", (ToolParameter("name"),), "str", "Says hello.")
UPDATES = ToolSpec("files._updates")
NEW = remote("files.delete_file", "Deletes a file.", path=TEXT)
FILES = ToolModule("files", "mcp_servers", "Files", "A server of files.")
SHOP = ToolModule("shop", "toolkits", "", "What a shop can do.")


@dataclass
class Host:
    """A Caller that keeps what it is asked. `outcomes`: by tool; else it answers with the call."""

    outcomes: dict[str, ToolOutcome] = field(default_factory=dict)
    asked: list[tuple[str, list[object], dict[str, object]]] = field(default_factory=list)

    def call(self, tool: str, args: tuple[Json, ...], kwargs: Mapping[str, Json]) -> ToolOutcome:
        given = ([decode(a) for a in args], {k: decode(v) for k, v in kwargs.items()})
        self.asked.append((tool, *given))
        return self.outcomes.get(tool) or Returned(encode([tool, *given]))

    async def acall(self, tool: str, args: tuple[Json, ...], kwargs: Mapping[str, Json]) -> ToolOutcome:
        await asyncio.sleep(0)
        return self.call(tool, args, kwargs)

    def refused(self, kind: str, name: str) -> None:
        raise AssertionError("nothing is refused here")

    def offers(self, *specs: ToolSpec) -> None:
        """What the server of `files` has got since."""
        self.outcomes["files._updates"] = Returned(encode(tools_value(specs)))

    def fails(self, tool: str, kind: str, message: str) -> None:
        self.outcomes[tool] = Raised(kind, message)


@dataclass
class Place:
    host: Host
    catalogue: Catalogue
    may_ask: bool = True


@contextmanager
def place(
    *specs: ToolSpec, modules: tuple[ToolModule, ...] = (FILES, SHOP), others: tuple[str, ...] = ()
) -> Iterator[Place]:
    """Where `from mcp_servers import files` works."""
    host = Host()
    made = Place(host, Catalogue(modules, specs, host))
    finder = ToolFinder(made.catalogue, others, lambda module: made.may_ask)
    finder.install()
    try:
        yield made
    finally:
        finder.remove()
