"""Owns how a run looks in a terminal: live events in, lines out.

One renderer for both kinds of stream. On a terminal a region at the bottom shows what is going on
(the thought and code as they stream in, a spinner, the time); everything that is finished is printed
above it and stays. On anything else only the finished lines are printed, without control codes.
Text from the model and the sandbox goes through `terminal.clean` and is never read as rich markup.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import assert_never

from rich.console import Console
from rich.live import Live

from ..events import (
    ActionReady,
    CodeDelta,
    Event,
    Notice,
    OutputShown,
    SandboxReady,
    StepFinished,
    StepStarted,
    ThoughtDelta,
    ToolFinished,
    ToolProgress,
    ToolStarted,
    TurnFinished,
    TurnStarted,
)
from ..notebook.cage import UNSANDBOXED, cage_line
from ..outputs import Status
from ..trajectory import Observation, Step, Stop
from ..wire.frames import is_ours
from . import brief
from .cellview import CellView
from .page import Page
from .progress import Progress
from .terminal import clean, clip

FILES_SHOWN = 6
STATUS: dict[Status, tuple[str, str]] = {
    "ok": ("✓", "green"),
    "error": ("✗ failed", "red"),
    "timeout": ("✗ stopped", "red"),
    "killed": ("✗ killed", "red"),
}


class Renderer:
    """Shows the events of a run. Use as a context manager: the live region ends with it.

    Args:
        console: where to; must not interpret markup.
        noun: what a step is called.
        show_code: whether the code that runs is printed.
        head: lines of output of one cell shown as they come; None: all.
        live: False for a saved run: nothing is going on.
    """

    def __init__(
        self,
        console: Console,
        *,
        noun: str = "Step",
        show_code: bool = True,
        head: int | None = 30,
        live: bool = True,
    ) -> None:
        self.page = Page(console)
        self._noun = noun
        self._show_code = show_code
        self._head = head
        self._progress = Progress(console)
        animated = live and console.is_terminal and not console.is_dumb_terminal
        self._live = (
            Live(self._progress, console=console, refresh_per_second=8, transient=True) if animated else None
        )
        self._cell = CellView(self.page, head)
        self._index = 0
        self._thought_shown = False

    def __enter__(self) -> Renderer:
        self._progress.phase("starting the kernel")
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cell.close()
        self._progress.idle()
        if self._live:
            self._live.stop()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Without the live region: somebody is asked something."""
        if self._live:
            self._live.stop()
        try:
            yield
        finally:
            if self._live:
                self._live.start()

    def __call__(self, event: Event) -> None:
        """Shows one event. Called on one thread."""
        match event:
            case SandboxReady(sandbox):
                said = clean(cage_line(sandbox))
                self.page.line(f"sandbox: {said}", "bold red" if said.startswith(UNSANDBOXED) else "dim")
            case TurnStarted(task):
                self.page.labelled("Task", task, "bold")
            case StepStarted(index):
                self._begin_step(index)
            case ThoughtDelta(text):
                self._progress.thought += text
            case CodeDelta(text):
                self._progress.code += text
            case ActionReady():
                self._ready(event)
            case OutputShown(output):
                self._cell.output(output)
                self._progress.partial = self._cell.partial
            case ToolStarted(tool):
                if not is_ours(tool):
                    self._progress.phase(f"in {brief.name(tool)}", keep_time=True)
            case ToolProgress():
                self._progress.phase(brief.under_way(event), keep_time=True)
            case ToolFinished(call):
                if brief.listed(call):
                    self._cell.tool(call)
                self._progress.called(brief.counted([call]))
            case StepFinished(step):
                self._finish_step(step)
            case Notice(text):
                self.page.line(f"note: {clean(text)}", "yellow")
            case TurnFinished(stop):
                self._finish_turn(stop)
            case _:
                assert_never(event)

    def _begin_step(self, index: int) -> None:
        self._index = index
        self._cell = CellView(self.page, self._head)
        self._thought_shown = False
        self.page.title(f"{self._noun} {index}")
        self._progress.begin(f"{self._noun.lower()} {index}")

    def _ready(self, event: ActionReady) -> None:
        thought = self._progress.thought
        self._progress.running()  # what streamed in leaves the region before it is printed to stay
        self._show_thought(thought)
        if self._show_code:
            self.page.code(event.action.code)

    def _show_thought(self, thought: str) -> None:
        if thought.strip() and not self._thought_shown:
            self.page.prose(thought, "italic")
            self._thought_shown = True

    def _finish_step(self, step: Step) -> None:
        self._cell.close()
        self._show_thought(step.reply.thought)
        for problem in remarks_of(step):
            self.page.line(f"  {problem}", "yellow")
        if step.observation.files:
            self.page.line(f"  wrote {files_of(step.observation)}", "cyan")
        self.page.line(f"  {ended(step)}", STATUS[step.observation.status][1])
        self._progress.idle()

    def _finish_turn(self, stop: Stop) -> None:
        self._progress.idle()
        if stop.reason == "own_cell":
            return
        self.page.title("")
        self.page.line("")
        if stop.reason == "answer":
            answer = stop.answer
            text = answer if isinstance(answer, str) else brief.value(answer, 4000)
            self.page.labelled("Answer", text, "bold green")
            return
        after = f"Stopped after {self._noun.lower()} {self._index}" if self._index else "Stopped"
        detail = f": {stop.detail}" if stop.detail else ""
        self.page.labelled(after, f"{stop.reason.replace('_', ' ')}{detail}", "bold red")


def ended(step: Step) -> str:
    """How a step ended, on one line: `✓ 0.2 s · 3 tool calls · model 2.1 s · 900 tokens in …`."""
    parts = [f"{STATUS[step.observation.status][0]} {brief.seconds(step.observation.duration_s)}"]
    if calls := brief.counted(step.observation.tool_calls):
        parts.append(brief.count(calls, "tool call"))
    if step.reply.duration_s:
        parts.append(f"model {brief.seconds(step.reply.duration_s)}")
    if step.reply.usage.total:
        parts.append(brief.usage(step.reply.usage, step.reply.cost_usd))
    return " · ".join(parts)


def files_of(observation: Observation) -> str:
    """The first few, and how many more."""
    shown = ", ".join(brief.file(file) for file in observation.files[:FILES_SHOWN])
    hidden = len(observation.files) - FILES_SHOWN
    more = " and more" if observation.more_files else f" and {hidden:,} more" if hidden > 0 else ""
    return shown + more


def remarks_of(step: Step) -> list[str]:
    """What a user should know of a step beside its outputs."""
    observation = step.observation
    found = []
    if step.reply.problem:
        found.append(f"the reply could not be used: {step.reply.problem}")
    caught = "" if observation.error else " (the code caught it)"
    found += [f"refused {refusal.kind}: {clip(refusal.name, 80)}{caught}" for refusal in observation.refusals]
    if observation.reason:
        found.append(observation.reason)
    found += [f"note: {note}" for note in step.notes]
    if observation.truncated:
        found.append("the output was cut; what is kept says where")
    return [clean(remark) for remark in found]
