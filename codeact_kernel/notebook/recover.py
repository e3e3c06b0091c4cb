"""Owns saving runs that were cut off: what a journal tells becomes the notebook, and the journal goes."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from ..exceptions import CodeActError, UsageError
from ..trajectory import Trajectory, Verdict
from ..wire.messages import ToolCall
from .edits import edited
from .journal import journal_path
from .journal_reader import EmptyJournal
from .load import journal_ahead, load_notebook, parse
from .replacing import half_written, replace_file
from .writer import write

SUFFIX = ".codeact.jsonl"
HEAD = b'{"t":"begin"'
"""What a journal begins with."""
UNASKED_BYTES = 64 * 1024 * 1024
"""Of a journal that is recovered without being asked for; a larger one would hold up the run that starts."""


@dataclass(frozen=True)
class Recovered:
    """A run that was cut off and is saved now. `path`: its notebook."""

    path: Path
    trajectory: Trajectory
    kept: Path | None = None
    """A copy of the notebook that was there: a person had changed its code."""

    @property
    def in_doubt(self) -> tuple[ToolCall, ...]:
        """Calls that began and may have been done."""
        return in_doubt(self.trajectory)


def in_doubt(trajectory: Trajectory) -> tuple[ToolCall, ...]:
    calls = (call for step in trajectory.steps for call in step.observation.tool_calls)
    return tuple(call for call in calls if call.outcome is None)


def notebook_of(path: Path) -> Path:
    """The notebook of a path that names it or its journal."""
    if path.name.endswith(SUFFIX):
        return path.with_name(path.name.removesuffix(SUFFIX) + ".ipynb")
    return path


def journals(folder: Path) -> tuple[Path, ...]:
    """The journals in a folder, sorted."""
    return tuple(sorted(path for path in folder.glob(f"*{SUFFIX}") if path.is_file()))


def recover(path: Path) -> Recovered | None:
    """Saves the run whose notebook is `path`; None when there is no journal, and so nothing was cut off.

    Raises: UsageError when the run still goes on, or the journal is not that of the notebook beside it;
    NotebookError when neither can be read. Nothing is removed then.
    """
    notebook = notebook_of(path)
    journal = journal_path(notebook)
    try:
        with _ended(journal):
            return _saved(notebook, journal)
    except FileNotFoundError:
        return None
    except OSError as problem:
        raise UsageError(f"cannot recover the run of {str(journal)!r}: {problem.strerror}") from None


def _saved(notebook: Path, journal: Path) -> Recovered | None:
    try:
        trajectory = journal_ahead(notebook, strictly=True)
    except EmptyJournal:  # It was killed before anything had happened.
        with open(journal, "rb") as file:
            head = file.read(len(HEAD))
        if not HEAD.startswith(head):
            raise
        journal.unlink()
        return None
    kept = None
    if trajectory is None:  # It was killed after its notebook was written.
        trajectory = load_notebook(parse(notebook), str(notebook))
    else:
        kept = _kept(notebook)
        trajectory = replace(trajectory, verdict=Verdict("unverified", reason="the run was cut off"))
        write(trajectory, notebook)
    for left in half_written(notebook):
        left.unlink(missing_ok=True)
    journal.unlink()
    return Recovered(notebook, trajectory, kept)


def _kept(notebook: Path) -> Path | None:
    """A copy, if a person has changed the code in a notebook that is not as far as its journal."""
    if not notebook.exists():
        return None
    edits = edited(parse(notebook), str(notebook)).edits
    if not any(edit.kind in ("changed", "added") for edit in edits):
        return None
    names = (f"{notebook.stem}-edited{'' if n == 1 else f'-{n}'}.ipynb" for n in count(1))
    copy = next(path for name in names if not (path := notebook.with_name(name)).exists())
    replace_file(copy, notebook.read_bytes(), "make room there")
    return copy


def recover_folder(folder: Path) -> Iterator[Recovered | str]:
    """Saves every run of a folder that was cut off; a line on each that cannot be. Those that go on are
    left alone."""
    for journal in journals(folder):
        try:
            if journal.stat().st_size > UNASKED_BYTES:
                yield f"a run was cut off: codeact recover {journal.name}"
            elif not goes_on(journal) and (found := recover(journal)) is not None:
                yield found
        except (CodeActError, OSError) as problem:
            yield f"a run that was cut off cannot be saved: {problem}"


def goes_on(journal: Path) -> bool:
    """Whether a process writes this journal now."""
    try:
        with _ended(journal):
            return False
    except FileNotFoundError:  # It has ended since.
        return False
    except UsageError:
        return True


@contextmanager
def _ended(journal: Path) -> Iterator[None]:
    """Holds the journal's lock, which its writer holds as long as it lives."""
    descriptor = os.open(journal, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"the run of {str(journal)!r} still goes on; wait for its end, or end its process first"
            ) from None
        if not os.fstat(descriptor).st_nlink:
            raise FileNotFoundError(str(journal))  # It has ended well meanwhile, or another has saved it.
        yield
    finally:
        os.close(descriptor)
