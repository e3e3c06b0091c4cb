"""Owns writing the journal: the truth during a run, one JSON line per record, on disk before an effect.

It lies beside the notebook: `RUN.ipynb` has `RUN.codeact.jsonl`. A record is one append, so that a run
that is killed leaves every record but perhaps the last whole. What was written survives the death of
this process; only a power cut can take what the operating system had not yet put on the disk.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, TypeVar

from ..exceptions import CodeActError, UsageError
from ..trajectory import Reply, RunInfo, Step, Stop, Turn
from ..wire.entries import call_to_json, decision_to_json, outcome_entry
from ..wire.lines import dump_line
from ..wire.messages import Json, ToolCall
from .codec import to_json
from .journal_reader import VERSION, read_journal
from .redact import Redactor

__all__ = ["JournalRecorder", "journal_path", "read_journal"]
T = TypeVar("T")


def journal_path(notebook: Path) -> Path:
    """Where the journal of a notebook lies."""
    stem = notebook.name.removesuffix(".ipynb")
    return notebook.with_name(f"{stem}.codeact.jsonl")


class JournalRecorder:
    """A Recorder that writes the journal of one run. Never touches an existing one. While it is open the
    journal is locked, which tells a run that goes on from one that was cut off.

    Args:
        path: the notebook that the run will be saved to.
        redactor: keeps secrets out; by default it knows those of this process's environment.
        resumes: the notebook is there already, and the run in it goes on.

    Raises: UsageError when the notebook or its journal exists, or its folder does not.
    """

    def __init__(self, path: str | Path, redactor: Redactor | None = None, *, resumes: bool = False) -> None:
        self.path = Path(path)
        self.journal = journal_path(self.path)
        self._redactor = redactor or Redactor.of_host()
        self._file = -1
        self._size = 0
        self._reply: Reply | None = None
        self._step = 0
        self._calls: dict[int, ToolCall] = {}
        self._mine = (self.journal,) if resumes else (self.path, self.journal)
        self._refuse_to_overwrite()

    def begin(self, info: RunInfo) -> None:
        self._file, self._size = self._created(), 0
        self._write(_begin_entry, info)

    def _created(self) -> int:
        """The new journal, locked."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        try:
            file = os.open(self.journal, flags, 0o600)
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file).st_nlink:
                return file
            os.close(file)  # Who recovers this folder was faster, and has removed it as an empty one.
            return self._created()
        except FileExistsError:
            self._refuse_to_overwrite()
            raise
        except OSError as problem:
            raise UsageError(
                f"cannot write {str(self.journal)!r}: {problem.strerror}; choose another --out"
            ) from None

    def again(self, turns: Iterable[Turn]) -> None:
        """What was recorded before, of a run that goes on."""
        for turn in turns:
            self._write(_turn_entry, replace(turn, steps=(), stop=None))
            for step in turn.steps:
                self.begin_step(step.index, step.reply)
                self.end_step(step)
            if turn.stop is not None:
                self.end_turn(turn.stop)

    def begin_turn(self, task: str, notes: tuple[str, ...] = ()) -> None:
        self._write(_turn_entry, Turn(task, notes=notes))

    def begin_step(self, index: int, reply: Reply) -> None:
        self._step, self._reply, self._calls = index, reply, {}
        self._write(lambda reply: {"t": "step", "index": index, "reply": to_json(reply)}, reply)

    def tool_intent(self, call: ToolCall) -> None:
        self._keep(call)
        self._write(_intent_entry, call)

    def tool_outcome(self, call: ToolCall) -> None:
        self._keep(call)
        self._write(_outcome_entry, call)

    def end_step(self, step: Step) -> None:
        """Leaves out of the record what the journal has already: the reply, and calls as they went."""
        current = step.index == self._step
        calls = tuple(self._calls[index] for index in sorted(self._calls))
        known = _Known(
            current and step.reply == self._reply, current and step.observation.tool_calls == calls
        )
        self._write(lambda step: _end_entry(step, known), step)

    def end_turn(self, stop: Stop) -> None:
        self._write(lambda stop: {"t": "stop", "stop": to_json(stop)}, stop)

    def close(self, *, saved: bool = False) -> None:
        """May be called twice. `saved`: the notebook holds it all, so the journal is not needed."""
        if self._file >= 0:
            os.fsync(self._file)
            if saved:  # While it is locked: the next one of this name is not ours.
                self.journal.unlink(missing_ok=True)
            os.close(self._file)
            self._file = -1

    def _keep(self, call: ToolCall) -> None:
        if call.step == self._step:
            self._calls[call.index] = call

    def _write(self, entry: Callable[[T], dict[str, Json]], record: T) -> None:
        line = dump_line(entry(record))
        if self._redactor.hits(line):
            line = dump_line(entry(self._redactor.record(record)))
        self._append(line)

    def _append(self, line: str) -> None:
        if self._file < 0:
            raise CodeActError(
                f"the journal {str(self.journal)!r} is not open; begin() comes first, close() last"
            )
        data = f"{line}\n".encode("ascii")
        try:
            written = os.write(self._file, data)
            while written < len(data):  # A disk that is nearly full takes a part.
                written += os.write(self._file, data[written:])
        except OSError as problem:
            os.ftruncate(self._file, self._size)  # No half record for later ones to be glued to.
            raise CodeActError(
                f"cannot write the journal {str(self.journal)!r}: {problem.strerror}. The run stops, because "
                "what it does could not be recorded; make room there or choose another --out"
            ) from problem
        self._size += len(data)

    def _refuse_to_overwrite(self) -> None:
        folder = self.path.parent
        if not folder.is_dir():
            raise UsageError(f"the folder {str(folder)!r} does not exist; make it, or choose another --out")
        for path in self._mine:
            if os.path.lexists(path):
                way = "choose another --out, or move it away"
                if path == self.journal:
                    way += f"; if its run was cut off, codeact recover {str(self.path)!r} saves it"
                raise UsageError(f"{str(path)!r} exists already and is kept; {way}")


class _Known(NamedTuple):
    """What of a step the journal has already."""

    reply: bool
    calls: bool


def _begin_entry(info: RunInfo) -> dict[str, Json]:
    return {"t": "begin", "codeact_journal": VERSION, "info": to_json(info)}


def _turn_entry(turn: Turn) -> dict[str, Json]:
    return {"t": "turn", **to_json(turn)}


def _intent_entry(call: ToolCall) -> dict[str, Json]:
    return {
        "t": "intent",
        "step": call.step,
        "call": call.index,
        "name": call.tool,
        "args": call.args,
        "kwargs": call.kwargs,
        **decision_to_json(call),
    }


def _outcome_entry(call: ToolCall) -> dict[str, Json]:
    return {
        "t": "outcome",
        "step": call.step,
        "call": call.index,
        **outcome_entry(call.outcome),
        "seconds": call.duration_s,
    }


def _end_entry(step: Step, known: _Known) -> dict[str, Json]:
    """A key `tool_calls`, also an empty one, says that these are the calls, whatever was journalled."""
    calls = [] if known.calls else [call_to_json(call) for call in step.observation.tool_calls]
    entry = to_json(replace(step, observation=replace(step.observation, tool_calls=())))
    if known.reply:
        del entry["reply"]
    if not known.calls:
        entry["observation"] = {**to_json(replace(step.observation, tool_calls=())), "tool_calls": calls}
    return {"t": "end", "step": entry}
