"""Owns what belongs to a function of a run: the imports, helpers, classes and constants it cannot do without,
and the tools that it calls."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from ..exceptions import UsageError
from ..wire.setup_skills import parsed_source
from .cells import Binding, Program, stored
from .names import dotted_uses, needs_of

TOOL_PACKAGES = ("mcp_servers", "toolkits")
KERNEL_NAMES = frozenset(
    {"ToolDenied", "ToolError", "ToolUnavailable", "ToolSchemaError", "ToolProtocolError"}
)
"""Exceptions that a kernel with tools knows by name."""
TOOLS = "tools"
"""What a kernel calls the object that finds tools, and has those exceptions too."""
MAX_PARTS = 200
"""Definitions of one skill; they are followed one within the other."""
_IPYTHON = frozenset({"In", "Out", "exit", "get_ipython", "quit", "_obs", "_", "__", "___", "_i", "_dh"})
_DISPLAY = "from IPython.display import display"
_BUILTINS = frozenset(dir(builtins))
_MODULE = frozenset({"__name__", "__doc__", "__file__", "__annotations__", "__module__", "__qualname__"})
"""What modules and the bodies of classes have by themselves."""


@dataclass(frozen=True)
class Gathered:
    """A function with all that it needs.

    `imports`: statements, sorted. `parts`: the others in an order in which they can be run, the function
    among them. `tools`: those it calls by name; `modules`: `mcp_servers.filesystem`; `kernel`: what else
    a kernel gives it, as it is written: `ToolDenied`, `tools.ToolError`, `tools.search`.
    """

    function: Binding
    imports: tuple[str, ...] = ()
    parts: tuple[Binding, ...] = ()
    tools: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    kernel: frozenset[str] = frozenset()


def gathered(program: Program, name: str, tools: Iterable[str]) -> Gathered:
    """Raises UsageError, which names what stands in the way and what to do."""
    function = program.functions.get(name)
    if function is None:
        raise _unknown(program, name)
    work = _Gathering(program, name, frozenset(tools))
    work.add(function)
    return work.result(function)


def _unknown(program: Program, name: str) -> UsageError:
    known = sorted(program.functions)
    close = get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    found = program.names.get(name)
    if found is not None:
        return UsageError(
            f"{name!r} is no function: it {found.why or f'is defined by step {found.step}'}.{hint}"
        )
    listed = ", ".join(known[:20]) or "none"
    return UsageError(f"no step that ended well defines a function {name!r}.{hint} The run defines: {listed}")


@dataclass
class _Gathering:
    program: Program
    name: str
    known_tools: frozenset[str]
    imports: dict[str, None] = field(default_factory=dict)
    parts: list[Binding] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)
    tools: set[str] = field(default_factory=set)
    modules: set[str] = field(default_factory=set)
    kernel: set[str] = field(default_factory=set)
    given: set[str] = field(default_factory=set)
    """What the parts bind by `global`."""
    missing: dict[str, Binding] = field(default_factory=dict)
    """Names that no cell defines -> who needs it."""

    def result(self, function: Binding) -> Gathered:
        for name, binding in self.missing.items():
            if name not in self.given:
                raise self._missing(name, binding)
        imports = sorted(self.imports, key=lambda line: (not line.startswith("import "), line))
        future = [f"from __future__ import {name}" for name in sorted(self.program.future)]
        return Gathered(
            function,
            (*future, *imports),
            tuple(self.parts),
            tuple(sorted(self.tools)),
            tuple(sorted(self.modules)),
            frozenset(self.kernel),
        )

    def add(self, binding: Binding) -> None:
        """A definition, after all that it needs."""
        if binding.place in self.seen:
            return
        self.seen.add(binding.place)
        if len(self.seen) > MAX_PARTS:
            raise UsageError(f"{self.name!r} needs more than {MAX_PARTS} definitions; make it smaller")
        if not binding.source:
            raise UsageError(
                f"{self._of(binding)} holds IPython's own syntax (%magic, !command), or is no text of its "
                "own; write it anew in a cell, as plain Python"
            )
        try:
            needs = needs_of(binding.source)
        except ValueError as problem:
            raise UsageError(f"{self._of(binding)} cannot be saved: {problem}") from None
        self.given |= needs.given
        for node in ast.walk(parsed_source(binding.source)):
            if isinstance(node, ast.Import | ast.ImportFrom):
                self._note_modules(node, binding)
        for needed in [*self._resolved(needs.now | needs.later, binding)]:
            self.add(needed)
        self.parts.append(binding)

    def _resolved(self, names: Iterable[str], binding: Binding) -> Iterator[Binding]:
        """The definitions that these names stand for. Raises UsageError."""
        for name in sorted(names):
            found = self.program.names.get(name)
            if found is binding or (name == self.name and name in self.program.functions):
                continue  # It calls itself, or a helper calls it.
            if found is None:
                self._foreign(name, binding)
            elif found.kind == "import":
                self._import(name, found.node, binding)
            elif found.kind == "data":
                raise self._data(name, found, binding)
            else:
                yield found

    def _foreign(self, name: str, binding: Binding) -> None:
        """A name that no cell has defined."""
        if name in self.known_tools:
            self.tools.add(name)
        elif name == "final_answer":
            raise UsageError(
                f"{self._of(binding)} calls final_answer, which ends a run; let it return the value instead"
            )
        elif name == "display":
            self.imports[_DISPLAY] = None
        elif name in _IPYTHON or (name.startswith("_i") and name[2:].isdigit()):
            raise UsageError(
                f"{self._of(binding)} uses {name!r}, which only a notebook has; pass the value as a parameter"
            )
        elif name in KERNEL_NAMES:
            self.kernel.add(name)
        elif name == TOOLS:
            uses = dotted_uses(parsed_source(binding.source), name)
            self.kernel |= {".".join(use.split(".")[:2]) for use in uses}
        elif name not in _BUILTINS and name not in _MODULE:
            self.missing.setdefault(name, binding)

    def _missing(self, name: str, binding: Binding) -> UsageError:
        where = self._of(binding)
        if self.program.stars:
            step, module = self.program.stars[-1]
            return UsageError(
                f"{where} uses {name!r}, which may come from 'from {module} import *' in step {step}; "
                "import it by name in a cell, then save again"
            )
        return UsageError(f"{where} uses {name!r}, which no cell of the run defines; pass it as a parameter")

    def _data(self, name: str, found: Binding, binding: Binding) -> UsageError:
        return UsageError(
            f"{self._of(binding)} uses {name!r}, which {found.why}: a skill cannot hold that. Pass it as a "
            f"parameter: def {self.name}(…, {name}), in a cell of a run (codeact resume), then save again"
        )

    def _import(self, name: str, node: ast.stmt, binding: Binding) -> None:
        """What a definition needs of the imports that have bound this name."""
        if not isinstance(node, ast.Import | ast.ImportFrom):
            raise ValueError(f"no import: {node!r}")
        chosen = _chosen(node, name)
        if isinstance(node, ast.Import) and not chosen.asname:
            parts: list[ast.Import | ast.ImportFrom] = [
                ast.Import([ast.alias(module)]) for module in self._packages(chosen.name, name, binding)
            ]
        else:
            parts = [_only(node, chosen)]
        for part in parts:
            line = ast.unparse(part)
            if isinstance(part, ast.ImportFrom) and part.level:
                raise UsageError(f"{self.name!r} needs {line!r}, which means nothing in a file of its own")
            self.imports[line] = None
            self._note_modules(part, binding)

    def _packages(self, last: str, name: str, binding: Binding) -> Iterable[str]:
        """Of `import a.b` and `import a.c`, which bind one name: those that a definition uses."""
        uses = dotted_uses(parsed_source(binding.source), name)
        known = self.program.packages.get(name, {})
        used = {module for module in known if any(f"{use}.".startswith(f"{module}.") for use in uses)}
        if not used or name in uses:  # Who hands on the package itself may mean anything in it.
            used.add(last)
        return [one for one in used if not any(other.startswith(f"{one}.") for other in used)]

    def _note_modules(self, node: ast.Import | ast.ImportFrom, binding: Binding) -> None:
        """The modules of tools that an import gives."""
        match node:
            case ast.ImportFrom(module=str(module), names=aliases, level=0):
                if module in TOOL_PACKAGES:
                    self.modules |= {f"{module}.{alias.name}" for alias in aliases}
                elif module.partition(".")[0] in TOOL_PACKAGES:
                    self.modules.add(module)
            case ast.Import(names=aliases):
                for alias in aliases:
                    package, _, module = alias.name.partition(".")
                    if package in TOOL_PACKAGES and module:
                        self.modules.add(alias.name)
                    if package in TOOL_PACKAGES and not (module and alias.asname):
                        self._note_attributes(package, alias.asname or package, binding)

    def _note_attributes(self, package: str, name: str, binding: Binding) -> None:
        """The modules that a definition uses as attributes of a package: `mcp_servers.asana.good(1)`."""
        uses = dotted_uses(parsed_source(binding.source), name)
        self.modules |= {f"{package}.{use.split('.')[1]}" for use in uses - {name}}
        if name in uses and package not in by_package(self.modules):
            raise UsageError(
                f"{self._of(binding)} uses {package!r} without naming a module of it; import the module in a "
                f"cell (from {package} import NAME), and use that, then save again"
            )

    def _of(self, binding: Binding) -> str:
        """`'total' (step 3)`, or a helper of it."""
        what = f"{binding.name!r} (step {binding.step})"
        return what if binding.name == self.name else f"{what}, which {self.name!r} needs,"


def _chosen(node: ast.Import | ast.ImportFrom, name: str) -> ast.alias:
    """The part of an import that binds this name: the last one counts."""
    whole = isinstance(node, ast.ImportFrom)
    bound = {
        alias.asname or (alias.name if whole else alias.name.partition(".")[0]): alias for alias in node.names
    }
    return bound[name]


def _only(node: ast.Import | ast.ImportFrom, chosen: ast.alias) -> ast.Import | ast.ImportFrom:
    """The import of this one name."""
    if isinstance(node, ast.Import):
        return ast.Import([chosen])
    return ast.ImportFrom(node.module, [chosen], node.level)


def imports_tools(node: ast.AST) -> bool:
    """Whether it imports a module of tools, or their package."""
    match node:
        case ast.Import(names=aliases):
            return any(alias.name.partition(".")[0] in TOOL_PACKAGES for alias in aliases)
        case ast.ImportFrom(module=str(module), level=0):
            return module.partition(".")[0] in TOOL_PACKAGES
    return False


def by_package(modules: Iterable[str]) -> Mapping[str, list[str]]:
    """`mcp_servers` -> the modules of it."""
    found: dict[str, list[str]] = {}
    for module in modules:
        package, _, name = module.partition(".")
        found.setdefault(package, []).append(name)
    return found


def free_names(source: str) -> tuple[str, ...]:
    """The names that a file loads and nobody gives it but a kernel: tools. Sorted. `source`: parses."""
    needs = needs_of(source)
    bound = {symbol for node in parsed_source(source).body for symbol in stored(node)}
    left = (needs.now | needs.later) - bound - needs.given - _BUILTINS - _MODULE - KERNEL_NAMES
    return tuple(sorted(left - {"display", TOOLS}))
