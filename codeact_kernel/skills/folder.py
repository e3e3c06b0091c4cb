"""Owns folders of skills: what lies in one, and writing, replacing and removing it. Nothing of it is run."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from jupyter_core.paths import jupyter_data_dir

from ..exceptions import UsageError
from ..wire.setup_skills import (
    MAX_NAME,
    MAX_SOURCE,
    Skill,
    check_together,
    is_skill_name,
    skill_spec,
)

_TESTS = "_test.py"
_MAX_FILES = 10_000
"""Entries of a folder that are looked at."""


def own_folder() -> Path:
    """Where this user's skills are kept unless they say otherwise."""
    return Path(jupyter_data_dir()) / "codeact" / "skills"


def skill_path(folder: Path, name: str) -> Path:
    return folder / f"{name}.py"


def tests_path(folder: Path, name: str) -> Path:
    return folder / f"{name}{_TESTS}"


def check_name(name: str) -> None:
    """Raises UsageError for what cannot be the name of a skill."""
    if not is_skill_name(name) or name.endswith("_test") or name.startswith("test_") or name == "conftest":
        raise UsageError(
            f"a skill cannot be called {name!r:.120}: it needs an ASCII identifier of at most {MAX_NAME} "
            "characters that begins with a letter, not with 'test_', and does not end in '_test'"
        )
    if name in sys.stdlib_module_names:
        raise UsageError(
            f"a skill cannot be called {name!r}: its file {name}.py would hide Python's own module; "
            "give the function another name in a cell, then save again"
        )


def names_in(folder: Path) -> tuple[str, ...]:
    """The skills of a folder, sorted. Raises UsageError when it is no folder, or cannot be read."""
    try:
        files = [entry.name for entry in _limited(folder)]
    except OSError as problem:
        raise UsageError(
            f"the folder of skills {str(folder)!r} cannot be read: {problem.strerror}; name another"
        ) from None
    return tuple(sorted(name.removesuffix(".py") for name in files if _is_skill_file(name)))


def _limited(folder: Path) -> Iterable[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        found = []
        for entry in entries:
            found.append(entry)
            if len(found) > _MAX_FILES:
                raise UsageError(f"{str(folder)!r} has more than {_MAX_FILES:,} entries; name another folder")
        return found


def _is_skill_file(name: str) -> bool:
    plain = name.endswith(".py") and not name.endswith(_TESTS) and not name.startswith(("_", ".", "test_"))
    return plain and name != "conftest.py"


def read_skill(folder: Path, name: str) -> Skill:
    """One skill. Raises UsageError, which names the file, and the line where there is one."""
    path = skill_path(folder, name)
    if not is_skill_name(name):
        raise UsageError(f"skill {str(path)!r:.300} cannot be used: its name is no ASCII identifier")
    if not path.is_file():
        raise _unknown(folder, name)
    try:
        with open(path, "rb") as file:
            data = file.read(4 * MAX_SOURCE + 1)
        skill = Skill(name, data.decode("utf-8-sig").replace("\r\n", "\n"))
        skill_spec(skill)
    except OSError as problem:
        raise UsageError(f"skill {str(path)!r} cannot be read: {problem.strerror}") from None
    except UnicodeDecodeError as problem:
        raise UsageError(f"skill {str(path)!r} is no text in UTF-8: {problem.reason}") from None
    except ValueError as problem:
        raise UsageError(f"skill {str(path)!r} cannot be used: {problem}") from None
    return skill


def _skills_in(folder: Path, tell: Callable[[str], None] | None) -> Iterator[Skill]:
    for name in names_in(folder):
        try:
            yield read_skill(folder, name)
        except UsageError as problem:
            if tell is None:
                raise
            tell(f"{problem}; it is left out")


def read_folders(
    folders: Iterable[str | os.PathLike[str]], tell: Callable[[str], None] | None = None
) -> tuple[tuple[Path, Skill], ...]:
    """The skills of several folders, each with its file. `tell`: is told of each file that is no skill, and
    the others are there; without it such a file is an error. Raises UsageError, also when two have one name.
    """
    found: dict[str, tuple[Path, Skill]] = {}
    for given in folders:
        folder = Path(given).expanduser().absolute()
        for skill in _skills_in(folder, tell):
            path = skill_path(folder, skill.name)
            if skill.name in found and found[skill.name][0] != path:
                raise UsageError(
                    f"two skills are called {skill.name!r}: {str(found[skill.name][0])!r} and {str(path)!r}; "
                    "rename one of them, or leave out its folder"
                )
            found[skill.name] = (path, skill)
    try:
        check_together([skill for _, skill in found.values()])
    except ValueError as problem:
        raise UsageError(f"these skills cannot be offered to one run: {problem}") from None
    return tuple(found.values())


def check_free(folder: Path, name: str, *, replace: bool) -> None:
    """Raises UsageError when there is such a skill, and it is not to be replaced."""
    for path in (skill_path(folder, name), tests_path(folder, name)):
        if os.path.lexists(path) and not replace:
            raise UsageError(f"{str(path)!r} exists and is not overwritten; say --replace, or --to DIR")


def write_skill(folder: Path, skill: Skill, tests: str | None) -> None:
    """Writes a skill and its tests, each whole or not at all. Raises UsageError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(skill_path(folder, skill.name), skill.source)
        if tests is None:
            tests_path(folder, skill.name).unlink(missing_ok=True)
        else:
            _write(tests_path(folder, skill.name), tests)
    except OSError as problem:
        raise UsageError(
            f"cannot write into {str(folder)!r}: {problem.strerror}; name another: --to DIR"
        ) from None


def _write(path: Path, text: str) -> None:
    number, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with open(number, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def remove_skill(folder: Path, name: str) -> tuple[Path, ...]:
    """Removes a skill and its tests; what was removed. Raises UsageError when there is none."""
    check_name(name)
    if not skill_path(folder, name).is_file():
        raise _unknown(folder, name)
    removed = []
    for path in (skill_path(folder, name), tests_path(folder, name)):
        if path.is_file():
            try:
                path.unlink()
            except OSError as problem:
                raise UsageError(f"{str(path)!r} cannot be removed: {problem.strerror}") from None
            removed.append(path)
    return tuple(removed)


def _unknown(folder: Path, name: str) -> UsageError:
    known = ", ".join(names_in(folder)) if folder.is_dir() else ""
    return UsageError(f"there is no skill {name!r:.120} in {str(folder)!r}; there are: {known or 'none'}")
