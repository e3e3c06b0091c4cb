"""Owns `codeact run`: one task, shown live, saved as a notebook."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from time import monotonic

from rich.console import Console
from traitlets import Bool, Unicode

from ..config import Settings
from ..exceptions import UsageError
from ..notebook.signing import sign_notebook
from ..tools.registry import Tool
from ..trajectory import StopReason, Verdict
from . import brief
from .app import CodeactApp
from .approving_terminal import TerminalAsker
from .assembly import Agent
from .cli import ENDED, INTERRUPTED, MODEL, SANDBOX
from .documents import dumps, run_document
from .doors import notebook_path, outlets, text_argument, tools_of
from .finished import Run
from .keeping import Keeper
from .page import Page
from .portal import SyncDoor
from .render import Renderer
from .terminal import clean
from .timings_view import Watch, profiled, timings_document
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

    verify = Bool(True, help="Replay the finished run once, to see whether it re-runs.").tag(config=True)
    timings = Bool(False, help="Show where the time went.").tag(config=True)
    sign = Bool(False, help="Sign the saved run.").tag(config=True)

    def start(self) -> int:
        with outlets(self.json) as (console, document):
            settings, out = self.settings(), self.notebook()
            schema, tools, task = _schema(self.schema), tools_of(self.tools), self.task()
            keeper = Keeper(self.keep_files, settings.profile)
            with profiled(Page(console), asked=self.timings) as watch:
                run, verdict = self._run(console, task, tools, settings, out, schema, keeper, watch)
            if self.sign:
                Page(console).line(f"Signed by {sign_notebook(run.path, self.signing_key or None)}", "dim")
            if document is not None:
                took = watch.timings
                more = {} if took is None else {"timings": timings_document(took)}
                print(dumps(run_document(run, verdict, keeper.document()) | more), file=document)
            return EXIT.get(run.stop.reason, ENDED)

    def task(self) -> str | None:
        """What is to be done; None: what was begun."""
        return text_argument("TASK", self.argument)

    def notebook(self) -> Path | None:
        """Where the run is saved. None: where the run is that goes on."""
        return notebook_path(self.out)

    def prepare(self, agent: Agent) -> None:
        """Called before the task, with a new agent."""

    def model_spec(self) -> str | None:
        """Which model; None: the default one."""
        return self.model or None

    def _run(
        self,
        console: Console,
        task: str | None,
        tools: tuple[Tool, ...],
        settings: Settings,
        out: Path | None,
        schema: object,
        keeper: Keeper,
        watch: Watch,
    ) -> tuple[Run, Verdict]:
        started, page = monotonic(), Page(console)
        asker = TerminalAsker(console)
        try:
            with Agent(
                tools,
                model=self.model_spec(),
                settings=settings,
                out=out,
                verify=self.verify,
                approve=self.approve,
                asker=asker,
                mcp=self.mcp,
                skills=self.skills,
                timings=self.timings,
            ) as agent:
                self.prepare(agent)
                try:
                    with Renderer(console) as show:
                        asker.paused = show.paused
                        watch.task(lambda: agent.timings)
                        run = agent.run_sync(task, output_type=schema, on_event=show)
                finally:  # However it ended: a temporary workspace goes with the agent.
                    if agent.workspace is not None:
                        keeper.take(page, agent.workspace, agent.files)
                took = monotonic() - started
                with watch.verifying() if self.verify else nullcontext():
                    verdict = verified(console, run, lambda: summary(page, run, took, settings.profile.data))
        except KeyboardInterrupt:
            path = agent.path
            saved = f"the run up to here is in {path}" if path.exists() else "nothing had run yet"
            raise KeyboardInterrupt(saved) from None
        return run, verdict


def verified(console: Console, run: Run, first: Callable[[], object]) -> Verdict:
    """Waits for the replay of the saved run, shown as progress. Ctrl-C ends it, from the moment that `first`
    tells of the run: that is done."""
    waiting = console.status("Verifying: the notebook runs again in a fresh kernel …")
    try:
        first()
        with waiting as status:
            verdict = run.verified_sync(
                lambda done, total: status.update(f"Verifying: {done} of {total} steps have run again …")
            )
    except KeyboardInterrupt:
        verdict = SyncDoor().run(run.verification.end("you did not wait for the replay (Ctrl-C)"))
    _show_verdict(Page(console), verdict, run.path)
    return verdict


def _show_verdict(page: Page, verdict: Verdict, path: Path) -> None:
    match verdict.status:
        case "identical":
            page.line("Verified: the notebook was run again, and nothing differs.", "bold green")
        case "drift":
            kinds = ", ".join(verdict.classes)
            page.line(f"Not the same when it was run again: {kinds}", "bold red")
            page.line(f"  see where: codeact replay {clean(str(_near(path)))}", "dim")
        case "unverified":
            page.line(f"Not verified: {clean(verdict.reason)}", "yellow")
    for remark in verdict.remarks:
        page.line(f"  {clean(remark)}", "dim")


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
