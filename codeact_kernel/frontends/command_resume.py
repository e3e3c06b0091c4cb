"""Owns `codeact resume`: a saved run goes on."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from traitlets import Enum

from ..notebook.load import load
from ..wire.messages import ToolCall
from ..wire.tape import show_call
from .assembly import Agent
from .command_run import RunApp
from .doors import notebook_path, saved_run, text_argument
from .origin import model_of
from .terminal import clean


class ResumeApp(RunApp):
    """The traits of `codeact resume`."""

    name = "codeact-resume"
    command = "resume"
    in_doubt = Enum(
        ("ask", "skip", "retry"), "ask", help="What becomes of calls that may have been done."
    ).tag(config=True)

    def task(self) -> str | None:
        return text_argument("TASK", self.arguments[1]) if len(self.arguments) > 1 else None

    def notebook(self) -> Path | None:
        return notebook_path(self.out) if self.out else None

    def model_spec(self) -> str | None:
        return self.model or model_of(load(self._saved()))

    def prepare(self, agent: Agent) -> None:
        path = self._saved()
        if self.in_doubt != "ask" or self.task() is not None or not sys.stdin.isatty():
            agent.resume(path, in_doubt=self.in_doubt)
            return
        again = _asked(agent.doubts(path))

        async def repeat(call: ToolCall) -> bool:
            return (call.step, call.index) in again

        agent.resume(path, in_doubt=repeat)

    def _saved(self) -> Path:
        return saved_run(self.argument)


def _asked(calls: Iterable[ToolCall]) -> set[tuple[int, int]]:
    """Which of the calls a person at the terminal wants to be made again."""
    again = set()
    for call in calls:
        print(f"In doubt, may have been done: {clean(show_call(call))}", file=sys.stderr)
        print("Call it again? [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() in ("y", "yes"):
            again.add((call.step, call.index))
    return again
