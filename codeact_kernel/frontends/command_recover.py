"""Owns `codeact recover`: runs that were cut off become notebooks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ..exceptions import CodeActError, UsageError
from ..notebook.cells import setup_spec
from ..notebook.recover import Recovered, goes_on, journals, notebook_of, recover
from ..resuming import cut_off_step, doubtful
from ..wire.messages import Json
from ..wire.tape import show_call
from . import brief
from .app import CodeactApp
from .cli import ENDED
from .documents import call_document, dumps
from .doors import outlets
from .page import Page
from .person import PROMPTS
from .terminal import clean


class RecoverApp(CodeactApp):
    """The traits of `codeact recover`."""

    name = "codeact-recover"
    command = "recover"

    def start(self) -> int:
        with outlets(self.json) as (console, document):
            page, found, problems = Page(console), list[Recovered](), list[str]()
            for path in _asked(page, self.arguments or (".",)):
                try:
                    if (one := recover(path)) is None:
                        page.line(f"{clean(str(path))}: nothing to recover, its run was not cut off", "dim")
                        continue
                    found.append(one)
                    show_recovered(page, one)
                except CodeActError as problem:
                    problems.append(str(problem))
                    page.line(clean(str(problem)), "bold red")
            if not found and not problems:
                page.line("No run was cut off here.", "dim")
            if document is not None:
                print(dumps(_document(found, problems)), file=document)
            return ENDED if problems else 0


def _asked(page: Page, names: Sequence[str]) -> list[Path]:
    paths: list[Path] = []
    for name in names:
        path = Path(name).expanduser()
        if not path.is_dir():
            if not path.exists() and not notebook_of(path).with_suffix(".codeact.jsonl").exists():
                raise UsageError(f"{name!r} does not exist; give a RUN.ipynb, its journal, or a folder")
            paths.append(path)
            continue
        for journal in journals(path):
            if goes_on(journal):
                page.line(f"{clean(str(journal))}: still goes on, left alone", "dim")
            else:
                paths.append(journal)
    return paths


def show_recovered(page: Page, found: Recovered) -> None:
    """What was saved, and what is in doubt."""
    trajectory = found.trajectory
    calls = [call for step in trajectory.steps for call in step.observation.tool_calls]
    done = brief.counted(call for call in calls if call.outcome is not None)
    steps = brief.count(len(trajectory.steps), "step")
    page.line(f"Recovered {clean(str(found.path))}: {steps}, {brief.count(done, 'tool call')} done", "bold")
    for call in found.in_doubt[:20]:
        page.line(f"  in doubt, may have been done: step {call.step}, {clean(show_call(call))}", "yellow")
    if len(found.in_doubt) > 20:
        page.line(f"  … and {len(found.in_doubt) - 20} more in doubt", "yellow")
    if found.kept is not None:
        page.line(f"  what was changed in it by hand is in {clean(str(found.kept))}", "yellow")
    if trajectory.stop is None:
        page.line(f"  To go on: codeact resume {clean(str(found.path))}{''.join(_options(found))}", "dim")
        if _undecided(found):
            page.line("  (or --in-doubt retry, which makes the calls in doubt again)", "dim")


def _options(found: Recovered) -> Iterator[str]:
    """What resuming it takes: the tools that it had, and what becomes of calls in doubt."""
    spec = setup_spec(found.trajectory.info.setup)
    tools = () if spec is None else spec.tools
    servers = (
        {one.name for one in spec.modules if one.package == "mcp_servers"} if spec is not None else set()
    )
    if any(tool.module not in servers and tool.name not in PROMPTS for tool in tools):
        yield " --tools FILE.py"
    if servers:
        yield " --mcp FILE"
    if _undecided(found):
        yield " --in-doubt skip"


def _undecided(found: Recovered) -> bool:
    """Whether resuming it asks what becomes of a call; a reading one is just made again."""
    spec, cut = setup_spec(found.trajectory.info.setup), cut_off_step(found.trajectory)
    if spec is None or cut is None or cut.action is None:
        return False
    return any(True for _ in doubtful(cut, {tool.name: tool.effect for tool in spec.tools}))


def _document(found: Sequence[Recovered], problems: Sequence[str]) -> dict[str, Json]:
    return {
        "schema_version": 1,
        "recovered": [
            {
                "trajectory": str(one.path),
                "steps": len(one.trajectory.steps),
                "in_doubt": [{"step": call.step, **call_document(call)} for call in one.in_doubt],
            }
            for one in found
        ],
        "problems": list(problems),
    }
