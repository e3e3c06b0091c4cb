"""Owns the modules and tools of a setup cell as a whole: their names, and many tools of a module in one line.

Tools of a module that take more than 8 KiB stand in one line, zlib and base64, with their names to be read:
{"tools":"filesystem","names":"read_text_file, …","bytes":12973,"sha256":"…","zlib":"…"}.
"""

from __future__ import annotations

import hashlib
import keyword
import unicodedata
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from .frames import structure_of
from .lines import dump_line, load_line
from .messages import Json, ToolModule, ToolSpec
from .setup_lines import count_field, expand, pack, quotable, text_field
from .setup_tools import module_from_json, module_to_json, tool_from_json, tool_to_json

LARGE_BYTES = 8 * 1024
MAX_MODULES = 1_000
MAX_TOOLS = 20_000
MAX_BYTES = 64 * 1024 * 1024
"""Of all packed lines together, expanded: three KiB for each tool that there may be."""
MAX_PARTS = 2_000_000
"""So many values they may hold (`frames.structure_of`), each of which takes some 30 to 100 bytes."""
MAX_NAME = 200
RESERVED = frozenset({"tools"})
_SHOWN = 100


_Written: TypeAlias = "tuple[Sequence[ToolModule], Sequence[ToolSpec], tuple[str, ...]]"
_KNOWN: deque[_Written] = deque(maxlen=4)
"""What was written last: a notebook is written again and again, with the same tools."""


@dataclass(frozen=True)
class PackedTools:
    """The tools of a large module before they are read: with thousands of them, that takes longer than all
    else of a kernel's setup. `data` is bounded, and what its digest says."""

    module: str
    data: bytes

    def tools(self) -> tuple[ToolSpec, ...]:
        """Raises ValueError for what is no list of tools of that module."""
        return tools_from_value(self.module, load_line(b'{"v":' + self.data + b"}")["v"])


def is_name(name: str) -> bool:
    """Whether a module or a function may have it: an identifier as Python itself would write it."""
    plain = name.isidentifier() and not keyword.iskeyword(name) and len(name) <= MAX_NAME
    return plain and (name.isascii() or unicodedata.normalize("NFKC", name) == name)


def tools_value(specs: Iterable[ToolSpec]) -> list[Json]:
    """Tools as a value that crosses the boundary: what the host answers to `filesystem._updates()`."""
    return [tool_to_json(spec) for spec in specs]


def tools_from_value(module: str, value: object) -> tuple[ToolSpec, ...]:
    """Reads what `tools_value` made of tools of one module. Raises ValueError for anything else."""
    if not isinstance(value, list) or len(value) > MAX_TOOLS:
        raise ValueError(f"the tools of a module are a list of at most {MAX_TOOLS:,}, not {value!r:.100}")
    specs = []
    for entry in value:
        if not isinstance(entry, dict):
            raise ValueError(f"a tool is an object, not {entry!r:.100}")
        spec = tool_from_json(entry)
        if spec.module != module or not is_name(spec.function):
            raise ValueError(f"{spec.name!r:.100} is no name of a tool of the module {module!r:.100}")
        specs.append(spec)
    return tuple(specs)


def tool_lines(modules: Sequence[ToolModule], tools: Sequence[ToolSpec]) -> Iterable[str]:
    """Modules, then tools; those of a large module where the first of them would be."""
    for known in [*_KNOWN]:
        if known[0] is modules and known[1] is tools:
            return known[2]
    lines = tuple(_lines(modules, tools))
    _KNOWN.append((modules, tools, lines))
    return lines


def _lines(modules: Sequence[ToolModule], tools: Sequence[ToolSpec]) -> Iterator[str]:
    yield from (quotable(module_to_json(module)) for module in modules)
    groups: dict[object, list[ToolSpec]] = {}
    for tool in tools:
        groups.setdefault(tool.module or object(), []).append(tool)
    for module, group in groups.items():
        entries = tools_value(group)
        text = dump_line(entries) if isinstance(module, str) else ""
        if isinstance(module, str) and len(text) > LARGE_BYTES:
            yield _packed(module, group, text.encode("ascii"))
        else:
            yield from map(quotable, entries)


class ToolReader:
    """Reads the lines of modules and tools, which may be a stranger's.

    Args:
        lazily: packed lines are `packed`, for whoever wants them to read.
    """

    def __init__(self, lazily: bool = False) -> None:
        self._lazily = lazily
        self.packed: list[PackedTools] = []
        self.modules: dict[str, ToolModule] = {}
        self.tools: list[ToolSpec] = []
        self._names: set[str] = set()
        self._bytes = self._parts = 0

    def takes(self, entry: Mapping[str, Json]) -> bool:
        """Whether a line is one of these. Raises ValueError for one that is, but cannot be used."""
        if "module" in entry:
            self._add_module(module_from_json(entry))
        elif "tool" in entry:
            self._add(tool_from_json(entry))
        elif "tools" in entry:
            self._add_packed(self._expanded(entry))
        else:
            return False
        return True

    def _add_module(self, module: ToolModule) -> None:
        if not is_name(module.name) or module.name in RESERVED or module.name.startswith("_"):
            raise ValueError(f"{module.name!r:.100} is no name of a module of tools")
        if module.name in self.modules:
            raise ValueError(f"two modules of tools are called {module.name!r}")
        if len(self.modules) == MAX_MODULES:
            raise ValueError(f"more than {MAX_MODULES:,} modules of tools")
        self.modules[module.name] = module

    def _add(self, tool: ToolSpec) -> None:
        if "." in tool.name:
            if tool.module not in self.modules:
                raise ValueError(
                    f"tool {tool.name!r:.100}: no line before it has a module {tool.module!r:.100}"
                )
            if not is_name(tool.function):
                raise ValueError(f"{tool.name!r:.100} is no name of a tool")
            if tool.name in self._names:
                raise ValueError(f"two tools are called {tool.name!r:.100}")
        if len(self.tools) == MAX_TOOLS:
            raise ValueError(f"more than {MAX_TOOLS:,} tools")
        self._names.add(tool.name)
        self.tools.append(tool)

    def _add_packed(self, packed: PackedTools) -> None:
        if packed.module not in self.modules:
            raise ValueError(f"no line before it has a module {packed.module!r:.100}")
        if self._lazily:
            self.packed.append(packed)
            return
        for tool in packed.tools():
            self._add(tool)

    def _expanded(self, entry: Mapping[str, Json]) -> PackedTools:
        module, size = text_field(entry, "tools"), count_field(entry, "bytes")
        if size > MAX_BYTES - self._bytes:
            raise ValueError(f"tools of {size:,} bytes; all together have at most {MAX_BYTES:,}")
        data = expand(
            text_field(entry, "zlib"), size, text_field(entry, "sha256"), f"tools of {module!r:.100}"
        )
        self._bytes += size
        self._parts += structure_of(data)
        if self._parts > MAX_PARTS:
            raise ValueError(f"tools of {self._parts:,} parts; at most {MAX_PARTS:,} are taken")
        return PackedTools(module, data)


def _packed(module: str, tools: Sequence[ToolSpec], data: bytes) -> str:
    names = ", ".join(tool.function for tool in tools)
    return quotable(
        {
            "tools": module,
            "names": names if len(names) <= _SHOWN else f"{names[:_SHOWN]}…",
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            "zlib": pack(data),
        }
    )
