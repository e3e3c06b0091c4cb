"""Owns `codeact replay`: saved runs again, and where they differ."""

from __future__ import annotations

from typing import Any

from traitlets import Bool, Int, List, Unicode

from ..config import Settings
from ..events import SandboxReady
from ..exceptions import UsageError
from ..notebook.edits import load_edited
from ..replay import ReplayReport, counted
from ..sandbox.launching import Launcher
from ..tools.mcp.server import ServerConfig
from ..tools.registry import Tool
from ..wire.messages import Json
from .app import CodeactApp
from .approval_modes import ASK_WRITES
from .approving_terminal import TerminalAsker
from .cli import USAGE
from .cli_values import DRIFT_KINDS
from .documents import SCHEMA_VERSION, dumps, replay_document
from .doors import outlets, saved_run, tools_of
from .live_tools import LiveTools
from .page import Page
from .recorded_data import data_notes, import_note
from .replay_view import show_report, show_step
from .replaying import launcher_for, replay_notebook
from .server_configs import configs_of
from .terminal import clean


class ReplayApp(CodeactApp):
    """The traits of `codeact replay`."""

    name = "codeact-replay"
    command = "replay"
    strict = Bool(False, help="Versions, allow-list and cage that differ count too.").tag(config=True)
    excepted = List(Unicode(), help="Kinds of drift that do not count.").tag(config=True)
    to = Int(None, allow_none=True, help="The last step that is run; none: all.").tag(config=True)
    live = Bool(False, help="Call the real tools again.").tag(config=True)
    yes = Bool(False, help="With live: do not ask before a call.").tag(config=True)

    _launcher: Launcher | None = None

    def start(self) -> int:
        self._check()
        with outlets(self.json) as (console, document):
            page, settings, live = Page(console), self.settings(), None
            if self.live:
                live = _live(page, tools_of(self.tools), configs_of(self.mcp), yes=self.yes)
            with launcher_for(len(self.arguments)) as self._launcher:
                runs = [self._run(page, given, settings, live) for given in self.arguments]
            if document is not None:
                print(dumps(_document([made for _, made in runs])), file=document)
            codes = {code for code, _ in runs} - {0}
            return USAGE if USAGE in codes else min(codes, default=0)

    def _check(self) -> None:
        """Raises UsageError."""
        if unknown := [kind for kind in self.excepted if kind not in DRIFT_KINDS]:
            raise UsageError(f"--except {unknown[0]!r} is unknown; give one of {', '.join(DRIFT_KINDS)}")
        if self.live and not self.tools and not self.mcp:
            raise UsageError("--live calls the real tools; say where they are: --tools FILE.py, --mcp FILE")
        for option in ("tools", "mcp", "yes"):  # Of a config file, they may be meant for other commands.
            if not self.live and option in self.cli_config[type(self).__name__]:
                raise UsageError(f"--{option} is for --live; a replay without it calls no tool")

    def _run(
        self, page: Page, given: str, settings: Settings, live: LiveTools | None
    ) -> tuple[int, dict[str, Json]]:
        """One notebook: its exit code, and its document. Of several, one that cannot be read is told."""
        if len(self.arguments) == 1:
            return self._replay(page, given, settings, live)
        page.title(clean(given))
        try:
            return self._replay(page, given, settings, live)
        except UsageError as problem:
            page.line(f"error: {clean(str(problem))}", "bold red")
            return USAGE, {"trajectory": given, "error": str(problem), "exit_code": USAGE}

    def _replay(
        self, page: Page, given: str, settings: Settings, live: LiveTools | None
    ) -> tuple[int, dict[str, Json]]:
        path = saved_run(given)
        edited = load_edited(path)
        trajectory = edited.trajectory
        notes = [*data_notes(trajectory, settings.profile.data), import_note(trajectory, settings.profile)]
        for note in filter(None, notes):
            page.line(f"note: {note}", "yellow")
        ready: list[SandboxReady] = []
        counts: dict[str, Any] = {"strict": self.strict, "excepted": self.excepted}
        report: ReplayReport = replay_notebook(
            edited,
            settings=settings,
            on_event=lambda verdict: show_step(page, verdict, counted(**counts)),
            on_ready=ready.append,
            to=self.to,
            live=live,
            launcher=self._launcher,
            **counts,
        )
        show_report(page, report)
        return report.exit_code, replay_document(report, path, ready[0].sandbox)


def _live(page: Page, tools: tuple[Tool, ...], servers: tuple[ServerConfig, ...], *, yes: bool) -> LiveTools:
    """Calls that only read are made; a person is asked for the others, unless `yes`. Without a terminal those
    are denied."""

    def tell(text: str) -> None:
        page.line(f"note: {clean(text)}", "yellow")

    if yes:
        return LiveTools(tools, yes=True, mcp=servers, tell=tell)
    asker = TerminalAsker(page.console)
    if not asker.ready():
        page.line(
            "note: there is no terminal to ask at: calls that are not declared as reading are refused; "
            "--yes allows them",
            "yellow",
        )
    return LiveTools(tools, ASK_WRITES, asker, mcp=servers, tell=tell)


def _document(runs: list[dict[str, Json]]) -> dict[str, Json]:
    return runs[0] if len(runs) == 1 else {"schema_version": SCHEMA_VERSION, "runs": runs}
