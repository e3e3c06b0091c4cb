"""Owns `codeact show`: a saved run, printed or as a page."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from traitlets import Unicode

from ..exceptions import UsageError
from ..notebook.load import Saved, load_saved
from . import brief
from .app import CodeactApp
from .doors import outlets, saved_run
from .facts import Tone, facts_of, totals
from .html_page import page
from .render import Renderer
from .show import events_of

OUTPUT_LINES = 200
TONES: dict[Tone, str] = {"": "dim", "good": "green", "bad": "bold red", "wary": "yellow"}


class ShowApp(CodeactApp):
    """The traits of `codeact show`."""

    name = "codeact-show"
    command = "show"

    html = Unicode("", help="Write one self-contained page to this file instead; - is stdout.").tag(
        config=True
    )

    def start(self) -> int:
        path = saved_run(self.argument)
        target = page_path(self.html) if self.html not in ("", "-") else None
        saved = load_saved(path)
        parts = page(saved.trajectory, path.name, saved.redacted)
        if target is not None:
            write_page(parts, target)
            with outlets(False) as (console, _):
                console.print(f"Wrote {self.html} ({brief.size(target.stat().st_size)})", soft_wrap=True)
        elif self.html:
            sys.stdout.writelines(parts)
        else:
            show_run(saved)
        return 0


def show_run(saved: Saved) -> None:
    """Prints a run."""
    run = saved.trajectory
    with outlets(False) as (console, _), Renderer(console, head=OUTPUT_LINES, live=False) as show:
        for fact in facts_of(run, saved.redacted):
            show.page.line(f"{fact.label}: {fact.text}", TONES[fact.tone])
        for event in events_of(run):
            show(event)
        show.page.line(f"\n{totals(run)}", "dim")


def page_path(given: str) -> Path:
    """Where a page is written: never over something that is there. Raises UsageError."""
    path = Path(given).expanduser()
    if os.path.lexists(path):
        raise UsageError(
            f"--html {given!r} exists and is not overwritten; choose another name or move it away"
        )
    if not path.parent.is_dir():
        raise UsageError(f"--html {given!r}: the folder {str(path.parent)!r} does not exist; make it first")
    return path


def write_page(parts: Iterable[str], path: Path) -> None:
    """Writes the page, whole or not at all. Raises UsageError."""
    try:
        with open(path, "x", encoding="utf-8") as file:
            try:
                file.writelines(parts)
            except BaseException:
                path.unlink()
                raise
    except OSError as problem:
        raise UsageError(f"cannot write {str(path)!r}: {problem.strerror}; choose another name") from None
