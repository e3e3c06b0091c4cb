"""Owns the pytest plugin: saved runs as regression tests, each replayed strictly.

It is loaded wherever it is installed, so it does nothing, and imports nothing of ours that costs anything,
unless it is asked for: `pytest --codeact`, or `codeact_replay = true` in the ini file.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from .cli_values import DRIFT_KINDS

LAUNCHER = pytest.StashKey[Any]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("codeact", "saved runs of codeact_kernel")
    group.addoption(
        "--codeact", action="store_true", help="replay each saved run (*.ipynb), strictly, as a test"
    )
    group.addoption(
        "--codeact-except",
        action="append",
        default=[],
        choices=DRIFT_KINDS,
        metavar="CLASS",
        help=f"do not count this class of drift: {', '.join(DRIFT_KINDS)}; may be repeated",
    )
    parser.addini("codeact_replay", "as --codeact, always", type="bool", default=False)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    config = parent.config
    if file_path.suffix != ".ipynb" or not (config.getoption("--codeact") or config.getini("codeact_replay")):
        return None
    return SavedRun.from_parent(parent, path=file_path)


class SavedRun(pytest.File):
    """One notebook; without a test when no run has saved it."""

    def collect(self) -> Iterator[pytest.Item]:
        from ..exceptions import ForeignNotebook, NotebookError
        from ..notebook.load import load

        try:
            load(self.path)
        except ForeignNotebook:
            return
        except NotebookError:
            pass  # The test says so.
        yield ReplayItem.from_parent(self, name="replay")


class ReplayDiffers(AssertionError):
    """The report is the message."""


class ReplayItem(pytest.Item):
    """Passes when the run replays as it was recorded."""

    def runtest(self) -> None:
        from .replaying import replay_notebook

        excepted = self.config.getoption("--codeact-except")
        launcher = _launcher(self.session)
        report = replay_notebook(self.path, strict=True, excepted=excepted, launcher=launcher)
        if not report.agrees:
            raise ReplayDiffers(_text(report))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *args: Any) -> Any:
        from ..exceptions import CodeActError
        from .terminal import clean

        if isinstance(excinfo.value, ReplayDiffers | CodeActError):
            return clean(str(excinfo.value))
        return super().repr_failure(excinfo, *args)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, None, f"replay of {self.path.name}"


def _launcher(session: pytest.Session) -> Any:
    """One for all saved runs, where there are several."""
    from .replaying import launcher_for

    if LAUNCHER not in session.stash:
        held = ExitStack()
        runs = sum(isinstance(item, ReplayItem) for item in session.items)
        session.stash[LAUNCHER] = held.enter_context(launcher_for(runs))
        session.config.add_cleanup(held.close)
    return session.stash[LAUNCHER]


def _text(report: Any) -> str:
    """What `codeact replay` prints of it."""
    from rich.console import Console

    from .page import Page
    from .replay_view import show_report, show_step

    written = io.StringIO()
    page = Page(Console(file=written, markup=False, emoji=False, highlight=False, force_terminal=False))
    for step in report.steps:
        show_step(page, step, report.counted)
    show_report(page, report)
    return written.getvalue().rstrip()
