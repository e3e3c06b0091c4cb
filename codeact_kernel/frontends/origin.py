"""Owns what a run goes on from: a saved run that is resumed, or a branch of one."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

from ..exceptions import UsageError
from ..notebook.cells import setup_spec
from ..notebook.edits import Edit, load_edited
from ..notebook.load import load
from ..notebook.recover import Recovered, recover
from ..notebook.redact import Redactor
from ..rebuild import without_step
from ..resuming import Key, Pending, Repeat, cut_off_step, doubtful
from ..trajectory import OWN_CELL, Observation, Parent, Reply, RunInfo, Step, Trajectory, Turn
from ..wire.lines import canonical
from ..wire.messages import Effect, Json, ToolCall, ToolSpec
from ..wire.setup import SetupSpec
from ..wire.tape import call_key, show_call

InDoubt: TypeAlias = Literal["ask", "skip", "retry"] | Callable[[ToolCall], Awaitable[bool]]
"""What becomes of calls in doubt; a function says whether to call again. "ask": an error that names them."""
MORE = 10


@dataclass(frozen=True)
class Mark:
    """Tells whether a file is the one that was read."""

    path: Path
    file: tuple[int, int, int]

    @staticmethod
    def of(path: Path) -> Mark:
        found = path.stat()
        return Mark(path, (found.st_ino, found.st_size, found.st_mtime_ns))


@dataclass(frozen=True)
class Origin:
    """What is restored before a run goes on.

    `turns`: to be run again. `open`: the last of them goes on when no new task is given. `pending`: the
    step that is taken first. `edits`: what a person has changed by hand. `parent`: None when it is the same
    run that goes on, in its own notebook.
    """

    info: RunInfo
    spec: SetupSpec
    turns: tuple[Turn, ...]
    pending: Pending | None = None
    edits: tuple[Edit, ...] = ()
    parent: Parent | None = None
    problem: str = ""
    """Why the open turn cannot go on unattended."""
    recovered: Recovered | None = None
    """What was saved first, when the run had been cut off."""
    read: Mark | None = None
    """Of the notebook, when it is to be written again."""

    @property
    def open(self) -> bool:
        return bool(self.turns) and self.turns[-1].stop is None

    @property
    def restored(self) -> Trajectory:
        """What is run again."""
        return without_pending(Trajectory(self.info, self.turns), self.pending)

    def masked(self, redactor: Redactor) -> Origin:
        """With calls of a step that was cut off told by what the record, which is masked, shows of them."""
        if self.pending is None:
            return self
        return replace(self, pending=replace(self.pending, key=masked_key(redactor, self.info.masks)))

    def for_task(self) -> Origin:
        """For a new task: a step that was cut off stays as it is."""
        cut = self.pending is not None and self.pending.step.action is not None
        return replace(self, pending=None) if cut else self

    def check_unchanged(self) -> None:
        """Raises UsageError when the notebook is not the one that was read."""
        if self.read is not None and self.read != Mark.of(self.read.path):
            raise UsageError(
                f"{str(self.read.path)!r} was changed after it was read to go on from it; resume it again"
            )

    @property
    def first_edited(self) -> int:
        """The place of the first step that is not as it was recorded, among `restored.steps`; their number
        when all are."""
        changed = {edit.step for edit in self.edits if edit.kind in ("changed", "added")}
        # A step with a higher number than one that was removed, or moved behind it, runs on something else.
        gone = min((edit.step for edit in self.edits if edit.step not in changed), default=None)
        for place, step in enumerate(self.restored.steps):
            if step.index in changed or (gone is not None and step.index > gone):
                return place
        return len(self.restored.steps)


def resumed(path: Path, in_doubt: InDoubt, tools: Iterable[ToolSpec], *, elsewhere: bool) -> Origin:
    """A saved run that goes on with these tools. `elsewhere`: in another notebook, as a branch after its
    last step.

    Raises: NotebookError, UsageError.
    """
    found = recover(path)
    read = None if elsewhere or not path.exists() else Mark.of(path)
    saved = load_edited(path)
    trajectory = saved.trajectory
    spec = _spec(trajectory, path)
    cut = cut_off_step(trajectory)
    pending, problem = None, ""
    if cut is not None and cut.action is not None:
        effects = _effects(spec, tools)
        own = trajectory.turns[-1].task == OWN_CELL
        pending = Pending(cut, _repeat(in_doubt, effects), own=own)
        calls = list(doubtful(cut, effects))
        problem = _undecided(calls) if in_doubt == "ask" and calls else ""
    last = trajectory.steps[-1].index if trajectory.steps else 0
    parent = Parent(trajectory.info.run_id, last, saved.chain.get(last, ""), path.name) if elsewhere else None
    info = trajectory.info if parent is None else replace(trajectory.info, parent=parent)
    return Origin(info, spec, trajectory.turns, pending, saved.edits, parent, problem, found, read)


def forked(path: Path, at: int, code: str | None = None) -> Origin:
    """A branch of a saved run after step `at`, with other `code` for that step if it is given.

    Raises: NotebookError, UsageError.
    """
    saved = load_edited(path)
    trajectory = saved.trajectory
    spec = _spec(trajectory, path)
    numbers = [step.index for step in trajectory.steps]
    if at and at not in numbers:
        raise UsageError(f"{str(path)!r} has no step {at}; it has {len(numbers)} steps: {_ranges(numbers)}")
    if not at and code is not None:
        raise UsageError("there is no code of step 0 to change; name the step with --at")
    turns = list(_until(trajectory.turns, at))
    pending = None
    if code is not None:
        step = turns[-1].steps[-1]
        reply = Reply(thought=step.reply.thought, code=code)
        pending = Pending(Step(at, reply, None, Observation("ok")), _never)
        turns[-1] = replace(turns[-1], steps=turns[-1].steps[:-1])
    kept = at if code is None else max((number for number in numbers if number < at), default=0)
    parent = Parent(trajectory.info.run_id, kept, saved.chain.get(kept, ""), path.name)
    edits = tuple(edit for edit in saved.edits if edit.step in numbers[: numbers.index(at) + 1 if at else 0])
    edits = (*edits, Edit("changed", at)) if code is not None else edits
    return Origin(replace(trajectory.info, parent=parent), spec, tuple(turns), pending, edits, parent)


def check_task(task: str | None, origin: Origin | None) -> None:
    """Raises UsageError for a task that says nothing; for none, where there is none to go on with."""
    if task is not None:
        if not task.strip():
            raise UsageError(f"the task is empty: {task!r}; say what is to be done")
        return
    if origin is None or not origin.open:
        raise UsageError("no task was cut off here, so there is none to go on with; give the next one")
    if origin.problem:
        raise UsageError(origin.problem)


def doubts(path: Path, tools: Iterable[ToolSpec]) -> list[ToolCall]:
    """The calls that somebody has to decide on before a run that was cut off goes on. Raises: NotebookError,
    UsageError."""
    recover(path)
    trajectory = load(path)
    cut = cut_off_step(trajectory)
    return [] if cut is None else list(doubtful(cut, _effects(_spec(trajectory, path), tools)))


def model_of(trajectory: Trajectory) -> str:
    """The model of a saved run, as a spec. Raises: UsageError when it cannot be had again."""
    name = trajectory.info.model
    if name == "scripted":
        raise UsageError("the run had a scripted model; say which one goes on: --model scripted:FILE.jsonl")
    return f"anthropic:{name}"


def _effects(spec: SetupSpec, tools: Iterable[ToolSpec]) -> dict[str, Effect]:
    """What the tools say that would be called now counts more than what a notebook says of them."""
    return {tool.name: tool.effect for tool in (*spec.tools, *tools)}


def code_at(path: Path, at: int) -> str:
    """The code of a step. Raises: NotebookError, UsageError."""
    for step in load_edited(path).trajectory.steps:
        if step.index == at and step.action is not None:
            return step.action.code
    raise UsageError(f"{str(path)!r} has no code in step {at}")


def _until(turns: Iterable[Turn], at: int) -> Iterable[Turn]:
    """The turns up to a step; the one that it is in is open."""
    for turn in turns:
        numbers = [step.index for step in turn.steps]
        if not at or at in numbers:
            kept = turn.steps[: numbers.index(at) + 1] if at else ()
            yield replace(turn, steps=kept, stop=None)
            return
        yield turn


def _spec(trajectory: Trajectory, path: Path) -> SetupSpec:
    spec = setup_spec(trajectory.info.setup)
    if spec is None:
        raise UsageError(
            f"the setup cell of {str(path)!r} was edited by hand, so its tools and imports are not known; "
            "put back the recorded one to go on from this run"
        )
    return spec


def without_pending(trajectory: Trajectory, pending: Pending | None) -> Trajectory:
    """Without the step that is taken first."""
    return trajectory if pending is None else without_step(trajectory, pending.step.index)


def masked_key(redactor: Redactor, names: Sequence[str]) -> Key:
    """`call_key` of what is recorded of a call. Which value had which number is not known any more, so the
    numbers of marks do not count; calls that then ask the same answer in recorded order."""
    mark = re.compile(rf"\[({'|'.join(map(re.escape, names))}) [0-9]{{1,9}}\]") if names else None

    def key(tool: str, args: Sequence[Json], kwargs: Mapping[str, Json]) -> str:
        shown = redactor.record(ToolCall(0, 0, tool, tuple(args), kwargs, None))
        text = call_key(tool, shown.args, shown.kwargs)
        if mark is None:
            return text
        return mark.sub(r"[\1]", canonical([tool, list(shown.args), dict(shown.kwargs)]))

    return key


def _undecided(calls: Sequence[ToolCall]) -> str:
    named = ", ".join(show_call(call) for call in calls[:MORE])
    more = f" and {len(calls) - MORE} more" if len(calls) > MORE else ""
    return (
        f"in doubt: {named}{more} began before the run was cut off, and may have been done; say whether "
        "to call again: in_doubt='retry' (--in-doubt retry), or not: in_doubt='skip' (--in-doubt skip)"
    )


def _repeat(in_doubt: InDoubt, effects: Mapping[str, Effect]) -> Repeat:
    async def repeat(call: ToolCall) -> bool:
        if effects.get(call.tool, "write") == "read" or in_doubt == "retry":
            return True
        return False if isinstance(in_doubt, str) else await in_doubt(call)

    return repeat


async def _never(call: ToolCall) -> bool:
    return False


def _ranges(numbers: list[int]) -> str:
    return "none" if not numbers else f"{min(numbers)} to {max(numbers)}"
