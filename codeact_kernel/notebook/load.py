"""Owns reading a notebook: the trajectory it was rendered from, with what a person changed in its cells.

Sources and outputs in the cells win over the metadata; cells that are not ours are left out. Where a
journal beside the notebook tells more of the same run, the journal is read instead: nothing is lost.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..exceptions import ForeignNotebook, NotebookError
from ..outputs import Shown
from ..trajectory import Action, Observation, Reply, Step, Stop, Trajectory, Turn, Verdict
from ..wire.frames import structure_of
from ..wire.messages import Json, ToolCall
from ..wire.recorded import parse_recorded
from ..wire.setup import read_setup_source, setup_source
from ..wire.setup_tape import read_tape
from .cells import TASK_HEADING, recorded_error, task_source
from .codec import from_json, is_amount, run_info
from .journal import journal_path, read_journal
from .markdown import quoted, unquoted
from .opening import MAX_NOTEBOOK_BYTES, MAX_STRUCTURE, opened, too_rich
from .outputs import joined, shown_of
from .progress import Progress, progress_of
from .render import SCHEMA_VERSION

MAX_SETUP = 16 * 1024 * 1024
"""Characters of a setup cell, which is parsed as Python; what ours carry is cut at some 5 MiB."""


@dataclass(frozen=True)
class Saved:
    """A run as it lies on the disk. `redacted`: names of what is masked in it, as the notebook says."""

    trajectory: Trajectory
    redacted: tuple[str, ...] = ()


def load(path: str | Path) -> Trajectory:
    """The trajectory of a notebook, or of the journal beside it when that is further on.

    Raises: NotebookError when it is no notebook of ours, is damaged, or of a later format. Nothing
    is written.
    """
    return load_saved(path).trajectory


def load_saved(path: str | Path) -> Saved:
    """As `load`, with what the notebook says beside the trajectory."""
    told = journal_ahead(Path(path))
    if told is not None:
        return Saved(told)
    notebook = parse(Path(path))
    names = _ours(notebook, path).get("redacted")
    redacted = [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
    return Saved(load_notebook(notebook, str(path)), tuple(redacted))


def journal_ahead(path: Path, *, strictly: bool = False) -> Trajectory | None:
    """What the journal beside a notebook tells, when that is further on, or there is no notebook.

    `strictly`: a journal that cannot be read, or is another run's, is an error.
    Raises: NotebookError.
    """
    journal = journal_path(path)
    if not journal.exists():
        return None
    try:
        told = read_journal(journal)
    except NotebookError:
        if strictly or not path.exists():
            raise
        return None
    if not path.exists():
        return told
    ours = _ours(parse(path), path)
    if told.info.run_id == ours.get("run_id"):
        return told if progress_of(told) > _recorded(ours) else None
    if strictly:
        raise NotebookError(f"the journal {str(journal)!r} is not of the run in {str(path)!r}; move one away")
    return None


def load_notebook(notebook: Mapping[str, Json], name: str, reading: Reading | None = None) -> Trajectory:
    """The trajectory in a parsed notebook; `name` is for errors. `reading`: how its cells are understood."""
    ours = _ours(notebook, name)
    reading = reading or Reading()
    info, cells = ours.get("info"), notebook.get("cells")
    if not isinstance(info, dict):
        raise NotebookError(f"{name!r} does not say what its run started with; its metadata was damaged")
    if cells is not None and not isinstance(cells, list):
        raise NotebookError(f"{name!r} is damaged: its cells are no list; use a copy that is whole")
    for index, cell in enumerate(cells or ()):
        if isinstance(cell, dict):
            reading.take(cell, f"cell {index + 1} of {name!r}")
    kept = {**info, "run_id": ours.get("run_id"), "setup": reading.setup}
    said = ours.get("verdict")
    verdict = None if said is None else from_json(Verdict, said, f"the verdict in {name!r}")
    return Trajectory(run_info(kept, f"the metadata of {name!r}"), reading.turns(), verdict)


@dataclass
class OpenTurn:
    """A turn that is being read."""

    task: str
    notes: tuple[str, ...] = ()
    steps: list[Step] = field(default_factory=list)
    stop: Stop | None = None


class Reading:
    """What the cells read so far say."""

    def __init__(self) -> None:
        self.setup = ""
        self._tape: dict[int, list[ToolCall]] = {}
        self._turns: list[OpenTurn] = []
        self._steps: set[int] = set()
        self._thoughts: dict[int, str] = {}

    def turns(self) -> tuple[Turn, ...]:
        return tuple(Turn(turn.task, tuple(turn.steps), turn.stop, turn.notes) for turn in self._turns)

    def take(self, cell: Mapping[str, Json], where: str) -> None:
        metadata = cell.get("metadata")
        kept = metadata.get("codeact") if isinstance(metadata, dict) else None
        if not isinstance(kept, dict):
            return  # A cell that a person added.
        source = joined(cell.get("source"))
        if source is None:
            raise NotebookError(f"{where} has no source that is text; the file is damaged")
        match kept.get("kind"):
            case "setup":
                self._take_setup(kept, source, where)
            case "task":
                notes = from_json(_Notes, kept, where).notes
                self._turns.append(OpenTurn(_task(kept, source), notes))
            case "thought":
                self._thoughts[_number(kept, where)] = source
            case "step":
                self._take_step(kept, cell, source, where)
            case "stop":
                self.turn().stop = from_json(Stop, kept.get("stop"), where)

    def turn(self) -> OpenTurn:
        """The one that is read; an empty task when its cell was deleted."""
        if not self._turns:
            self._turns.append(OpenTurn(""))
        return self._turns[-1]

    def _take_setup(self, kept: Mapping[str, Json], source: str, where: str) -> None:
        lines = kept.get("tape", [])
        if len(source) > MAX_SETUP:
            raise NotebookError(f"{where} is a setup cell of {len(source):,} characters; none is so long")
        try:
            spec = None if kept.get("verbatim") is True else read_setup_source(source)
            calls = spec.tape if spec is not None else ()
            if isinstance(lines, list) and lines:
                calls = read_tape([line for line in lines if isinstance(line, str)])
        except ValueError as problem:
            raise NotebookError(f"{where}: {problem}") from None
        self.setup = source if spec is None else setup_source(replace(spec, tape=(), external_bytes=0))
        for call in calls:
            self._tape.setdefault(call.step, []).append(call)

    def _take_step(self, kept: Mapping[str, Json], cell: Mapping[str, Json], source: str, where: str) -> None:
        index = _number(kept, where)
        if index in self._steps:
            return  # A copy that a person made; the first is the recorded one.
        self._steps.add(index)
        observation = from_json(Observation, kept, where)
        observation = replace(observation, tool_calls=self._calls(index, kept))
        action = None
        if cell.get("cell_type") == "code":
            action, observation = _ran(observation, kept, cell, source, where)
        notes = from_json(_Notes, kept, where)
        reply = self._reply(kept, action, index, where)
        self.turn().steps.append(Step(index, reply, action, observation, notes.notes, notes.started))

    def _calls(self, index: int, kept: Mapping[str, Json]) -> tuple[ToolCall, ...]:
        calls, seconds = self._tape.get(index, []), kept.get("call_seconds")
        if not isinstance(seconds, list) or len(seconds) != len(calls):
            return tuple(calls)
        known = [float(s) if is_amount(s) else 0.0 for s in seconds]
        return tuple(replace(call, duration_s=took) for call, took in zip(calls, known, strict=True))

    def _reply(self, kept: Mapping[str, Json], action: Action | None, index: int, where: str) -> Reply:
        data = kept.get("reply")
        reply = from_json(Reply, data, f"the reply in {where}")
        if action is not None and isinstance(data, dict) and "code" not in data:
            reply = replace(reply, code=action.code)
        source = self._thoughts.get(index)
        if source is not None and source != quoted(reply.thought):
            reply = replace(reply, thought=unquoted(source))
        return reply


@dataclass(frozen=True)
class _Notes:
    notes: tuple[str, ...] = ()
    started: str = ""


def _ran(
    observation: Observation, kept: Mapping[str, Json], cell: Mapping[str, Json], source: str, where: str
) -> tuple[Action, Observation]:
    """The action of a code cell, and what it showed as its outputs say."""
    shown: tuple[Shown, ...] = shown_of(cell.get("outputs"), kept.get("extras"), where)
    if observation.status in ("timeout", "killed"):
        recorded = parse_recorded(source)
        source = source if recorded is None else recorded.code
        if kept.get("error_added") is True and shown[-1:] == (recorded_error(observation),):
            shown = shown[:-1]
    count = cell.get("execution_count")
    number = count if isinstance(count, int) else None
    return Action(source), replace(observation, shown=shown, execution_count=number)


def _task(kept: Mapping[str, Json], source: str) -> str:
    task = kept.get("task")
    if isinstance(task, str) and source == task_source(task):
        return task
    return unquoted(source.removeprefix(TASK_HEADING))


def _number(kept: Mapping[str, Json], where: str) -> int:
    number = kept.get("step")
    if isinstance(number, bool) or not isinstance(number, int):
        raise NotebookError(f"{where} should say which step it is, not {number!r:.100}; it was damaged")
    return number


# --- the file ----------------------------------------------------------------------------------


def parse_ours(path: Path) -> dict[str, Json]:
    """As `parse`. Raises: NotebookError also for a notebook that no run has saved, or of a later format."""
    notebook = parse(path)
    _ours(notebook, path)
    return notebook


def parse(path: Path) -> dict[str, Json]:
    """The JSON of a notebook, bounded. Raises: NotebookError."""
    with opened(path, "notebook", MAX_NOTEBOOK_BYTES) as file:
        text = file.read(os.fstat(file.fileno()).st_size)
    if len(text) > MAX_STRUCTURE and structure_of(text) > MAX_STRUCTURE:
        raise NotebookError(too_rich(f"the notebook {str(path)!r}"))
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise NotebookError(
            f"{str(path)!r} is no notebook: it is damaged or cut off ({problem}). If the journal "
            f"{journal_path(path).name!r} is still there, move the notebook away and try again"
        ) from None
    if not isinstance(data, dict) or "nbformat" not in data:
        raise NotebookError(f"{str(path)!r} is JSON but no notebook; give the .ipynb that a run has saved")
    if data["nbformat"] != 4:
        raise NotebookError(f"{str(path)!r} has nbformat {data['nbformat']!r:.100}; only 4 is read")
    return data


def _ours(notebook: Mapping[str, Json], name: str | Path) -> Mapping[str, Json]:
    metadata = notebook.get("metadata")
    ours = metadata.get("codeact") if isinstance(metadata, dict) else None
    if not isinstance(ours, dict):
        raise ForeignNotebook(
            f"{str(name)!r} is a notebook, but no run of codeact_kernel; give one that a run saved"
        )
    version = ours.get("schema_version")
    if version != SCHEMA_VERSION or isinstance(version, bool):
        raise NotebookError(
            f"{str(name)!r} has format version {version!r:.100}; this codeact_kernel reads {SCHEMA_VERSION}. "
            "A newer one may read it: pip install -U codeact_kernel"
        )
    return ours


def _recorded(ours: Mapping[str, Json]) -> Progress:
    """How far the run was when this notebook was written, whatever a person has deleted since."""
    counts = ours.get("recorded")
    numbers = [n for n in counts if isinstance(n, int)] if isinstance(counts, list) else []
    return Progress(*numbers) if len(numbers) == len(Progress._fields) else Progress(0, 0, 0, 0, 0)
