"""Owns how a task of the magic is shown: in a notebook as outputs of its cell, in a terminal as lines."""

from __future__ import annotations

import html
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Literal
from urllib.parse import quote

from ..events import Event, TurnFinished
from ..outputs import Error, MimeBundle
from ..wire.messages import Json
from . import notebook_view
from .page import stdout_console
from .publishing import CONSOLE, NO_METADATA, Style, style_for
from .render import Renderer
from .run_view import RunView
from .safe_outputs import safe_output
from .terminal import clean


class ShellPublish:
    """Publishes what belongs to the cell that the shell runs."""

    def __init__(self, shell: Any) -> None:  # an IPython InteractiveShell
        self._publisher = shell.display_pub

    def stream(self, name: Literal["stdout", "stderr"], text: str) -> None:
        out = sys.stdout if name == "stdout" else sys.stderr
        out.write(text)
        out.flush()

    def display(
        self, data: MimeBundle, metadata: Mapping[str, Json] = NO_METADATA, display_id: str | None = None
    ) -> None:
        transient = {} if display_id is None else {"display_id": display_id}
        self._publisher.publish(dict(data), dict(metadata), transient=transient)

    def update(self, display_id: str, data: MimeBundle, metadata: Mapping[str, Json] = NO_METADATA) -> None:
        transient = {"display_id": display_id}
        self._publisher.publish(dict(data), dict(metadata), transient=transient, update=True)

    def clear(self, wait: bool) -> None:
        self._publisher.clear_output(wait=wait)

    def result(self, data: MimeBundle, metadata: Mapping[str, Json] = NO_METADATA) -> None:
        """Nothing: the magic returns the answer, and the shell shows what a cell returns."""

    def error(self, error: Error) -> None:
        self.stream("stderr", "\n".join(error.traceback) + "\n")


class NotebookView:
    """Outputs of the cell. `home`: the folder of the user's notebook, for the link to the run."""

    def __init__(self, shell: Any, home: Path) -> None:
        self._publish = ShellPublish(shell)
        self._home = home
        self.path: Path | None = None
        self._run = RunView(self._publish, safe_output, style=style_of(shell), saved=self._saved)

    def __enter__(self) -> NotebookView:
        self._run.begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run.close()

    def __call__(self, event: Event) -> None:
        self._run(event)

    def tick(self) -> None:
        self._run.tick()

    def note(self, text: str) -> None:
        markup = f"<div style='opacity:.7;white-space:pre-wrap'>{html.escape(clean(text))}</div>"
        self._publish.display(notebook_view.bundle(text, markup))

    def _saved(self, said: str) -> MimeBundle:
        if self.path is None:
            return notebook_view.bundle(said, "")
        return notebook_view.link(self.path.name, href(self.path, self._home), near(self.path), said)


class TerminalView:
    """Lines, as the command line prints them."""

    def __init__(self) -> None:
        self._show = Renderer(stdout_console())
        self.path: Path | None = None

    @property
    def paused(self) -> Callable[[], AbstractContextManager[object]]:
        """What stops the live region while somebody is asked."""
        return self._show.paused

    def __enter__(self) -> TerminalView:
        self._show.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._show.__exit__(kind, problem, trace)
        if problem is None and self.path is not None:
            self._show.page.line(f"saved in {near(self.path)}", "dim")

    def __call__(self, event: Event) -> None:
        # The answer is what the magic returns, so the shell shows it.
        if not (isinstance(event, TurnFinished) and event.stop.reason == "answer"):
            self._show(event)

    def tick(self) -> None:
        """Its live region has a clock of its own."""

    def note(self, text: str) -> None:
        self._show.page.line(clean(text), "dim")


class Answer(str):
    """An answer in words. A string; shown as text, not as Python writes a string."""

    def _repr_mimebundle_(self, **_: Any) -> MimeBundle:
        return notebook_view.answer(str(self))

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(clean(str(self)))


def view_of(shell: Any, home: Path) -> NotebookView | TerminalView:
    """How a task is shown in `shell`."""
    return TerminalView() if in_terminal(shell) else NotebookView(shell, home)


def in_terminal(shell: Any) -> bool:
    """Whether people read what is printed; else what is displayed."""
    return any(kind.__name__ == "TerminalInteractiveShell" for kind in type(shell).__mro__)


def style_of(shell: Any) -> Style:
    """As the front end of the cell that runs shows outputs."""
    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        return CONSOLE
    request = kernel.get_parent("shell") or {}
    return style_for(request.get("metadata", {}).get("cellId"), bool(getattr(kernel, "_allow_stdin", False)))


def near(path: Path) -> str:
    """As the user would type it here, clean."""
    return clean(str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path))


def href(path: Path, home: Path) -> str:
    """A link from a notebook in `home`."""
    return quote(Path(os.path.relpath(path, home)).as_posix())
