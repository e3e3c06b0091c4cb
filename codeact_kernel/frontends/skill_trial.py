"""Owns trying a new skill in a sandbox: its file alone, what it did in its run, and its tests."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ..config import Settings
from ..interfaces import CallHandler
from ..rebuild import ran
from ..sandbox.session import KernelSession
from ..skills.examples import Example
from ..skills.testfile import SkillTests
from ..trajectory import Action, Refusal
from ..wire.lines import canonical
from ..wire.messages import Json, Raised, Returned, ToolOutcome, ToolRequest
from ..wire.setup import SetupSpec, setup_source
from ..wire.setup_skills import PACKAGE, Skill
from ..wire.skill_watch import AGAIN, BEGAN, CALL, ENDED, SOURCE
from ..wire.tape import Tape, TapeMiss, show_value
from .recorded_data import hosted_setup
from .skill_watching import why_of


async def tried(
    skill: Skill, tests: SkillTests, spec: SetupSpec, settings: Settings, *, is_async: bool
) -> str:
    """Why a skill does not do by itself what it did in its run; "" when it does.

    `spec`: of its run. It is imported as in a run that is offered it, and its examples give what they gave;
    then its tests are run as they stand. Raises: SandboxError.
    """
    files = {skill.name: skill.source} | ({f"{skill.name}_test": tests.source} if tests.tests else {})
    others = tuple(other for other in spec.skills if other.name != skill.name)
    beside = replace(
        spec,
        allow_imports=(*spec.allow_imports, *files),
        skills=(*others, skill),
        tape=(),
        external_bytes=0,
    )
    with tempfile.TemporaryDirectory(prefix="codeact-skill-") as folder:
        await asyncio.to_thread(_write, folder, files)
        imports = (*settings.profile.allow_imports, *files)
        profile = replace(settings.profile, workspace=Path(folder), data=(), allow_imports=imports)
        # Within the user's ceiling of imports, as in any replay: what the run could import is its own word.
        setup = hosted_setup(setup_source(beside), profile)
        session = KernelSession(replace(settings, profile=replace(profile, allow_imports=())))
        try:
            await session.start(SOURCE + setup)
            return await _problem(session, settings, skill.name, tests, is_async=is_async)
        finally:
            await session.aclose()


def _write(folder: str, files: Mapping[str, str]) -> None:
    for name, source in files.items():
        Path(folder, f"{name}.py").write_text(source, encoding="utf-8")


async def _problem(
    session: KernelSession, settings: Settings, name: str, tests: SkillTests, *, is_async: bool
) -> str:
    imported = f"from {PACKAGE} import {name}"
    if failed := await _failure(session, settings, imported, Again(None)):
        return f"it cannot be imported by itself: {failed}"
    for number, example in enumerate(tests.written, 1):
        again = Again(example)
        call = f"{'await ' if is_async else ''}{CALL}({name}, {number})"
        failed = await _failure(session, settings, f"{call};", again) or again.difference
        if failed:
            return f"called as in step {example.step}, {failed}"
    if not tests.tests:
        return ""
    failed = await _failure(session, settings, _all_tests(name, tests.tests), Again(None))
    return f"its tests fail: {failed}" if failed else ""


async def _failure(session: KernelSession, settings: Settings, code: str, handler: CallHandler) -> str:
    """How a cell failed; "" when it ended well."""
    observation = await ran(session, Action(code), handler, settings.output)
    if observation.status == "ok":
        return ""
    error = observation.error
    return f"{error.ename}: {error.evalue}" if error is not None else observation.reason or observation.status


def _all_tests(name: str, tests: Sequence[str]) -> str:
    """In threads of their own: a test of an `async def` runs an event loop, and a cell is in one already."""
    return f"""\
import threading, {name}_test
_problems = []
def _run(test):
    try:
        test()
    except BaseException as problem:
        _problems.append(f"{{type(problem).__name__}}: {{problem}}")
for _name in {list(tests)!r}:
    _thread = threading.Thread(target=_run, args=(getattr({name}_test, _name),))
    _thread.start()
    _thread.join()
    if _problems:
        raise AssertionError(f"{{_name}}: {{_problems[0]}}")
"""


class Again(CallHandler):
    """Answers one example's tool calls as they were answered, and compares what it gives. None: no call."""

    def __init__(self, example: Example | None) -> None:
        self._example = example
        self._tape = Tape(replace(call, step=1) for call in (example.calls if example else ()))
        self._tape.begin_step(1)
        self.difference = "" if example is None else "it gave nothing"

    async def call(self, request: ToolRequest) -> ToolOutcome:
        example = self._example
        if request.tool == AGAIN and example is not None:
            return Returned([[*example.args], {**example.kwargs}])
        if request.tool == ENDED and example is not None:
            self.difference = difference_of(example.result, request.args)
        if request.tool in (BEGAN, ENDED):
            return Returned(None)
        try:
            return self._tape.answer(request.tool, request.args, request.kwargs)
        except TapeMiss as miss:
            return Raised("LookupError", str(miss))

    def refused(self, refusal: Refusal) -> None:
        """The error of the cell says it."""


def difference_of(result: Json, args: Sequence[Json]) -> str:
    match args:
        case [int(), {"returns": now}]:
            same = canonical(now) == canonical(result)
            return "" if same else f"it gave {show_value(now)} and not {show_value(result)}"
        case [int(), {"refused": str(why)}]:
            return f"it {why_of(why)}"
    return "it gave nothing"
