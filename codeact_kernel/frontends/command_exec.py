"""Owns `codeact exec`: the cells of a file in one isolated kernel, without a model."""

from __future__ import annotations

from pathlib import Path

from ..events import Event, SandboxReady, TurnFinished, TurnStarted
from ..exceptions import UsageError
from ..sandbox.versions import versions
from .app import CodeactApp
from .approving_terminal import TerminalAsker
from .cellrun import exec_cells
from .cells import split_cells
from .cli import ENDED
from .documents import dumps, exec_document, sandbox_document
from .doors import outlets, source_argument, tools_of
from .keeping import Keeper
from .page import Page
from .render import Renderer


class ExecApp(CodeactApp):
    """The traits of `codeact exec`."""

    name = "codeact-exec"
    command = "exec"

    def start(self) -> int:
        given = self.argument
        with outlets(self.json) as (console, document):
            settings, tools = self.settings(), tools_of(self.tools)
            cells = split_cells(source_argument(given))
            if not cells:
                raise UsageError(f"there is no code in {'standard input' if given == '-' else repr(given)}")
            keeper, page = Keeper(self.keep_files, settings.profile), Page(console)
            ready: list[SandboxReady] = []
            asker = TerminalAsker(console)
            with Renderer(console, noun="Cell", show_code=False, head=None) as show:
                asker.paused = show.paused
                observations = exec_cells(
                    cells,
                    tools=tools,
                    settings=settings,
                    approve=self.approve,
                    asker=asker,
                    mcp=self.mcp,
                    skills=self.skills,
                    on_event=lambda event: _show(show, event, ready),
                    at_end=lambda workspace: keeper.take(page, Path(workspace.path), workspace.left()),
                )
            if document is not None:
                sandbox = sandbox_document(ready[0].sandbox, versions())
                print(dumps(exec_document(observations, sandbox, keeper.document())), file=document)
            return 0 if all(observation.status == "ok" for observation in observations) else ENDED


def _show(show: Renderer, event: Event, ready: list[SandboxReady]) -> None:
    if isinstance(event, SandboxReady):
        ready.append(event)
    if not isinstance(event, TurnStarted | TurnFinished):  # there is no task and no answer
        show(event)
