"""Owns the static check of a cell: what the allow-lists refuse in it, found before anything runs.

It sees what is written; what is computed (`getattr(m, "_" + "os")`) is seen by `guard_builtins` when
it happens. Nothing here recurses over the tree, so that no depth of nesting gets past it.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from string import Formatter
from types import ModuleType

from codeact_kernel.in_kernel.guard_lists import AllowLists
from codeact_kernel.in_kernel.guard_names import CellNames
from codeact_kernel.in_kernel.guard_refusals import SHOWN, Finding, Kind, refusal

FACADE_METHODS = frozenset({"run_line_magic", "run_cell_magic"})
SHELL_COMMANDS = {"system": "a shell command (!)", "getoutput": "a shell command (!)"}
"""Methods of the shell that the `!` syntax becomes -> what a message calls them."""
MAX_NESTED = 5
"""Levels of code inside a string inside code that are read."""
_IDENTIFIERS = ("id", "name", "asname", "arg", "rest")
_OPTIONS = re.compile(r"\s*(?:-[nrpv]\s*\w+\s+|-[tcqo]+\s+|--[\w-]+\s+)*")


class CellCheck:
    """Collects the refusals of one cell, each with the piece of source it is about.

    Args:
        lists: the lists in force.
        namespace: the variables of action code, to know what a name stands for.
        transform: IPython's own transform of a cell, for the code inside `%%time` and its like.
    """

    def __init__(
        self, lists: AllowLists, namespace: Mapping[str, object], transform: Callable[[str], str]
    ) -> None:
        self._lists = lists
        self._transform = transform
        self._names = CellNames(namespace)
        self._depth = 0
        self.found: list[Finding] = []

    def check(self, nodes: Sequence[ast.AST]) -> None:
        """`nodes`: all nodes of the tree, as `ast.walk` yields them."""
        for node in nodes:
            self._names.learn(node)
        for node in nodes:
            self._node(node)

    # --- one node --------------------------------------------------------------------------------

    def _node(self, node: ast.AST) -> None:
        match node:
            case ast.Name():
                self._name(node)
            case ast.Attribute():
                self._attribute(node)
            case ast.Call():
                self._call(node)
            case ast.Import(names=names) if node not in self._names.tolerated:
                for alias in names:
                    self._import(alias.name, node)
            case ast.ImportFrom(module=str(module), level=0) if node not in self._names.tolerated:
                self._import_from(module, node)
            case ast.Constant(value=str(text)) if "__" in text:
                for name in _format_names(text):
                    self._attribute_name(name, node)
            case ast.MatchClass(kwd_attrs=attributes):
                for name in attributes:
                    self._attribute_name(name, node, also=self._lists.watches(name))
            case ast.arg(annotation=ast.AST() as annotation) | ast.AnnAssign(annotation=annotation):
                self._code(*_strings(annotation))
            case ast.FunctionDef(returns=ast.AST() as note) | ast.AsyncFunctionDef(returns=ast.AST() as note):
                self._code(*_strings(note))
        self._identifiers(node)

    def _identifiers(self, node: ast.AST) -> None:
        """Reserved names, in whatever way they would be bound."""
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            return
        names = [getattr(node, field, None) for field in _IDENTIFIERS]
        if isinstance(node, ast.Global | ast.Nonlocal):
            names += node.names
        for name in names:
            if name in self._lists.names:
                self._refuse("builtin", name, node)

    def _name(self, node: ast.Name) -> None:
        if not isinstance(node.ctx, ast.Load):
            return
        own = self._names.has(node.id)
        if node.id in self._lists.names or (node.id in self._lists.builtins and not own):
            self._refuse("builtin", node.id, node)

    def _attribute(self, node: ast.Attribute) -> None:
        if _is_get_ipython(node.value):
            if node.attr not in FACADE_METHODS:
                self._refuse("magic", SHELL_COMMANDS.get(node.attr, f"get_ipython().{node.attr}"), node)
            return
        self._attribute_name(node.attr, node)
        owner = self._names.module(node.value)
        if owner is not None:
            self._member(owner, node.attr, node)

    def _attribute_name(self, name: str, node: ast.AST, also: bool = False) -> None:
        if name in self._lists.attributes or also:
            self._refuse("attribute", name, node)

    def _member(self, owner: ModuleType, name: str, node: ast.AST) -> None:
        denied = self._lists.denies(owner, name)
        value = vars(owner).get(name)
        if self._lists.is_refused_module(value) and not self._lists.is_submodule(owner, name, value):
            self._refuse("import", getattr(value, "__name__", name), node)
        elif denied is not None:
            self._refuse("attribute", denied, node, why="it is denied in its module")

    # --- imports ---------------------------------------------------------------------------------

    def _import(self, module: str, node: ast.AST) -> None:
        if not self._lists.allows(module):
            self._refuse("import", module, node)

    def _import_from(self, module: str, node: ast.ImportFrom) -> None:
        whole = self._lists.allows(module)
        loaded = sys.modules.get(module)
        for alias in node.names:
            dotted = f"{module}.{alias.name}"
            if not whole and not (self._lists.is_gateway(module) and self._lists.allows(dotted)):
                return self._refuse("import", module, node)
            self._attribute_name(alias.name, node, also=alias.name == "__dict__")
            if dotted in self._lists.denied:
                self._refuse("attribute", dotted, node, why="it is denied in its module")
            elif loaded is not None:
                self._member(loaded, alias.name, node)
        return None

    # --- calls -----------------------------------------------------------------------------------

    def _call(self, node: ast.Call) -> None:
        for keyword in node.keywords:
            off = isinstance(keyword.value, ast.Constant) and keyword.value.value is False
            if keyword.arg in self._lists.keywords and not off:
                self._refuse("attribute", keyword.arg, node, why="it runs code that it finds in data")
        texts = [arg.value if isinstance(arg, ast.Constant) else None for arg in node.args]
        match node.func:
            case ast.Attribute(attr=method, value=value) if method in FACADE_METHODS and _is_get_ipython(
                value
            ):
                self._magic("line" if method == "run_line_magic" else "cell", texts, node)
            case ast.Name(id="__import__") if texts and isinstance(texts[0], str):
                if node not in self._names.tolerated:
                    self._import(texts[0], node)
            case ast.Name(id="getattr") if len(texts) > 1 and isinstance(texts[1], str):
                self._attribute(ast.copy_location(ast.Attribute(node.args[0], texts[1], ast.Load()), node))
            case ast.Name(id=name) | ast.Attribute(attr=name) if name in self._lists.code_arguments:
                if texts and isinstance(texts[0], str):
                    self._code(texts[0].replace("@", "").replace("~", "+"), data=True)

    def _magic(self, kind: str, texts: Sequence[object], node: ast.AST) -> None:
        name, line, body = (*(text if isinstance(text, str) else "" for text in texts), "", "", "")[:3]
        problem = self._lists.magic_problem(kind, name, line)
        if problem is not None:
            self._refuse("magic", ("%" if kind == "line" else "%%") + name, node, why=problem)
        elif name in self._lists.code_magics:
            for code in (line[m.end() :] if (m := _OPTIONS.match(line)) else line, body):
                if code.strip():
                    self._code(self._transform(code))

    # --- code in strings -------------------------------------------------------------------------

    def _code(self, *texts: str, data: bool = False) -> None:
        """Python inside strings; what is no Python fails when it runs, or is checked then.

        `data`: an expression of pandas, sympy or patsy; its names are columns or symbols, unless called.
        """
        for text in texts:
            try:
                nodes = list(ast.walk(ast.parse(text.strip())))
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                continue
            if data:
                called = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
                names = (node for node in nodes if isinstance(node, ast.Name))
                self._names.bound.update(node.id for node in names if id(node) not in called)
            if self._depth < MAX_NESTED:
                self._depth += 1
                self.check(nodes)
                self._depth -= 1

    def _refuse(self, kind: Kind, name: str, node: ast.AST, why: str | None = None) -> None:
        name = name[:SHOWN]
        # What IPython made of a magic is not what was written, so it is not shown.
        source = None if kind == "magic" else ast.unparse(node).partition("\n")[0][:SHOWN]
        self.found.append(Finding(kind, name, refusal(self._lists, kind, name, why), source))


def _is_get_ipython(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "get_ipython"


def _strings(annotation: ast.AST) -> Iterator[str]:
    for node in ast.walk(annotation):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _format_names(text: str) -> Iterator[str]:
    """The attributes that `text.format(…)` would read, as in `"{0.__globals__}"`."""
    try:
        for _, field, spec, _ in Formatter().parse(text):
            yield from re.split(r"[.\[\]]", field or "")[1:]
            if spec:
                yield from _format_names(spec)
    except ValueError:
        return  # Not a format string.
