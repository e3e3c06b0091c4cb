"""Owns saving functions of a run as skills: what has to be so, what is tried, what is written in the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from ..config import Settings
from ..exceptions import UsageError
from ..notebook.cells import setup_spec
from ..notebook.edits import Edited, load_edited
from ..skills.cells import program_of
from ..skills.examples import Watched
from ..skills.folder import check_free, check_name, skill_path, tests_path, write_skill
from ..skills.gathering import Gathered, gathered
from ..skills.testfile import SkillTests, tests_of, told
from ..skills.writing import Saved, docstring_of, skill_source
from ..wire.messages import ToolSpec
from ..wire.setup import SetupSpec
from ..wire.setup_skills import Skill, skill_spec
from . import brief, cage
from .portal import SyncDoor
from .skill_trial import tried
from .skill_watching import watched
from .verifying import judged

_NAMED = 3
"""Findings that a refusal names."""


@dataclass(frozen=True)
class Wish:
    """What was asked for. `doc`: for functions without a docstring; `forced`: also of a run that is not as it
    was recorded; `untested`: also a function of which no test can be made."""

    folder: Path
    doc: str = ""
    replace: bool = False
    untested: bool = False
    forced: bool = False


@dataclass(frozen=True)
class NewSkill:
    """A skill and its tests; `refused`: why calls of the run are no tests -> how many."""

    skill: Skill
    gathered: Gathered
    tests: SkillTests
    refused: Mapping[str, int]

    def written_at(self, folder: Path) -> tuple[Path, ...]:
        """Its files."""
        path = skill_path(folder, self.skill.name)
        return (path, tests_path(folder, self.skill.name)) if self.tests.tests else (path,)


def save_skills(
    path: Path,
    names: Sequence[str],
    wish: Wish,
    *,
    settings: Settings = Settings(),
    tell: Callable[[str], object] = lambda text: None,
    ask: Callable[[str], str] = lambda name: "",
) -> tuple[NewSkill, ...]:
    """Saves functions of a run, all of them or none. Nothing of the run is run outside of a sandbox.

    `tell` hears what is being done; `ask` is asked what a function is for that does not say so, where `wish`
    does not either. Raises: NotebookError, UsageError, SandboxError, KeyboardInterrupt.
    """
    cage.warn(settings.profile)
    for name in names:
        check_name(name)
        check_free(wish.folder, name, replace=wish.replace)
    _check_run(path, forced=wish.forced)
    edited = load_edited(path)
    spec = setup_spec(edited.trajectory.info.setup)
    if spec is None:
        raise UsageError(f"{str(path)!r} has no setup cell of ours; only whole runs can be run again")
    program = program_of(edited.trajectory)
    specs = tuple(map(_whole, spec.tools))
    functions = [gathered(program, name, [tool.name for tool in specs]) for name in dict.fromkeys(names)]
    docs = {function.function.name: _doc(function, wish, ask) for function in functions}
    door = SyncDoor()
    work = _Saving(path, edited, replace(spec, tools=specs), wish, docs, settings)
    made = door.run(work.made(functions, lambda text: door.post(lambda: tell(text))))
    for new in made:
        write_skill(wish.folder, new.skill, new.tests.source or None)
    return made


def _doc(function: Gathered, wish: Wish, ask: Callable[[str], str]) -> str:
    """What it is for: its own words, or a person's. Raises UsageError when nobody says it."""
    name = function.function.name
    said = docstring_of(function) or wish.doc.strip() or ask(name).strip()
    if not said:
        raise UsageError(f"{name!r} has no docstring: say in a sentence what it is for, with --doc")
    return said


def _check_run(path: Path, *, forced: bool) -> None:
    """Raises UsageError for a run that is not as it was recorded, or did not do the same when replayed."""
    if forced:
        return
    judgement = judged(path, lambda key: "")
    found = [finding.text for finding in judgement.findings]
    if judgement.signature.state == "wrong":
        found.append(f"its signature is wrong: {judgement.signature.problem}")
    if found:
        more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        raise UsageError(
            f"{str(path)!r} is not as it was recorded: {'; '.join(found[:_NAMED])}{more}. See "
            "codeact verify, and read its code (codeact show); --force saves from it all the same"
        )
    verdict = load_edited(path).trajectory.verdict
    if verdict is not None and verdict.status == "drift":
        raise UsageError(
            f"{str(path)!r} did something else when it was replayed ({', '.join(verdict.classes)}), so "
            "what a function did in it says little; see codeact replay. --force saves from it all the same"
        )


def _whole(spec: ToolSpec) -> ToolSpec:
    """With the parameters that the schema of a server's tool means."""
    if spec.schema is None or spec.parameters:
        return spec
    from ..wire.schemas import tool_spec  # Dear, and most runs have no servers.

    return replace(tool_spec(spec.module, spec.function, spec.schema, spec.doc), effect=spec.effect)


@dataclass(frozen=True)
class _Saving:
    path: Path
    edited: Edited
    spec: SetupSpec
    wish: Wish
    docs: Mapping[str, str]
    settings: Settings

    async def made(
        self, functions: Sequence[Gathered], tell: Callable[[str], object]
    ) -> tuple[NewSkill, ...]:
        """All the skills, tried. Raises UsageError, SandboxError."""
        steps = brief.count(len(self.edited.trajectory.steps), "step")
        tell(f"The run is run again in a sandbox, its tools answered from the record: {steps}")
        done = await watched(self.edited.trajectory, functions, self.settings, lambda step: None)
        made = []
        for function in functions:
            name = function.function.name
            new = await asyncio.to_thread(self._written, function, done[name])
            tell(f"{name} is tried alone in a sandbox, with {len(new.tests.tests)} of its calls")
            is_async = skill_spec(new.skill).is_async
            problem = await tried(new.skill, new.tests, self.spec, self.settings, is_async=is_async)
            if problem:
                raise UsageError(
                    f"{name!r} is not saved: by itself it does not do what it did in the run: {problem}"
                )
            made.append(new)
        return tuple(made)

    def _written(self, function: Gathered, done: Watched) -> NewSkill:
        """The files as texts. Raises UsageError."""
        name, info = function.function.name, self.edited.trajectory.info
        step = function.function.step
        today = f"{datetime.now(UTC):%Y-%m-%d}"
        saved = Saved(self.path.name, info.run_id, step, self.edited.chain.get(step, ""), today)
        draft = Skill(name, skill_source(function, saved, self.docs[name], ""))
        tests = tests_of(function, draft.source, done.examples, self.spec.tools, saved.text)
        refused = {**done.refused, **tests.refused}
        if tests.tests:
            said = f"Tests, from calls in the run: {tests_path(Path(), name)}."
        else:
            self._check_untested(name, done, refused)
            why = "no call of the run could be made a test" if done.calls else "the run never called it"
            said = f"Untested: {why}."
        source = skill_source(function, saved, self.docs[name], said)
        return NewSkill(Skill(name, source), function, tests, refused)

    def _check_untested(self, name: str, done: Watched, refused: Mapping[str, int]) -> None:
        """Raises UsageError unless an untested skill was asked for."""
        if self.wish.untested:
            return
        if not done.calls:
            raise UsageError(
                f"the run never called {name!r}, so nothing shows what it does; --untested saves it all the "
                "same"
            )
        reasons = "; ".join(told(refused))
        raise UsageError(
            f"no call of {name!r} can be made a test: {reasons}. --untested saves it all the same"
        )
