"""Owns the allow-lists: reads `allowlist.json` and answers what it allows.

The file's keys:
    imports         what action code may import; `a` includes `a.b`, `a.b` alone does not include `a`
    denied          parts of those that stay refused: modules, functions, classes
    aliases         attribute names under which libraries keep a refused module or object
    builtins        functions that are refused
    names           names that may be neither read nor bound
    attributes      attributes that may not be touched, of whatever object
    keywords        arguments that may only be given as False
    code_arguments  functions and methods whose string argument is Python
    magics          the only ones allowed; `code`: their argument is Python; `lines`: what may follow
    instead         what the message recommends
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType, ModuleType
from typing import Any


@dataclass(frozen=True)
class AllowLists:
    """The lists in force in one shell. See the module for the fields."""

    imports: frozenset[str]
    extra: frozenset[str]
    """Those of `imports` that the user added."""
    denied: frozenset[str]
    builtins: frozenset[str]
    names: frozenset[str]
    attributes: frozenset[str]
    keywords: frozenset[str]
    code_arguments: frozenset[str]
    line_magics: frozenset[str]
    cell_magics: frozenset[str]
    code_magics: frozenset[str]
    magic_lines: Mapping[str, str]
    instead: Mapping[str, str]
    watched: frozenset[str]
    """Attribute names, without leading underscores, whose value is looked at when the code runs."""
    denied_owners: Mapping[str, tuple[str, ...]]
    """Last part of a denied name -> the modules in which that is denied."""

    def allows(self, dotted: str) -> bool:
        """Whether action code may have this module (or the module's attribute)."""
        for prefix in _prefixes(dotted):
            if prefix in self.denied:
                return False
            if prefix in self.imports:
                return True
        return False

    def allows_wholly(self, dotted: str) -> bool:
        """Whether action code may have this module and everything in it."""
        return self.allows(dotted) and not any(name.startswith(f"{dotted}.") for name in self.denied)

    def is_gateway(self, dotted: str) -> bool:
        """Whether an allowed module lies somewhere below this one, as `urllib.parse` below `urllib`."""
        return any(name.startswith(f"{dotted}.") for name in self.imports)

    def is_refused_module(self, value: object) -> bool:
        return isinstance(value, ModuleType) and not self.allows(value.__name__)

    def is_submodule(self, owner: object, name: str, value: object) -> bool:
        """Whether `value` is there under an allowed name, as `os.path`, which is `posixpath`."""
        dotted = f"{owner.__name__}.{name}" if isinstance(owner, ModuleType) else ""
        if sys.modules.get(dotted, _NOTHING) is not value:
            return False
        return self.allows(dotted) or self.is_gateway(dotted)

    def denies(self, owner: object, name: str) -> str | None:
        """The dotted name under which attribute `name` of module `owner` is denied, if it is."""
        if name not in self.denied_owners or not isinstance(owner, ModuleType):
            return None
        dotted = f"{owner.__name__}.{name}"
        return dotted if dotted in self.denied else None

    def watches(self, attribute: str) -> bool:
        return attribute.lstrip("_") in self.watched or attribute == "__dict__"

    def denied_object(self, name: str, value: object) -> str | None:
        """The entry of `denied` that `value`, found as attribute `name`, is."""
        for module in self.denied_owners.get(name, ()):
            if value is getattr(sys.modules.get(module), name, _NOTHING):
                return f"{module}.{name}"
        return None

    def magic_problem(self, kind: str, name: str, line: str) -> str | None:
        """Why this magic may not run with this line; None when it may. `kind`: "line" or "cell"."""
        if name not in (self.line_magics if kind == "line" else self.cell_magics):
            return "it is not on the list of magics"
        pattern = self.magic_lines.get(name)
        if pattern is not None and not re.fullmatch(pattern, line.strip()):
            return f"it may not be used with {line.strip()[:80]!r}"
        if name not in self.code_magics | {"recorded"} and ("{" in line or "$" in line):
            return "variables in its line are not expanded here"
        return None


_NOTHING = object()


@cache
def _packaged() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(files(__package__).joinpath("allowlist.json").read_text("utf-8"))
    return found


def load_lists(
    allow_imports: Iterable[str] = (),
    ours: Iterable[str] = (),
    instead: Mapping[str, str] = MappingProxyType({}),
) -> AllowLists:
    """The packaged lists, with `allow_imports` (dotted module names) allowed on top; `ours`: packages that
    are not files; `instead`: further recommendations."""
    data = _packaged()
    extra = frozenset(allow_imports)
    denied = frozenset(name for name in data["denied"] if not extra.intersection(_prefixes(name)))
    imports = frozenset(data["imports"]["standard"] + data["imports"]["science"]) | extra | frozenset(ours)
    stdlib = {name for name in sys.stdlib_module_names if name not in imports}
    watched = stdlib | {name.rpartition(".")[2] for name in (*denied, *data["instead"])}
    magics = data["magics"]
    return AllowLists(
        imports=imports,
        extra=extra,
        denied=denied,
        builtins=frozenset(data["builtins"]),
        names=frozenset(data["names"]),
        attributes=frozenset(data["attributes"]),
        keywords=frozenset(data["keywords"]),
        code_arguments=frozenset(data["code_arguments"]),
        line_magics=frozenset(magics["line"]),
        cell_magics=frozenset(magics["cell"]),
        code_magics=frozenset(magics["code"]),
        magic_lines=magics["lines"],
        instead={**instead, **data["instead"]},
        watched=frozenset(name.strip("_") for name in (*watched, *data["aliases"])),
        denied_owners=_owners(denied),
    )


def _owners(denied: Iterable[str]) -> dict[str, tuple[str, ...]]:
    owners: dict[str, tuple[str, ...]] = {}
    for dotted in denied:
        module, _, last = dotted.rpartition(".")
        owners[last] = (*owners.get(last, ()), module)
    return owners


def _prefixes(dotted: str) -> Iterator[str]:
    """`a.b.c`, `a.b`, `a`."""
    while dotted:
        yield dotted
        dotted = dotted.rpartition(".")[0]
