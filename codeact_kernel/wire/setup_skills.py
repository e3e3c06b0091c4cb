"""Owns a skill: a function that proved useful, as the source of a Python file, and as a line of a setup cell.

    {"skill":"top_customers","source":"\"\"\"What for.\"\"\"\n\ndef top_customers(orders): …"}

A file is one skill: the function that has its name. Sources are read with `ast`, and run in a sandbox only.
"""

from __future__ import annotations

import ast
import keyword
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from .messages import Json, ParameterKind, ToolParameter, ToolSpec
from .setup_lines import text_field

PACKAGE = "skills"
"""What kernel code imports them from: `from skills import top_customers`."""
MAX_NAME = 100
MAX_SOURCE = 64 * 1024
"""Characters of one skill: a file that a person reads."""
MAX_SKILLS = 200
MAX_SOURCES = 1024 * 1024
"""Characters of all skills of a run together: they stand in its setup cell."""
UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)
"""What parsing a source may raise."""


@dataclass(frozen=True)
class Skill:
    """`source` defines, at its top level, a function of that name (`check_skill`)."""

    name: str
    source: str


def is_skill_name(name: str) -> bool:
    """Whether a function, and so a file, of that name can be a skill."""
    plain = name.isidentifier() and name.isascii() and len(name) <= MAX_NAME
    return plain and not keyword.iskeyword(name) and not name.startswith("_")


def parsed_source(source: str) -> ast.Module:
    """As `ast.parse`, without its warnings: nobody who reads code asked for them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(source)


def check_skill(skill: Skill) -> ast.Module:
    """The parsed source. Raises ValueError, which names the line, for what is no skill."""
    if not is_skill_name(skill.name):
        raise ValueError(
            f"a skill cannot be called {skill.name!r:.120}: its name is an ASCII identifier, no keyword, "
            f"without a leading underscore, of at most {MAX_NAME} characters"
        )
    if len(skill.source) > MAX_SOURCE:
        raise ValueError(f"{len(skill.source):,} characters; a skill has at most {MAX_SOURCE:,}")
    try:
        tree = parsed_source(skill.source)
    except SyntaxError as problem:
        raise ValueError(f"line {problem.lineno}: {problem.msg}") from None
    except UNREADABLE as problem:
        raise ValueError(f"it cannot be parsed: {type(problem).__name__}: {problem}") from None
    _function(skill.name, tree)
    return tree


def skill_spec(skill: Skill) -> ToolSpec:
    """What the prompt and `tools.search` say of a skill. Raises ValueError as `check_skill`."""
    function = _function(skill.name, check_skill(skill))
    try:
        parameters = tuple(_parameters(function.args))
        returns = ast.unparse(function.returns) if function.returns is not None else ""
    except RecursionError:
        raise ValueError("its signature is nested too deeply") from None
    doc = ast.get_docstring(function) or ""
    is_async = isinstance(function, ast.AsyncFunctionDef)
    return ToolSpec(f"{PACKAGE}.{skill.name}", parameters, returns, doc, is_async)


def _function(name: str, tree: ast.Module) -> ast.FunctionDef | ast.AsyncFunctionDef:
    """The last of that name. Raises ValueError."""
    for node in reversed(tree.body):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
            return node
    raise ValueError(f"it defines no function {name!r}: a skill is the function that its file is named after")


def _parameters(given: ast.arguments) -> Iterator[ToolParameter]:
    places = [*given.posonlyargs, *given.args]
    missing = len(places) - len(given.defaults)
    for number, arg in enumerate(places):
        kind: ParameterKind = (
            "positional_only" if number < len(given.posonlyargs) else "positional_or_keyword"
        )
        yield _parameter(arg, kind, given.defaults[number - missing] if number >= missing else None)
    if given.vararg is not None:
        yield _parameter(given.vararg, "var_positional")
    for arg, default in zip(given.kwonlyargs, given.kw_defaults, strict=True):
        yield _parameter(arg, "keyword_only", default)
    if given.kwarg is not None:
        yield _parameter(given.kwarg, "var_keyword")


def _parameter(arg: ast.arg, kind: ParameterKind, default: ast.expr | None = None) -> ToolParameter:
    annotation = ast.unparse(arg.annotation) if arg.annotation is not None else ""
    return ToolParameter(arg.arg, kind, annotation, None if default is None else ast.unparse(default))


def skill_to_json(skill: Skill) -> dict[str, Json]:
    return {"skill": skill.name, "source": skill.source}


@lru_cache(maxsize=MAX_SKILLS)
def _problem(skill: Skill) -> str:
    """Why it is no skill; "" when it is one. A setup cell is read again and again."""
    try:
        check_skill(skill)
    except ValueError as problem:
        return str(problem)
    return ""


class SkillReader:
    """Reads the lines of skills; how many and how long they are is bounded."""

    def __init__(self) -> None:
        self.skills: list[Skill] = []

    def take(self, entry: Mapping[str, Json]) -> None:
        """Raises ValueError for what `skill_to_json` does not write."""
        skill = Skill(text_field(entry, "skill"), text_field(entry, "source"))
        if problem := _problem(skill):
            raise ValueError(f"skill {skill.name!r:.120}: {problem}")
        self.skills.append(skill)
        check_together(self.skills)


def check_together(skills: list[Skill]) -> None:
    """Raises ValueError when they are too many, or two have one name."""
    if len({skill.name for skill in skills}) < len(skills):
        raise ValueError(f"skill {skills[-1].name!r} stands here twice")
    if len(skills) > MAX_SKILLS:
        raise ValueError(f"more than {MAX_SKILLS} skills")
    if (size := sum(len(skill.source) for skill in skills)) > MAX_SOURCES:
        raise ValueError(f"skills of {size:,} characters together; at most {MAX_SOURCES:,}")
