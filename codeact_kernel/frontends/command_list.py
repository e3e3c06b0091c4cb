"""Owns `codeact list`: the saved runs of folders, newest first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.cells import cell_len, set_cell_size

from ..exceptions import ForeignNotebook, NotebookError, UsageError
from ..notebook.journal import journal_path
from ..notebook.load import load
from ..notebook.recover import goes_on, journals, notebook_of
from ..trajectory import Trajectory
from ..wire.messages import Json
from . import brief
from .app import CodeactApp
from .documents import SCHEMA_VERSION, dumps
from .doors import outlets
from .facts import one_line
from .page import Page

MAX_BYTES = 32 * 1024 * 1024
"""Of one notebook with its journal; a larger one is named and not read: it takes seconds."""
_NAME, _GAP = 40, 2


@dataclass(frozen=True)
class Listed:
    """A run in a folder. `run` None: it was not read, and `state` says why. `time`: seconds since 1970."""

    path: Path
    time: float
    state: str
    run: Trajectory | None = None


class ListApp(CodeactApp):
    """The traits of `codeact list`."""

    name = "codeact-list"
    command = "list"

    def start(self) -> int:
        with outlets(self.json) as (console, document):
            folders = [_folder(name) for name in self.arguments or (".",)]
            found = [listed(path) for folder in folders for path in runs_in(folder)]
            runs = sorted(filter(None, found), key=lambda each: each.time, reverse=True)
            foreign = found.count(None)
            page = Page(console)
            show_runs(page, runs)
            if not runs:
                page.line(f"No saved runs in {', '.join(one_line(str(folder)) for folder in folders)}", "dim")
            if foreign:
                page.line(f"{brief.count(foreign, 'other notebook')} not listed", "dim")
            if document is not None:
                print(dumps(list_document(runs, foreign)), file=document)
        return 0


def _folder(name: str) -> Path:
    path = Path(name).expanduser()
    if not path.is_dir():
        what = (
            "is no folder; `codeact show` prints one run"
            if path.exists()
            else "does not exist; check the path"
        )
        raise UsageError(f"DIR {name!r} {what}")
    return path


def runs_in(folder: Path) -> list[Path]:
    """Every notebook, and every notebook that only its journal tells of."""
    notebooks = {path for path in folder.glob("*.ipynb") if path.is_file()}
    return sorted(notebooks | {notebook_of(journal) for journal in journals(folder)})


def listed(path: Path) -> Listed | None:
    """What is said of a run; None when the notebook is none of ours."""
    journal = journal_path(path)
    files = [file for file in (path, journal) if file.exists()]
    try:
        states = [file.stat() for file in files]
        changed = max(state.st_mtime for state in states)
        size = sum(state.st_size for state in states)
        if size > MAX_BYTES:
            return Listed(path, changed, f"too large to list ({brief.size(size)}); codeact show opens it")
        run = load(path)
        cut_off = journal in files and not goes_on(journal)
    except ForeignNotebook:
        return None
    except (NotebookError, OSError) as problem:
        return Listed(path, changed if files else 0.0, f"cannot be read: {one_line(str(problem))}")
    state = f"cut off; codeact recover {one_line(path.name)}" if cut_off else ended(run, journal in files)
    return Listed(path, _time(run.info.created, changed), state, run)


def ended(run: Trajectory, journal: bool) -> str:
    """How the last turn ended, in a word or two."""
    if journal:
        return "goes on"
    return run.stop.reason.replace("_", " ") if run.stop is not None else "no end"


def show_runs(page: Page, runs: Sequence[Listed]) -> None:
    """Two lines a run: what can be compared in columns, and the task."""
    rows = [_columns(each) for each in runs]
    widths = [max((cell_len(row[n]) for row in rows if n < len(row) - 1), default=0) for n in range(8)]
    limit = page.console.width if page.console.is_terminal else None
    for each, row in zip(runs, rows, strict=True):
        cells = (set_cell_size(cell, width) for cell, width in zip(row[:-1], widths, strict=False))
        page.line(
            _fit((" " * _GAP).join([*cells, row[-1]]), limit), "bold" if each.run is not None else "red"
        )
        if each.run is not None:
            task = each.run.turns[0].task if each.run.turns else "no task yet"
            turns = len(each.run.turns)
            more = f"  (and {brief.count(turns - 1, 'more task')})" if turns > 1 else ""
            page.line(_fit(f"    {one_line(task)}", limit and limit - len(more)) + more, "dim")


def _columns(each: Listed) -> list[str]:
    name = one_line(each.path.name)
    name = name if cell_len(name) <= _NAME else set_cell_size(name, _NAME - 1) + "…"
    when = _when(each.time)
    run = each.run
    if run is None:
        return [name, when, each.state]
    cost = "" if not run.usage.total else "cost ?" if run.cost_usd is None else f"${run.cost_usd:.4f}"
    verdict = "" if run.verdict is None else run.verdict.status
    steps = brief.count(len(run.steps), "step")
    return [name, when, steps, each.state, cost, verdict, one_line(run.info.model)]


def _when(time: float) -> str:
    try:
        return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M}"
    except (ValueError, OverflowError, OSError):  # What a file system says is not always a time.
        return "?"


def _fit(line: str, limit: int | None) -> str:
    return line if limit is None or cell_len(line) <= limit else set_cell_size(line, max(limit - 1, 0)) + "…"


def _time(created: str, otherwise: float) -> float:
    """What a notebook says of its beginning, where that is a time."""
    try:
        moment = datetime.fromisoformat(created)
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return otherwise


def list_document(runs: Iterable[Listed], foreign: int) -> dict[str, Json]:
    """What `codeact list --json` prints. `foreign`: how many notebooks no run has saved."""
    return {
        "schema_version": SCHEMA_VERSION,
        "runs": [_document(each) for each in runs],
        "foreign": foreign,
    }


def _document(each: Listed) -> dict[str, Json]:
    found: dict[str, Json] = {"trajectory": str(each.path), "state": each.state}
    return found if each.run is None else {**found, **dict(_run_facts(each.run))}


def _run_facts(run: Trajectory) -> Iterator[tuple[str, Json]]:
    verdict, parent = run.verdict, run.info.parent
    yield "run_id", run.info.run_id
    yield "created", run.info.created
    yield "model", run.info.model
    yield "tasks", [turn.task for turn in run.turns]
    yield "steps", len(run.steps)
    yield "cost_usd", run.cost_usd
    if verdict is not None:
        yield "verdict", {"status": verdict.status, "classes": verdict.classes, "reason": verdict.reason}
    if parent is not None:
        yield "parent", {"run_id": parent.run_id, "step": parent.step, "name": parent.name}
