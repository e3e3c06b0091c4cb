"""Owns `codeact skill list`, `show` and `remove`."""

from __future__ import annotations

from pathlib import Path

from ..exceptions import UsageError
from ..skills.folder import (
    check_name,
    own_folder,
    read_folders,
    read_skill,
    remove_skill,
    skill_path,
    tests_path,
)
from ..wire.messages import Json
from ..wire.setup_skills import PACKAGE, skill_spec
from ..wire.stubs import tool_line
from .app import CodeactApp
from .documents import SCHEMA_VERSION, dumps
from .doors import outlets
from .page import Page
from .terminal import clean


class SkillApp(CodeactApp):
    """What all of them share."""

    def folders(self) -> list[Path]:
        """Those of --skills, or this user's own."""
        return [Path(given).expanduser().absolute() for given in self.skills] or [own_folder()]

    def folder_of(self, name: str) -> Path:
        """The first of them that has the skill; else the first. Raises UsageError."""
        check_name(name)
        folders = self.folders()
        return next((folder for folder in folders if skill_path(folder, name).is_file()), folders[0])


class SkillListApp(SkillApp):
    """The traits of `codeact skill list`."""

    name = "codeact-skill-list"
    command = "skill list"

    def start(self) -> int:
        folders = self.folders() if self.skills else [each for each in self.folders() if each.is_dir()]
        problems: list[str] = []
        found = read_folders(folders, problems.append)
        with outlets(self.json) as (console, document):
            page = Page(console)
            entries: list[Json] = []
            for path, skill in found:
                line = tool_line(skill_spec(skill)).removeprefix(f"{PACKAGE}.")
                tested = tests_path(path.parent, skill.name).is_file()
                page.line(clean(line), "bold")
                page.line(f"    {clean(str(path))}{'' if tested else '   untested'}", "dim")
                entries.append({"name": skill.name, "text": line, "path": str(path), "tested": tested})
            if not found:
                page.line(f"No skills in {', '.join(clean(str(each)) for each in self.folders())}", "dim")
            for problem in problems:
                page.line(clean(problem), "yellow")
            if document is not None:
                shown: dict[str, Json] = {"skills": entries, "problems": [*problems]}
                print(dumps({"schema_version": SCHEMA_VERSION, **shown}), file=document)
        return 0


class SkillShowApp(SkillApp):
    """The traits of `codeact skill show`."""

    name = "codeact-skill-show"
    command = "skill show"

    def start(self) -> int:
        folder = self.folder_of(self.argument)
        skill = read_skill(folder, self.argument)
        with outlets(False) as (console, _):
            page = Page(console)
            page.line(clean(skill.source.rstrip("\n")))
            tests = tests_path(folder, skill.name)
            said = f"Its tests: {clean(str(tests))}" if tests.is_file() else "It has no tests."
            page.line(f"\n{clean(str(skill_path(folder, skill.name)))}\n{said}", "dim")
        return 0


class SkillRemoveApp(SkillApp):
    """The traits of `codeact skill remove`."""

    name = "codeact-skill-remove"
    command = "skill remove"

    def start(self) -> int:
        for name in self.arguments:
            if not skill_path(self.folder_of(name), name).is_file():
                places = ", ".join(map(str, self.folders()))
                raise UsageError(
                    f"there is no skill {name!r:.120} in {places}; codeact skill list shows them"
                )
        with outlets(False) as (console, _):
            for name in self.arguments:
                for path in remove_skill(self.folder_of(name), name):
                    Page(console).line(f"Removed: {clean(str(path))}")
        return 0
