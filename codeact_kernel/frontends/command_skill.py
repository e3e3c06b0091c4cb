"""Owns `codeact skill save`, `list`, `show` and `remove`."""

from __future__ import annotations

from pathlib import Path

from traitlets import Bool, Unicode

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
from ..skills.testfile import told
from ..wire.messages import Json
from ..wire.setup_skills import PACKAGE, skill_spec
from ..wire.stubs import tool_line
from .app import CodeactApp
from .documents import SCHEMA_VERSION, dumps
from .doors import outlets
from .page import Page
from .skill_saving import NewSkill, Wish, save_skills
from .terminal import clean
from .traits import readable_file


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


class SkillSaveApp(SkillApp):
    """The traits of `codeact skill save`."""

    name = "codeact-skill-save"
    command = "skill save"
    to = Unicode("", help="The folder that gets the files; empty: this user's own.").tag(config=True)
    doc = Unicode("", help="What the function is for, where it does not say so itself.").tag(config=True)
    replace = Bool(False, help="Write one anew that is there.").tag(config=True)
    untested = Bool(False, help="Save a function also if no test can be made of it.").tag(config=True)
    force = Bool(False, help="Also of a run that is not as it was recorded.").tag(config=True)

    def start(self) -> int:
        path, names = readable_file("RUN.ipynb", self.argument), self.arguments[1:]
        folder = Path(self.to).expanduser().absolute() if self.to else own_folder()
        wish = Wish(folder, self.doc, self.replace, self.untested, self.force)
        with outlets(self.json) as (console, document):
            page = Page(console)
            made = save_skills(
                path,
                names,
                wish,
                settings=self.settings(),
                tell=lambda text: page.line(f"{clean(text)} …", "dim"),
            )
            for new in made:
                _show_new(page, new, folder)
            page.line(f"Offer it to a run: codeact run … --skills {clean(str(folder))}", "dim")
            if document is not None:
                skills = [_document(new, folder) for new in made]
                print(dumps({"schema_version": SCHEMA_VERSION, "skills": skills}), file=document)
        return 0


def _show_new(page: Page, new: NewSkill, folder: Path) -> None:
    """What was written, to be read."""
    page.line(f"\n{clean(new.skill.source)}")
    for reason in told(new.refused):
        page.line(clean(reason), "yellow")
    tests = len(new.tests.tests)
    said = f"Tested: {tests} of its calls gave what they gave in the run." if tests else "Untested."
    page.line(said, "bold green" if tests else "yellow")
    for path in new.written_at(folder):
        page.line(f"Saved: {clean(str(path))}")


def _document(new: NewSkill, folder: Path) -> dict[str, Json]:
    paths = [str(path) for path in new.written_at(folder)]
    return {
        "name": new.skill.name,
        "path": paths[0],
        "tests_path": paths[1] if len(paths) > 1 else None,
        "step": new.gathered.function.step,
        "tests": len(new.tests.tests),
        "refused": dict(new.refused),
        "tools": list(new.gathered.tools),
        "modules": list(new.gathered.modules),
    }


class SkillListApp(SkillApp):
    """The traits of `codeact skill list`."""

    name = "codeact-skill-list"
    command = "skill list"

    def start(self) -> int:
        folders = self.folders() if self.skills else [each for each in self.folders() if each.is_dir()]
        found = read_folders(folders)
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
            if document is not None:
                print(dumps({"schema_version": SCHEMA_VERSION, "skills": entries}), file=document)
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
