"""Owns the check of a module's source: it holds types and functions without bodies, and no statement else."""

from __future__ import annotations

import ast
import threading
from collections.abc import Collection, Iterable
from typing import Any, Literal

from .names import TYPING

LONGEST = 64_000_000
"""Characters of a source."""
_BUILTINS = frozenset(
    {"bool", "bytes", "dict", "float", "int", "list", "object", "set", "str", "tuple", "None"}
)
_PARSE_ERRORS = (SyntaxError, ValueError, RecursionError, MemoryError)
_ATTEMPTS = 4
_turn = threading.Lock()


def check_source(source: str) -> None:
    """Parses and compiles a module and looks at every node of it.

    Raises: ValueError, when it is no Python, or anything but what `module_source` writes.
    """
    if len(source) > LONGEST:
        raise ValueError(f"the source has {len(source):,} characters; at most {LONGEST:,} are compiled")
    try:
        tree = _parsed(source, "exec")
        compile(tree, "<module of tools>", "exec", dont_inherit=True)
    except _PARSE_ERRORS as problem:
        raise ValueError(f"the source is no Python: {problem}") from None
    _Check(tree).body()


def _parsed(text: str, mode: Literal["exec", "eval"]) -> Any:
    """In some Pythons (gh-106905) two threads that parse at once spoil each other's tree, and notice it. Here
    they take turns; for others in the process it is tried again."""
    with _turn:
        for _ in range(_ATTEMPTS):
            try:
                return ast.parse(text, mode=mode)
            except SystemError:
                pass
        return ast.parse(text, mode=mode)


def is_literal(text: str) -> bool:
    """Whether it is the source of a plain value."""
    node = _expression(text)
    return node is not None and _literal(node)


def is_annotation(text: str) -> bool:
    """Whether it is the source of a type, with whatever names."""
    node = _expression(text)
    return node is not None and _type(node, None)


def is_known_annotation(text: str, known: Collection[str]) -> bool:
    """Whether it is the source of a type that only has these names."""
    node = _expression(text)
    return node is not None and _type(node, known)


class _Check:
    def __init__(self, tree: ast.Module) -> None:
        self._tree = tree
        # Types may name what stands further down: these names are checked to be there.
        self._known = {*_BUILTINS, *_assigned(tree.body)}

    def body(self) -> None:
        for place, node in enumerate(self._tree.body):
            if not self._statement(node, first=place == 0):
                raise ValueError(
                    f"line {node.lineno} of the source is not what we generate: {ast.dump(node)[:200]}"
                )

    def _statement(self, node: ast.stmt, first: bool) -> bool:
        match node:
            case ast.Expr(ast.Constant(str())):
                return first
            case ast.ImportFrom("typing", names, 0):
                return all(each.name in TYPING and each.asname in (None, f"_{each.name}") for each in names)
            case ast.Assign([ast.Name(name)], value):
                alias = isinstance(value, ast.Name) and name == f"_{value.id}"
                return (_is_public(name) and self._functional(value)) or (
                    (alias or _is_public(name)) and _type(value, self._known)
                )
            case ast.ClassDef(bases=[ast.Name("TypedDict" | "_TypedDict")], keywords=[], decorator_list=[]):
                return (
                    _is_public(node.name)
                    and _is_plain(node)
                    and all(map(self._member, _after_doc(node.body)))
                )
            case ast.FunctionDef(args=args, body=body, decorator_list=[], returns=returns):
                fine = _is_public(node.name) and _is_plain(node) and _is_stub(body)
                return fine and self._arguments(args) and (returns is None or self._hint(returns))
        return False

    def _functional(self, node: ast.expr) -> bool:
        """`TypedDict("X", {"from": str})`."""
        match node:
            case ast.Call(
                ast.Name("TypedDict" | "_TypedDict"), [ast.Constant(str()), ast.Dict(keys, values)], []
            ):
                return all(map(_is_text, keys)) and all(_type(value, self._known) for value in values)
        return False

    def _member(self, node: ast.stmt) -> bool:
        match node:
            case ast.AnnAssign(ast.Name(), annotation, None):
                return _type(annotation, self._known)
        return False

    def _arguments(self, args: ast.arguments) -> bool:
        given = [*args.posonlyargs, *args.args, *args.kwonlyargs]
        given += [each for each in (args.vararg, args.kwarg) if each is not None]
        defaults = [each for each in (*args.defaults, *args.kw_defaults) if each is not None]
        return all(each.annotation is None or self._hint(each.annotation) for each in given) and all(
            map(_literal, defaults)
        )

    def _hint(self, node: ast.expr) -> bool:
        """An annotation of a function; in quotes it may name what is not known here."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return is_annotation(node.value)
        return _type(node, self._known)


def _assigned(body: Iterable[ast.stmt]) -> set[str]:
    names: set[str] = set()
    for node in body:
        match node:
            case ast.ImportFrom(names=aliases):
                names.update(each.asname or each.name for each in aliases)
            case ast.Assign([ast.Name(name)], _) | ast.ClassDef(name=name):
                names.add(name)
    return names


def _after_doc(body: list[ast.stmt]) -> list[ast.stmt]:
    match body[0]:
        case ast.Expr(ast.Constant(str())):
            return body[1:]
    return body


def _is_stub(body: list[ast.stmt]) -> bool:
    match _after_doc(body):
        case [ast.Expr(ast.Constant(value))]:
            return value is ...
    return False


def _is_public(name: str) -> bool:
    return not name.startswith("_")


def _is_plain(node: ast.ClassDef | ast.FunctionDef) -> bool:
    """Whether it has no type parameters, whose bounds are expressions (Python 3.12)."""
    return not getattr(node, "type_params", ())


def _is_text(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _expression(text: str) -> ast.expr | None:
    try:
        body: ast.expr = _parsed(text, "eval").body
        return body
    except _PARSE_ERRORS:
        return None


def _type(node: ast.expr, known: Collection[str] | None) -> bool:
    """Whether it is a type: names, `list[…]`, `A | B`, `Literal[…]`, a name in quotes."""
    match node:
        case ast.Name(name):
            return known is None or name in known
        case ast.Constant(str() as name):
            return name.isidentifier() and (known is None or name in known)
        case ast.Constant(None):
            return True
        case ast.Constant(value):
            return known is None and value is ...
        case ast.Subscript(ast.Name("Literal" | "_Literal"), ast.Tuple(values)):
            return all(map(_literal, values))
        case ast.Subscript(ast.Name("Literal" | "_Literal"), value):
            return _literal(value)
        case ast.Subscript(ast.Name() | ast.Attribute() as base, ast.Tuple(parts)):
            return _type(base, known) and all(_type(part, known) for part in parts)
        case ast.Subscript(ast.Name() | ast.Attribute() as base, part):
            return _type(base, known) and _type(part, known)
        case ast.BinOp(left, ast.BitOr(), right):
            return _type(left, known) and _type(right, known)
        case ast.Attribute(base, _):
            return known is None and _type(base, known)
        case ast.List(parts):
            return known is None and all(_type(part, known) for part in parts)
    return False


def _literal(node: ast.expr) -> bool:
    match node:
        case ast.Constant():
            return True
        case ast.UnaryOp(ast.USub(), ast.Constant(int() | float())):
            return True
        case ast.List(parts) | ast.Tuple(parts):
            return all(map(_literal, parts))
        case ast.Dict(keys, values):
            return all(key is not None and _literal(key) for key in keys) and all(map(_literal, values))
    return False
