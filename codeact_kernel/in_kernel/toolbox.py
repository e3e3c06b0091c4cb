"""Owns `tools`: how code in the kernel finds tools, reads of them, and reaches what else a server has."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from itertools import groupby
from types import FunctionType, ModuleType
from typing import Any

from codeact_kernel.in_kernel import tools as raised
from codeact_kernel.in_kernel.catalogue import Catalogue
from codeact_kernel.in_kernel.listing import Hit, Listing, Text
from codeact_kernel.in_kernel.modules import PACKAGES, ToolsModule, make_functions
from codeact_kernel.in_kernel.tools import ToolFunction
from codeact_kernel.wire.media import ResourceLink
from codeact_kernel.wire.messages import ToolSpec
from codeact_kernel.wire.search import LIMIT, SearchIndex, nearest
from codeact_kernel.wire.setup_skills import PACKAGE as SKILLS
from codeact_kernel.wire.stubs import signature_text, summary, tool_stub

MOST = 100
"""Hits of a search."""
DESCRIBED = 50
"""Tools that are described at once; of further ones only the names."""
CHARS = 30_000
NAMES = 200


class Toolbox:
    """The tools of this run: find them, read what they take and return, reach what else their servers have.

    tools.search("words")             functions by what they do, the best first
    tools.describe("filesystem.*")    parameters, types and results, as source text
    tools.refresh()                   asks the servers for tools that they have got since; the new names
    tools.resources("filesystem")     what a server has to be read; each has .read()
    tools.read("filesystem", uri)     one of them
    tools.prompts("filesystem")       prompts that a server offers
    tools.prompt("filesystem", "name", argument="…")

    Functions are imported from their module: from mcp_servers import filesystem. A call that fails raises
    tools.ToolError: as ToolUnavailable where the server is gone, as ToolSchemaError where its result is not
    what it says, as ToolProtocolError where it refuses; ToolDenied (a PermissionError) where a person does.
    """

    ToolError = raised.ToolError
    ToolUnavailable = raised.ToolUnavailable
    ToolSchemaError = raised.ToolSchemaError
    ToolProtocolError = raised.ToolProtocolError
    ToolDenied = raised.ToolDenied

    def __init__(self, catalogue: Catalogue) -> None:
        # Of this name the guard keeps action code away.
        self.__codeact_namespace__ = catalogue, _Index(catalogue)

    def search(self, query: str, limit: int = LIMIT) -> Listing:
        """The functions that fit these words, the best first: by module, name, parameters, description.

        Words may be cut short ("dir" finds list_directory). Each hit has name, signature, summary, doc; what
        a server says of its tools shows itself as a quotation.
        """
        catalogue, index = self.__codeact_namespace__
        if not isinstance(query, str):
            raise TypeError(f"tools.search takes words, such as 'read file', not {type(query).__name__}")
        specs = [catalogue.whole(spec) for spec in index.now().search(query, min(limit, MOST))]
        hits = [
            Hit(spec.name, signature_text(spec), summary(spec.doc), spec.doc, strange=spec.schema is not None)
            for spec in specs
        ]
        return Listing(hits, f"No tool of {len(index.now()):,} fits {query[:100]!r}; try other words.")

    def describe(self, *patterns: str | ModuleType | Callable[..., Any]) -> Text:
        """Functions as source text, with their types: by name, by module, or by a pattern ("*.read_*").
        Also functions and modules themselves.

        Raises: ValueError when there is none of that name; it says which are spelled nearly so.
        """
        catalogue, _ = self.__codeact_namespace__
        specs = [spec for pattern in patterns or ("*",) for spec in _matching(catalogue, _name(pattern))]
        return Text("\n\n".join(_described(catalogue, list({id(spec): spec for spec in specs}.values()))))

    def refresh(self, *servers: str | ModuleType) -> Listing:
        """Asks servers which tools they have got since the start: all of them, where none is named.

        Returns the names of new ones. Raises: ToolUnavailable & co, where there are none and a server failed.
        """
        catalogue, _ = self.__codeact_namespace__
        new, failed = list[str](), list[raised.ToolError]()
        for name in map(self._server, servers) if servers else catalogue.names("mcp_servers"):
            try:
                new += [spec.name for spec in catalogue.update(name)]
            except raised.ToolError as problem:
                failed.append(problem)
            make_functions(name)
        if failed and not new:
            raise failed[0]
        return Listing(new, "No new tools.")

    def resources(self, server: str | ModuleType) -> Listing:
        """What a server has to be read: links, each with uri, name, description, and .read()."""
        catalogue, name = self.__codeact_namespace__[0], self._server(server)
        return Listing(catalogue.ask(name, "_resources"), f"{name} has no resources.")

    def read(self, server: str | ModuleType, uri: str) -> object:
        """A resource: its text, a picture, media, or a list of such."""
        return self.__codeact_namespace__[0].ask(self._server(server), "_read_resource", uri)

    def prompts(self, server: str | ModuleType) -> Listing:
        """The prompts that a server offers: name, description, arguments."""
        catalogue, name = self.__codeact_namespace__[0], self._server(server)
        return Listing(catalogue.ask(name, "_prompts"), f"{name} has no prompts.")

    def prompt(self, server: str | ModuleType, name: str, /, **arguments: str) -> object:
        """A prompt with its arguments filled in: a list of messages, each with role and content."""
        return self.__codeact_namespace__[0].ask(self._server(server), "_get_prompt", name, arguments)

    def _server(self, server: str | ModuleType) -> str:
        """The name of a module that is a server. Raises ValueError."""
        name, servers = _name(server), self.__codeact_namespace__[0].names("mcp_servers")
        if name in servers:
            return name
        meant = nearest(name, servers, 1)
        said = f"; did you mean {meant[0]!r}?" if meant else ""
        raise ValueError(f"there is no server {name!r:.100}{said} There are: {', '.join(servers) or 'none'}.")

    def __repr__(self) -> str:
        catalogue, _ = self.__codeact_namespace__
        modules = ", ".join([*catalogue.names("mcp_servers"), *catalogue.names("toolkits")][:NAMES])
        return f"<tools: {len(catalogue.specs()):,} functions in {modules}; help(tools) tells more>"


for _method in ("search", "describe", "refresh", "resources", "read", "prompts", "prompt"):
    # For messages: what is called is `tools.read`, and the name of its class is nowhere else.
    getattr(Toolbox, _method).__qualname__ = f"tools.{_method}"


class _Index:
    """The index of what is known now; made when something is searched for, and again when more is known."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._lock = threading.Lock()
        self._made: SearchIndex | None = None

    def now(self) -> SearchIndex:
        with self._lock:
            specs = self._catalogue.specs()
            if self._made is None or len(self._made) != len(specs):
                self._made = SearchIndex(specs)
            return self._made


def read_resource(toolbox: Toolbox) -> None:
    """Links to resources read by this from now on."""
    ResourceLink.reader = toolbox.read


def _name(what: object) -> str:
    """Of a module or a function, or the text itself. Raises TypeError."""
    match what:
        case ToolsModule():
            return what.__name__.rpartition(".")[2]
        case str():
            return what
        case ToolFunction():
            return what._spec.name
        case FunctionType() if name := _function_name(what):
            return name
    raise TypeError(f"a name is a text, such as 'filesystem', not {type(what).__name__}")


def _function_name(function: FunctionType) -> str:
    """Of a function that was imported from one of our packages; "" for another."""
    package, _, module = str(function.__module__).partition(".")
    if package == SKILLS:  # Each is a module of its own.
        return f"{SKILLS}.{function.__name__}"
    return f"{module}.{function.__name__}" if package in PACKAGES else ""


def _matching(catalogue: Catalogue, pattern: str) -> Sequence[ToolSpec]:
    """By the name of the function alone where nothing else is called so. Raises ValueError when there are
    none."""
    pattern = pattern.removeprefix("mcp_servers.").removeprefix("toolkits.")
    specs = catalogue.specs()
    found = [spec for spec in specs if fnmatchcase(spec.name, pattern) or spec.module == pattern != ""]
    found = found or [spec for spec in specs if spec.function == pattern]
    if found:
        return found
    functions = [] if "." in pattern else [spec.function for spec in specs]
    meant = nearest(pattern, [*catalogue.modules, *(spec.name for spec in specs), *functions])
    said = f" Did you mean {' or '.join(map(repr, meant))}?" if meant else ""
    raise ValueError(f"no tool is called {pattern[:100]!r}.{said} tools.search('words') finds tools.")


def _described(catalogue: Catalogue, specs: Sequence[ToolSpec]) -> Iterator[str]:
    """The source of each module, as long as there is room."""
    shown, room = list[ToolSpec](), CHARS
    for spec in specs[:DESCRIBED]:
        room -= len(tool_stub(whole := catalogue.whole(spec)))
        if shown and room < 0:
            break
        shown.append(whole)
    for module, group in groupby(shown, key=lambda spec: spec.module):
        text = catalogue.source(module, list(group))
        yield text if len(text) <= 2 * CHARS else f"{text[: 2 * CHARS]}\n# … {len(text):,} characters in all"
    if rest := [spec.name for spec in specs[len(shown) :]]:
        names = ", ".join(rest[:NAMES]) + (f", and {len(rest) - NAMES:,} more" if len(rest) > NAMES else "")
        yield f"# Not shown, ask for fewer: {names}"
