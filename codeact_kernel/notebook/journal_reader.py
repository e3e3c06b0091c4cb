"""Owns reading a journal: folds its records into the trajectory they tell, also when the run was cut off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..exceptions import NotebookError
from ..trajectory import CUT_OFF, Action, Observation, Reply, RunInfo, Step, Stop, Trajectory, Turn
from ..wire.entries import call_from_json, outcome_from_json
from ..wire.frames import structure_of
from ..wire.lines import load_line
from ..wire.messages import Json, ToolCall
from .codec import from_json, is_amount, run_info
from .opening import MAX_JOURNAL_BYTES, MAX_STRUCTURE, opened, too_rich

VERSION = 1
MAX_LINE_BYTES = 256 * 1024 * 1024
"""A record has one tool call, or one step with its outputs; both are bounded far below."""


class EmptyJournal(NotebookError):
    """A journal without a whole record."""


def read_journal(path: str | Path) -> Trajectory:
    """The trajectory that a journal tells. Nothing is written.

    A torn last line is left out. A step that was begun and never ended has status "killed" and keeps
    its tool calls; those with no outcome are in doubt.

    Raises: NotebookError, naming the line, when it is no journal that this version reads.
    """
    fold, structure, number = _Fold(), 0, 0
    with opened(Path(path), "journal", MAX_JOURNAL_BYTES) as file:
        while line := file.readline(MAX_LINE_BYTES):
            number += 1
            structure += structure_of(line)
            try:
                if len(line) == MAX_LINE_BYTES:
                    raise NotebookError(f"it has {MAX_LINE_BYTES:,} bytes or more")
                if structure > MAX_STRUCTURE:
                    raise NotebookError(too_rich("the journal up to here"))
                _take(fold, line, torn=not line.endswith(b"\n"))
            except (ValueError, NotebookError) as problem:
                raise NotebookError(f"line {number} of the journal {str(path)!r}: {problem}") from None
    if fold.info is None:
        raise EmptyJournal(f"the journal {str(path)!r} is empty: the run was cut off before it began")
    return fold.trajectory(fold.info)


@dataclass
class _OpenTurn:
    task: str
    notes: tuple[str, ...] = ()
    steps: list[Step] = field(default_factory=list)
    stop: Stop | None = None


@dataclass(frozen=True)
class _Notes:
    notes: tuple[str, ...] = ()


@dataclass
class _Fold:
    """What the records read so far say."""

    info: RunInfo | None = None
    turns: list[_OpenTurn] = field(default_factory=list)
    reply: Reply | None = None
    """Of the step that is open."""
    index: int = 0
    calls: dict[int, dict[int, ToolCall]] = field(default_factory=dict)

    def trajectory(self, info: RunInfo) -> Trajectory:
        self.cut_off()
        turns = (
            Turn(turn.task, tuple(map(self._settled, turn.steps)), turn.stop, turn.notes)
            for turn in self.turns
        )
        return Trajectory(info, tuple(turns))

    def cut_off(self) -> None:
        """Ends the step that is open, if one is, as far as it came."""
        if self.reply is not None:
            action = None if self.reply.code is None else Action(self.reply.code)
            observation = Observation("killed", reason=CUT_OFF, tool_calls=self.journalled(self.index))
            self.end(Step(self.index, self.reply, action, observation))

    def end(self, step: Step) -> None:
        self.reply = None
        self.turn().steps.append(step)

    def turn(self) -> _OpenTurn:
        if not self.turns:
            raise NotebookError("a record of a turn before any turn has begun")
        return self.turns[-1]

    def journalled(self, index: int) -> tuple[ToolCall, ...]:
        calls = self.calls.get(index, {})
        return tuple(calls[number] for number in sorted(calls))

    def _settled(self, step: Step) -> Step:
        """With the outcomes that came after the step had ended."""
        known = self.calls.get(step.index, {})
        calls = tuple(
            known.get(call.index, call) if call.outcome is None else call
            for call in step.observation.tool_calls
        )
        if calls == step.observation.tool_calls:
            return step
        return replace(step, observation=replace(step.observation, tool_calls=calls))


def _take(fold: _Fold, line: bytes, torn: bool) -> None:
    try:
        entry = load_line(line)
    except ValueError:
        if torn:
            return
        raise
    if fold.info is None:
        fold.info = _info(entry)
        return
    match entry.get("t"):
        case "turn":
            fold.cut_off()
            fold.turns.append(_OpenTurn(_text(entry, "task"), from_json(_Notes, entry).notes))
        case "step":
            fold.cut_off()
            fold.turn()
            fold.index, fold.reply = _count(entry, "index"), from_json(Reply, entry.get("reply"))
        case "intent":
            call = call_from_json({**entry, "in_doubt": True})
            fold.calls.setdefault(call.step, {})[call.index] = call
        case "outcome":
            _outcome(fold, entry)
        case "end":
            fold.end(_step(fold, entry.get("step")))
        case "stop":
            fold.cut_off()
            fold.turn().stop = from_json(Stop, entry.get("stop"))
        case other:
            raise NotebookError(f"{other!r:.100} is no record that this version of codeact_kernel knows")


def _info(entry: Mapping[str, Json]) -> RunInfo:
    version = entry.get("codeact_journal")
    if version != VERSION or isinstance(version, bool):
        raise NotebookError(
            f"not a journal of format version {VERSION} but {version!r:.100}; "
            "if a newer codeact_kernel wrote it: pip install -U codeact_kernel"
        )
    return run_info(entry.get("info"), "RunInfo")


def _outcome(fold: _Fold, entry: Mapping[str, Json]) -> None:
    step, index = _count(entry, "step"), _count(entry, "call")
    intent = fold.calls.get(step, {}).get(index)
    if intent is None:
        raise NotebookError(f"the outcome of call {index} of step {step}, which was never begun")
    seconds = entry.get("seconds", 0.0)
    if not is_amount(seconds):
        raise NotebookError(f"'seconds' should be a number, not {seconds!r:.100}")
    fold.calls[step][index] = replace(intent, outcome=outcome_from_json(entry), duration_s=float(seconds))


def _step(fold: _Fold, data: Json) -> Step:
    """The step as it ended, with the reply and the calls that the journal has already."""
    if not isinstance(data, dict):
        raise NotebookError(f"'step' should be an object, not {data!r:.100}")
    if "reply" not in data:
        if fold.reply is None:
            raise NotebookError("the end of a step that was never begun")
        step = replace(from_json(Step, {**data, "reply": {}}), reply=fold.reply)
    else:
        step = from_json(Step, data)
    observation = data.get("observation")
    if isinstance(observation, dict) and "tool_calls" in observation:
        return step
    return replace(step, observation=replace(step.observation, tool_calls=fold.journalled(step.index)))


def _text(entry: Mapping[str, Json], key: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str):
        raise NotebookError(f"{key!r} should be a text, not {value!r:.100}")
    return value


def _count(entry: Mapping[str, Json], key: str) -> int:
    value = entry.get(key)
    if isinstance(value, bool) or not isinstance(value, int):
        raise NotebookError(f"{key!r} should be a whole number, not {value!r:.100}")
    return value
