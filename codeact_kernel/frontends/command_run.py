"""Owns `codeact run`: one task, shown live, saved as a notebook."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from time import monotonic

from rich.console import Console
from traitlets import Unicode

from ..config import Settings
from ..exceptions import UsageError
from ..tools.registry import Tool
from ..trajectory import StopReason
from . import brief
from .app import CodeactApp
from .assembly import Agent, Run
from .cli import ENDED, INTERRUPTED, MODEL, SANDBOX
from .documents import dumps, run_document
from .doors import notebook_path, outlets, text_argument, tools_of
from .keeping import Keeper
from .page import Page
from .render import Renderer
from .terminal import clean
from .traits import readable_file

EXIT: dict[StopReason, int] = {
    "answer": 0,
    "refusal": MODEL,
    "model_error": MODEL,
    "sandbox_error": SANDBOX,
    "interrupted": INTERRUPTED,
}
"""A budget that ran out is any other reason: ENDED."""


class RunApp(CodeactApp):
    """The traits of `codeact run`."""

    name = "codeact-run"
    command = "run"
    out = Unicode("", help="Where the run is saved; empty: a new file in this folder.").tag(config=True)
    schema = Unicode("", help="A file with the JSON Schema of the answer.").tag(config=True)

    def start(self) -> int:
        with outlets(self.json) as (console, document):
            settings, out = self.settings(), notebook_path(self.out)
            schema, tools = _schema(self.schema), tools_of(self.tools)
            task = text_argument("TASK", self.argument)
            keeper = Keeper(self.keep_files, settings.profile)
            run = self._run(console, task, tools, settings, out, schema, keeper)
            if document is not None:
                print(dumps(run_document(run, keeper.document())), file=document)
            return EXIT.get(run.stop.reason, ENDED)

    def _run(
        self,
        console: Console,
        task: str,
        tools: tuple[Tool, ...],
        settings: Settings,
        out: Path,
        schema: object,
        keeper: Keeper,
    ) -> Run:
        started, page = monotonic(), Page(console)
        try:
            with Agent(tools, model=self.model or None, settings=settings, out=out) as agent:
                try:
                    with Renderer(console) as show:
                        run = agent.run_sync(task, output_type=schema, on_event=show)
                finally:  # However it ended: a temporary workspace goes with the agent.
                    if agent.workspace is not None:
                        keeper.take(page, agent.workspace, agent.files)
        except KeyboardInterrupt:
            saved = f"the run up to here is in {out}" if out.exists() else "nothing had run yet"
            raise KeyboardInterrupt(saved) from None
        summary(page, run, monotonic() - started, settings.profile.data)
        return run


def summary(page: Page, run: Run, duration_s: float, data: Sequence[Path] = ()) -> None:
    """What it took, and where it is. `data`: the files it was given."""
    took = f"{brief.count(run.steps, 'step')} in {brief.seconds(duration_s)}"
    page.line(f"\n{took} · {brief.usage(run.usage, run.cost_usd)}", "dim")
    path = clean(str(_near(run.path)))
    again = " ".join(["codeact replay", path, *(f"--data {clean(str(_near(given)))}" for given in data)])
    page.line(f"Saved in {path}   run it again: {again}", "dim")


def _near(path: Path) -> Path:
    """As the user would type it here."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _schema(name: str) -> object:
    """The JSON Schema in a file; None when none is asked for. Raises UsageError."""
    if not name:
        return None
    path = readable_file("--schema", name)
    try:
        schema: object = json.loads(path.read_bytes())
    except ValueError as problem:
        raise UsageError(f"--schema {name!r} is not JSON: {problem}") from None
    if not isinstance(schema, dict):
        raise UsageError(
            f"--schema {name!r} holds no JSON Schema: an object is needed, as in {{'type': 'object'}}"
        )
    return schema
