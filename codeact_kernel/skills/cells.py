"""Owns what the cells of a run define: each top-level name, with the statement that gave it its meaning.

Only the text is read. A name is an import, a function, a class, a constant whose value its statement says by
itself, or data: what a cell has computed, and no source says.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ..trajectory import Trajectory
from ..wire.setup_skills import UNREADABLE, parsed_source
from .constants import is_constant, words

Kind: TypeAlias = Literal["import", "function", "class", "constant", "data"]
Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef

_NEWLINE = re.compile(r"\r\n|\r|\n")
"""As Python counts lines; `str.splitlines` knows more."""
_MAGIC = re.compile(r"(\s*)(?:\w+\s*=\s*)?[%!].*|(\s*)[^#'\"]*\w\?{1,2}\s*")
_MUTATING = words(
    "add append appendleft clear discard extend insert pop popitem remove reverse setdefault sort update"
)
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(frozen=True)
class Cell:
    """The code of a step. `lines`: of its source; those with IPython's own syntax have become `pass`."""

    step: int
    lines: tuple[str, ...]
    body: tuple[ast.stmt, ...]
    replaced: frozenset[int]
    """The numbers of those lines."""


@dataclass(frozen=True)
class Binding:
    """What a name stands for since one statement. `place`: orders all statements of a run."""

    name: str
    kind: Kind
    step: int
    place: int
    node: ast.stmt
    source: str
    """"": it is no plain Python, or no text of its own."""
    why: str = ""
    """Of data: how it came to be, as the end of a sentence."""


class Program:
    """The names that a run has defined."""

    def __init__(self) -> None:
        self.names: dict[str, Binding] = {}
        self.functions: dict[str, Binding] = {}
        """The last definition of each function, whatever became of its name later."""
        self.stars: list[tuple[int, str]] = []
        """Steps with `from module import *`, and the module."""
        self.future: set[str] = set()
        self.packages: dict[str, dict[str, None]] = {}
        """A name -> all that `import a.b` has imported under it: such imports bind one name, and add up."""
        self._place = 0

    def module_of(self, name: str) -> str:
        """The module that an imported name is, or comes from; "" for any other name."""
        found = self.names.get(name)
        match found.node if found is not None else None:
            case ast.Import(names=aliases):
                return next((a.name for a in aliases if (a.asname or a.name.partition(".")[0]) == name), "")
            case ast.ImportFrom(module=str(module), level=0):
                return module
        return ""

    def read(self, cell: Cell) -> None:
        """What a cell defines, from its first statement to its last."""
        for number, node in enumerate(cell.body):
            self._place += 1
            following = cell.body[number + 1] if number + 1 < len(cell.body) else None
            magic = cell.replaced.intersection(range(first_line(node), (node.end_lineno or 0) + 1))
            self._statement(cell, node, "" if magic else source_of(cell, node, following))

    def _statement(self, cell: Cell, node: ast.stmt, source: str) -> None:
        def bind(name: str, kind: Kind, why: str) -> None:
            self._bind(Binding(name, kind, cell.step, self._place, node, source, why))

        match node:
            case ast.Import(names=aliases):
                for alias in aliases:
                    bind(alias.asname or alias.name.partition(".")[0], "import", "")
                    if not alias.asname:
                        self.packages.setdefault(alias.name.partition(".")[0], {})[alias.name] = None
            case ast.ImportFrom(module="__future__", names=aliases):
                self.future |= {alias.name for alias in aliases}
            case ast.ImportFrom(names=aliases):
                for alias in aliases:
                    if alias.name == "*":
                        self.stars.append((cell.step, node.module or "."))
                    else:
                        bind(alias.asname or alias.name, "import", "")
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                bind(name, "function", "")
            case ast.ClassDef(name=name):
                bind(name, "class", "")
            case _:
                self._others(cell.step, node, bind)

    def _others(self, step: int, node: ast.stmt, bind: Callable[[str, Kind, str], None]) -> None:
        value = _assigned_value(node)
        plain = value is not None and is_constant(value, self.module_of, self._is_class)
        for name in stored(node):
            kind: Kind = "constant" if plain else "data"
            bind(name, kind, "" if plain else _computed(node, name, step))
        for name in _changed(node):
            if (found := self.names.get(name)) is not None and found.kind == "constant":
                bind(name, "data", f"is changed by step {step}")

    def _is_class(self, name: str) -> bool:
        found = self.names.get(name)
        return found is not None and found.kind == "class"

    def _bind(self, binding: Binding) -> None:
        if binding.kind == "function":
            self.functions[binding.name] = binding
        before = self.names.get(binding.name)
        # `total = total(orders)`: what was called is the function. Whether that is enough, its test tells.
        if binding.kind == "data" and before is not None and before.kind not in ("constant", "data"):
            return
        self.names[binding.name] = binding


def program_of(trajectory: Trajectory) -> Program:
    """What the steps that ended well define; the others only where those do not."""
    program = Program()
    for status in ("error", "ok"):
        for step in trajectory.steps:
            code = step.action.code if step.action is not None else ""
            if step.observation.status == status and (cell := parsed(step.index, code)) is not None:
                program.read(cell)
    return program


def parsed(step: int, code: str) -> Cell | None:
    """A cell as Python; None when it is none, also without its lines in IPython's own syntax."""
    lines = _NEWLINE.split(code)
    replaced: set[int] = set()
    for again in (False, True):
        if again:
            for number, line in enumerate(lines):
                if (found := _MAGIC.fullmatch(line)) is not None:
                    replaced.add(number + 1)
                    lines[number] = f"{found[1] or found[2] or ''}pass"
        try:
            body = parsed_source("\n".join(lines)).body
        except UNREADABLE:
            continue
        return Cell(step, tuple(lines), tuple(body), frozenset(replaced))
    return None


def first_line(node: ast.stmt) -> int:
    """The number of the first line of a statement, its decorators included."""
    decorators: Sequence[ast.expr] = getattr(node, "decorator_list", ())
    return min((node.lineno, *(decorator.lineno for decorator in decorators)))


def source_of(cell: Cell, node: ast.stmt, following: ast.stmt | None = None) -> str:
    """The text of a top-level statement, with the comments right above it; unparsed where it shares a line.
    Raises nothing: what cannot be unparsed is ""."""
    first, last = first_line(node), node.end_lineno or node.lineno
    text = "\n".join(cell.lines[first - 1 : last])
    try:
        alone = ast.dump(parsed_source(text)) == ast.dump(ast.Module([node], []))
        if not alone:
            return ast.unparse(node)
    except UNREADABLE:
        return ""
    shares = following is not None and first_line(following) <= last
    if shares:
        return ast.unparse(node)
    while first > 1 and re.match(r"#(?! ?%%)", cell.lines[first - 2]):
        first -= 1
    return "\n".join(line.rstrip() for line in cell.lines[first - 1 : last]) if _calm(text) else text


def _calm(text: str) -> bool:
    """Whether no string of it goes over several lines, so that spaces at their ends mean nothing."""
    return '"""' not in text and "'''" not in text and "\\\n" not in text


def _assigned_value(node: ast.stmt) -> ast.expr | None:
    """Of `A = 1`, `A = B = 1`, `A, B = 1, 2`, `A: int = 1`."""
    match node:
        case ast.Assign(targets=targets, value=value) if all(map(_names_only, targets)):
            return value
        case ast.AnnAssign(target=ast.Name(), value=ast.expr() as value):
            return value
    return None


def _names_only(target: ast.expr) -> bool:
    if isinstance(target, ast.Tuple):
        return all(isinstance(part, ast.Name) for part in target.elts)
    return isinstance(target, ast.Name)


def _computed(node: ast.stmt, name: str, step: int) -> str:
    if isinstance(node, ast.Delete):
        return f"is deleted by step {step}"
    for inner in _own_nodes(node):
        if isinstance(inner, _SCOPES) and getattr(inner, "name", "") == name:
            return f"is defined inside another statement of step {step}"
        if isinstance(inner, ast.Import | ast.ImportFrom):
            return f"is imported inside another statement of step {step}"
    return f"is data that step {step} computes"


def _own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a statement without the insides of functions, classes and comprehensions."""
    left = [node]
    while left:
        found = left.pop()
        yield found
        if not isinstance(found, (*_SCOPES, *_COMPREHENSIONS)):
            left.extend(ast.iter_child_nodes(found))


def stored(node: ast.stmt) -> Iterable[str]:
    """The names that a statement binds or deletes, each once."""
    if isinstance(node, ast.AnnAssign) and node.value is None:
        return ()
    names: dict[str, None] = {}
    for found in _own_nodes(node):
        match found:
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()) | ast.MatchAs(name=str(name)):
                names[name] = None
            case ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
                names[name] = None
            case ast.ExceptHandler(name=str(name)):
                names[name] = None
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names[name] = None
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                names |= dict.fromkeys(a.asname or a.name.partition(".")[0] for a in aliases)
    return names


def _changed(node: ast.stmt) -> Iterator[str]:
    """The names whose value a statement changes in place: `RATES["EUR"] = 1`, `NAMES.append("x")`."""
    for found in _own_nodes(node):
        match found:
            case ast.Subscript(ctx=ast.Store() | ast.Del()) | ast.Attribute(ctx=ast.Store() | ast.Del()):
                yield from _root(found)
            case ast.Call(func=ast.Attribute(attr=method, value=value)) if method in _MUTATING:
                yield from _root(value)


def _root(node: ast.expr) -> Iterator[str]:
    while isinstance(node, ast.Subscript | ast.Attribute):
        node = node.value
    if isinstance(node, ast.Name):
        yield node.id
