"""Owns the start of a run: its kernel, what the record says of it, and what is restored in it."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from ..config import SandboxProfile, Settings
from ..interfaces import Model, ToolSource
from ..notebook.data import record_data
from ..notebook.redact import Redactor
from ..prompt import system_prompt
from ..rebuild import RECORDED_NAMES, Rebuilt, restore, restored_note
from ..sandbox.launching import Launcher
from ..sandbox.session import KernelSession
from ..trajectory import Observation, RunInfo, Step, Trajectory, Turn
from ..wire.messages import ToolModule, ToolSpec
from ..wire.setup import SetupSpec, setup_source
from ..wire.setup_skills import skill_spec
from . import cage
from .imports import allowed_imports
from .origin import Origin
from .recorded_data import hosted_setup, provided
from .servers import Servers
from .skill_offers import Found, check_unmasked, kept, usable

SHOWN = 20


@dataclass(frozen=True)
class Offered:
    """What the prompt tells of tools: those of the start, so that it stays the same; of what comes later
    there are notes. `missing`: modules that cannot be had."""

    tools: tuple[ToolSpec, ...]
    modules: tuple[ToolModule, ...]
    missing: tuple[str, ...] = ()
    skills: tuple[ToolSpec, ...] = ()

    @staticmethod
    def now(source: ToolSource, missing: tuple[str, ...] = ()) -> Offered:
        return Offered(source.specs(), source.modules(), missing)


@dataclass(frozen=True)
class Started:
    """A kernel that is ready, and the run so far. `notes`: what the model is to be told of a restoration;
    `held`: what lives as long as the session."""

    session: KernelSession
    trajectory: Trajectory
    offered: Offered
    held: ExitStack
    notes: tuple[str, ...] = ()


async def start(
    settings: Settings,
    registry: ToolSource,
    model: Model,
    redactor: Redactor,
    origin: Origin | None,
    tell: Callable[[str], None],
    servers: Servers,
    skills: Found,
    launcher: Launcher | None = None,
) -> Started:
    """Starts the kernel, and restores what `origin` says. `servers`: of which `registry` gets tools.
    Raises: SandboxError, UsageError."""
    profile, held = settings.profile, ExitStack()
    check_unmasked(skills.skills, redactor)
    # For the notebook only: the kernel of this session has the data in its workspace.
    files = await asyncio.to_thread(record_data, profile.data, redactor)

    async def offer() -> tuple[Offered, SetupSpec]:
        await servers.open(tell)
        tools = Offered.now(registry, servers.missing)
        found = usable(skills, tools.tools, tools.modules, tell)
        made = SetupSpec("", settings.profile.allow_imports, tools.tools, (), tools.modules, 0, files, found)
        if origin is not None:
            made = replace(_merged(made, origin), skills=kept(found, origin.spec.skills, tell))
        return replace(tools, skills=tuple(map(skill_spec, made.skills))), made

    try:
        if origin is not None:
            profile = replace(profile, data=held.enter_context(provided(origin.restored, profile)))
        session = KernelSession(replace(settings, profile=profile), launcher=launcher)
        offered, spec, versions = await _beside(session, offer(), profile)
        try:
            info = _info(settings, model, setup_source(spec), versions, session)
            if origin is None:
                return Started(session, Trajectory(info), offered, held)
            info = replace(info, parent=origin.info.parent)
            if origin.parent is None:
                old = origin.info
                info = replace(info, run_id=old.run_id, created=old.created, model=old.model)
            steps = len(origin.restored.steps)
            if steps:
                what = "1 earlier step runs" if steps == 1 else f"{steps:,} earlier steps run"
                tell(f"restoring: {what} again, tools answered from the record")
            turns, notes = await _restored(session, origin)
            notes = (*notes, *_without(origin, offered))
            for note in notes:  # What the model is told, the user is.
                tell(note)
            return Started(session, Trajectory(info, turns), offered, held, notes)
        except BaseException:
            await session.aclose()
            raise
    except BaseException:
        held.close()
        raise


def _info(
    settings: Settings, model: Model, setup: str, versions: Mapping[str, str], session: KernelSession
) -> RunInfo:
    """What is recorded of a new run."""
    return RunInfo(
        uuid.uuid4().hex[:12],
        model.name,
        datetime.now(UTC).isoformat(timespec="seconds"),
        setup,
        versions,
        asdict(settings.limits),
        json.loads(json.dumps(asdict(settings.profile), default=str)),
        cage.entry_of(session),
    )


async def _beside(
    session: KernelSession, offer: Coroutine[Any, Any, tuple[Offered, SetupSpec]], profile: SandboxProfile
) -> tuple[Offered, SetupSpec, Mapping[str, str]]:
    """Starts the kernel while servers start: its setup is what they offer. Both or neither are there then."""
    offering = asyncio.ensure_future(offer)

    async def source() -> str:
        return hosted_setup(setup_source((await offering)[1]), profile)

    setup = asyncio.ensure_future(source())
    try:
        versions = await session.start(setup)
        return *await offering, versions
    except BaseException:
        setup.cancel()
        offering.cancel()
        await asyncio.gather(setup, offering, return_exceptions=True)
        raise


def _without(origin: Origin, offered: Offered) -> Iterator[str]:
    """What the model is told of modules that earlier steps had, and that are not there now."""
    here = {module.name for module in offered.modules}
    if gone := [module.name for module in origin.spec.modules if module.name not in here]:
        yield (
            f"These modules of tools are not there any more: {', '.join(sorted(gone)[:SHOWN])}. What they "
            "returned is still in the variables; a new call raises ToolUnavailable."
        )


def _merged(spec: SetupSpec, origin: Origin) -> SetupSpec:
    """With the tools, imports and data that earlier steps had: they are run again."""
    old, names = origin.spec, {tool.name for tool in spec.tools}
    modules = {module.name for module in spec.modules}
    tops = {file.top for file in spec.files}
    return replace(
        spec,
        allow_imports=tuple(dict.fromkeys((*spec.allow_imports, *old.allow_imports))),
        tools=(*spec.tools, *(tool for tool in old.tools if tool.name not in names)),
        modules=(*spec.modules, *(module for module in old.modules if module.name not in modules)),
        files=(*spec.files, *(file for file in old.files if file.top not in tops)),
    )


async def _restored(session: KernelSession, origin: Origin) -> tuple[tuple[Turn, ...], tuple[str, ...]]:
    """Runs the earlier steps again. What they show now counts from the first on that was edited by hand."""
    found: dict[int, Rebuilt] = {}

    def keep(rebuilt: Rebuilt) -> None:
        found[rebuilt.step.index] = rebuilt

    missing = await restore(session, origin.restored, fresh=True, on_step=keep)
    notes = [edit.text for edit in origin.edits[:SHOWN]]
    notes += [f"There are {more} more such changes."] if (more := len(origin.edits) - SHOWN) > 0 else []
    notes += [restored_note(missing[:SHOWN])] if missing else []
    if masks := origin.info.masks:
        notes.append(
            f"The record masks some values ({', '.join(masks)}), and so do the variables rebuilt from it: "
            "get such a value anew before it is used."
        )
    changed = {step.index for step in origin.restored.steps[origin.first_edited :]} & found.keys()
    turns = tuple(
        replace(
            turn,
            steps=tuple(
                _as_now(step, found[step.index].observation) if step.index in changed else step
                for step in turn.steps
            ),
        )
        for turn in origin.turns
    )
    return turns, tuple(notes)


def _as_now(step: Step, observation: Observation) -> Step:
    """With what it shows now. The calls that were made stay on the record, also those that the code makes no
    more; and a step that hung was not run, so it stays one that hung."""
    if step.observation.status in RECORDED_NAMES:
        return step
    return replace(step, observation=replace(observation, tool_calls=step.observation.tool_calls))


def system(profile: SandboxProfile, offered: Offered, model: Model, note: str = "") -> str:
    """The system prompt of a run. `note`: what there is to say of the tools."""
    names = ", ".join(f"data/{path.name}" for path in profile.data)
    said = [f"The working folder holds {names}." if names else "", note]
    imports, noted = allowed_imports(profile.allow_imports), " ".join(filter(None, said))
    tools = (offered.tools, model.instructions, imports, noted, None, offered.modules, offered.missing)
    return system_prompt(*tools, offered.skills)
