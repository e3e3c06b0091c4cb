"""Owns `codeact skill save`."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console
from traitlets import Bool, Unicode

from ..skills.folder import own_folder
from ..skills.testfile import told
from ..wire.messages import Json
from .app import CodeactApp
from .documents import SCHEMA_VERSION, dumps
from .doors import outlets
from .page import Page
from .skill_saving import NewSkill, Wish, save_skills
from .terminal import clean
from .traits import readable_file


class SkillSaveApp(CodeactApp):
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
                ask=lambda name: _asked(console, name),
                tell=lambda text: page.line(f"{clean(text)} …", "dim"),
            )
            for new in made:
                _show_new(page, new, folder)
            page.line(f"Offer it to a run: codeact run … --skills {clean(str(folder))}", "dim")
            if document is not None:
                skills = [_document(new, folder) for new in made]
                print(dumps({"schema_version": SCHEMA_VERSION, "skills": skills}), file=document)
        return 0


def _asked(console: Console, name: str) -> str:
    """At a terminal; "" elsewhere."""
    if not (console.is_terminal and sys.stdin.isatty()):
        return ""
    return console.input(f"What is {name} for, in a sentence? ", markup=False)


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
