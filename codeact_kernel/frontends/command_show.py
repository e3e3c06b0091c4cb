"""Owns `codeact show`: a saved run, printed."""

from __future__ import annotations

from ..notebook.cage import UNSANDBOXED, cage_line
from ..notebook.load import load
from . import brief
from .app import CodeactApp
from .doors import outlets
from .render import Renderer
from .show import events_of
from .terminal import clean
from .traits import readable_file

OUTPUT_LINES = 200


class ShowApp(CodeactApp):
    """The traits of `codeact show`."""

    name = "codeact-show"
    command = "show"

    def start(self) -> int:
        path = readable_file("RUN.ipynb", self.argument)
        trajectory = load(path)
        with outlets(False) as (console, _), Renderer(console, head=OUTPUT_LINES, live=False) as show:
            show.page.line(f"Run {clean(trajectory.info.run_id)} · {clean(trajectory.info.created)}", "dim")
            show.page.line(f"Model: {clean(trajectory.info.model)}", "dim")
            if said := cage_line(trajectory.info.sandbox):
                style = "bold red" if said.startswith(UNSANDBOXED) else "dim"
                show.page.line(f"Sandbox: {clean(said)}", style)
            for event in events_of(trajectory):
                show(event)
            took = brief.count(len(trajectory.steps), "step")
            show.page.line(f"\n{took} · {brief.usage(trajectory.usage, trajectory.cost_usd)}", "dim")
        return 0
