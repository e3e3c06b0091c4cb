"""Owns which skills a run is offered: those of its folders, as far as their imports and tools are to be had.

Nothing of a skill is run here: what is said of one is what its text says.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from os import PathLike

from ..exceptions import UsageError
from ..notebook.redact import Redactor
from ..skills.folder import read_folders
from ..skills.gathering import TOOL_PACKAGES, free_names
from ..skills.names import dotted_uses
from ..wire.messages import ToolModule, ToolSpec
from ..wire.setup_skills import PACKAGE, Skill, check_skill
from .imports import refused_imports

Folders = str | PathLike[str] | Iterable[str | PathLike[str]]


@dataclass(frozen=True)
class Found:
    """What lies in folders of skills. `left_out`: what is to be told of each file that is no skill."""

    skills: tuple[Skill, ...] = ()
    left_out: tuple[str, ...] = ()


def skills_of(folders: Folders | None, allow_imports: Iterable[str]) -> Found:
    """What lies in one folder or several. Raises UsageError, which names file and line, for a skill that
    imports what action code may not: one option allows it."""
    given = [folders] if isinstance(folders, str | PathLike) else [*(folders or ())]
    left_out: list[str] = []
    found = read_folders(given, left_out.append)
    allowed = (*allow_imports, PACKAGE, *TOOL_PACKAGES)
    for path, skill in found:
        for line, module in _imports(check_skill(skill)):
            if refused_imports([module], allowed):
                raise UsageError(
                    f"skill {str(path)!r}, line {line}: module {module!r} is not on the list of modules that "
                    f"action code may import; --allow-import {module} allows it, --skills takes other folders"
                )
    return Found(tuple(skill for _, skill in found), tuple(left_out))


def _imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """What a skill imports, with the line; not under a `try`, which may have its own answer."""
    tolerated = {
        id(inner) for node in ast.walk(tree) if isinstance(node, ast.Try) for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in tolerated:
            continue
        match node:
            case ast.Import(names=aliases):
                yield from ((node.lineno, alias.name) for alias in aliases)
            case ast.ImportFrom(module=str(module), names=aliases, level=0):
                yield from ((node.lineno, f"{module}.{alias.name}") for alias in aliases)
            case ast.ImportFrom(level=level):
                yield node.lineno, "." * level + (node.module or "")


def usable(
    found: Found,
    tools: Iterable[ToolSpec],
    modules: Iterable[ToolModule],
    tell: Callable[[str], None],
) -> tuple[Skill, ...]:
    """Those whose tools this run has; of the others, and of files that are no skills, the user is told."""
    for text in found.left_out:
        tell(text)
    names = {tool.name for tool in tools}
    known = {f"{module.package}.{module.name}" for module in modules}
    kept = []
    for skill in found.skills:
        lacking = sorted(_needed(skill) - names - known)
        if lacking:
            tell(
                f"skill {skill.name!r} is left out: this run has no {', '.join(lacking[:5])}, which it calls"
            )
        else:
            kept.append(skill)
    return tuple(kept)


def _needed(skill: Skill) -> set[str]:
    """The tools that a skill calls by name, and the modules of tools that it imports."""
    needed, tree = set(free_names(skill.source)), check_skill(skill)
    dotted = {dotted for _, dotted in _imports(tree)}
    for package in dotted.intersection(TOOL_PACKAGES):
        dotted |= dotted_uses(tree, package)  # `import toolkits`, then `toolkits.shop.price(1)`.
    for package, _, rest in (each.partition(".") for each in dotted):
        if package in TOOL_PACKAGES and rest and not rest.startswith("_"):
            needed.add(f"{package}.{rest.partition('.')[0]}")
    return needed


def check_unmasked(skills: Iterable[Skill], redactor: Redactor) -> None:
    """Raises UsageError for a skill of which the record could not keep all."""
    for skill in skills:
        if redactor.text(skill.source) != skill.source:
            raise UsageError(
                f"skill {skill.name!r} holds a secret, or what --redact masks: it would be in the saved "
                "run; take it out of the file"
            )


def kept(
    offered: Sequence[Skill], recorded: Sequence[Skill], tell: Callable[[str], None]
) -> tuple[Skill, ...]:
    """Of a run that goes on: its own skills as they were, since its steps ran with them, and the new ones."""
    own = {skill.name: skill for skill in recorded}
    for skill in offered:
        if skill.name in own and own[skill.name] != skill:
            tell(f"skill {skill.name!r} has changed since; the run goes on with the one that it has recorded")
    return (*recorded, *(skill for skill in offered if skill.name not in own))
