"""Owns the line magics of the front-end kernel."""

from __future__ import annotations

import asyncio
import shlex
import shutil
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from ..config import Limits
from ..exceptions import UsageError
from ..models.spec import FORMS
from ..prompt import tool_stub
from ..trajectory import OWN_CELL, Turn
from . import brief, notebook_view, render
from .cli_values import amount, whole
from .kernel_agent import AgentDesk, saved_link
from .publishing import Publish
from .server_configs import listed
from .terminal import clean, clip
from .trusting import load_trusted_servers, load_trusted_tools

WHOLE = ("max_steps", "max_tokens", "repeated_failures")


@dataclass
class Place:
    """Where a magic runs. `payload`: what the front end is asked to do with the reply."""

    desk: AgentDesk
    publish: Publish
    payload: list[dict[str, Any]] = field(default_factory=list)  # as the protocol has it

    def say(self, text: str) -> None:
        self.publish.stream("stdout", clean(text) + "\n")


@dataclass(frozen=True)
class Magic:
    run: Callable[[str, Place], Awaitable[None]]
    usage: str
    says: str
    """What it does, in a line."""


async def run_magic(name: str, argument: str, place: Place) -> None:
    """Raises: UsageError for one that is not known, and what that magic raises."""
    magic = MAGICS.get(name)
    if magic is None:
        known = ", ".join(f"%{known}" for known in MAGICS)
        raise UsageError(f"there is no magic %{clip(name, 40)}; there are {known}, and %%python")
    if argument and magic.usage == f"%{name}":
        raise UsageError(f"%{name} takes no arguments, and was given {argument!r:.80}")
    await magic.run(argument, place)


def help_text() -> str:
    """What can be written into a cell."""
    width = max(len(magic.usage) for magic in MAGICS.values())
    lines = [f"  {magic.usage:<{width}}  {magic.says}" for magic in MAGICS.values()]
    return "\n".join(
        [
            "A cell in plain words is a task: the agent writes Python, a sandbox runs it, you see each step.",
            "The next cell goes on with the same variables.",
            "",
            "  %%python".ljust(width + 4) + "the rest of the cell is your own Python, in the same sandbox",
            "  ?name".ljust(width + 4) + "explains a variable of the sandbox, or a magic",
            *lines,
        ]
    )


async def _help(argument: str, place: Place) -> None:
    place.say(help_text())


async def _tools(argument: str, place: Place) -> None:
    if argument:
        for name in _words(argument):
            await place.desk.add_tools(await asyncio.to_thread(load_trusted_tools, name))
    tools = await place.desk.tools()
    said = [tool_stub(tool.spec) for tool in tools]
    if servers := ", ".join(config.module for config in place.desk.servers.configs):
        said.append(f"modules of MCP servers: {servers}; %mcp says how they are")
    place.say(
        "\n\n".join(said)
        or "no tools; name tools files in codeact_config.py: c.CodeActKernel.tools = ['shop.py']"
    )


async def _mcp(argument: str, place: Place) -> None:
    agent, named = place.desk.current, place.desk.servers
    for name in _words(argument):
        servers = await asyncio.to_thread(load_trusted_servers, name)
        if agent is not None:
            raise UsageError("the sandbox runs with the servers it has; %reset first, and name the file then")
        named.add(servers)
    said = listed(named.states(agent.servers() if agent is not None else ()))
    place.say(said or "no MCP servers; name files in codeact_config.py: c.CodeActKernel.mcp = ['mcp.json']")


async def _model(argument: str, place: Place) -> None:
    if argument:
        await place.desk.change_model(argument)
    place.say(f"model: {place.desk.model_spec}")
    if not argument:
        place.say("another one: %model " + "\n             %model ".join(FORMS.values()))


async def _limits(argument: str, place: Place) -> None:
    limits = place.desk.choice.settings.limits
    if argument:
        limits = changed_limits(limits, _words(argument))
        place.desk.change_limits(limits)
    values = ((item.name, getattr(limits, item.name)) for item in fields(limits))
    place.say("\n".join(f"{name} = {'none' if value is None else value}" for name, value in values))


def changed_limits(limits: Limits, words: list[str]) -> Limits:
    """With what `max_steps=5 max_cost_usd=none` says. Raises: UsageError."""
    names = [item.name for item in fields(limits)]
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or name not in names:
            raise UsageError(f"{word!r} is no limit; write NAME=VALUE with one of {', '.join(names)}")
        try:
            value = (whole if name in WHOLE else amount)(text)
        except ValueError as problem:
            raise UsageError(f"%limits {word}: {problem}") from None
        if value is None and name in ("interrupt_grace_s", "repeated_failures"):
            raise UsageError(f"%limits {word}: it has to have a value")
        changed: Any = {name: value}  # of the right type: `whole` and `amount` see to it
        limits = replace(limits, **changed)
    return limits


async def _trajectory(argument: str, place: Place) -> None:
    agent = place.desk.current
    trajectory = agent.trajectory if agent is not None else None
    if agent is None or trajectory is None:
        place.say(_nothing(place.desk))
        return
    place.say("\n".join(line for turn in trajectory.turns for line in _turn(turn)))
    place.publish.display(saved_link(agent.path, brief.count(len(trajectory.steps), "step")))


def _turn(turn: Turn) -> Iterator[str]:
    yield "Your own cell" if turn.task == OWN_CELL else f"Task: {_line(turn.task)}"
    for step in turn.steps:
        code = step.action.code if step.action is not None else step.reply.problem or ""
        yield f"  {step.index:>3}  {render.ended(step)}  {_line(step.reply.thought or code)}"
    if turn.stop is not None and turn.stop.reason not in ("answer", "own_cell"):
        yield f"  {notebook_view.stopped(turn.stop)}"


async def _undo(argument: str, place: Place) -> None:
    step = await place.desk.undo()
    code = step.action.code if step.action is not None else step.reply.thought
    place.say(f"step {step.index} is undone: {_line(code)}")
    calls = brief.counted(step.observation.tool_calls)
    if calls:
        place.say(f"it made {brief.count(calls, 'tool call')}; what that did outside stays done")
    left = brief.count(len(place.desk.steps), "step")
    place.say(f"the next cell goes on after {left}, run again from the record, tools answered from it")


async def _save(argument: str, place: Place) -> None:
    if argument and not argument.endswith(".ipynb"):
        raise UsageError(f"%save {argument!r}: a run is a notebook; give a name that ends in .ipynb")
    agent = place.desk.current
    if agent is None or not agent.path.exists():
        raise UsageError(_nothing(place.desk))
    if not argument:
        place.publish.display(saved_link(agent.path, "saved"))
        return
    copy = await asyncio.to_thread(_copied, agent.path, argument)
    place.publish.display(saved_link(copy, "a copy is saved"))


def _copied(path: Path, argument: str) -> Path:
    """Raises: UsageError."""
    target = Path(argument).expanduser()
    try:
        with path.open("rb") as source, target.open("xb") as copy:
            shutil.copyfileobj(source, copy)
    except FileExistsError:
        raise UsageError(f"%save {argument!r}: that exists and is not overwritten; choose another") from None
    except OSError as problem:
        raise UsageError(f"%save {argument!r} cannot be written: {problem.strerror}") from None
    return target.absolute()


async def _reset(argument: str, place: Place) -> None:
    agent = place.desk.current
    await place.desk.reset()
    if agent is not None and agent.path.exists():
        place.publish.display(saved_link(agent.path, "the run so far"))
    place.say("the next cell starts anew: no variables, no conversation")


async def _code(argument: str, place: Place) -> None:
    agent = place.desk.current
    trajectory = agent.trajectory if agent is not None else None
    turns = [turn for turn in trajectory.turns if turn.task != OWN_CELL] if trajectory is not None else []
    codes = [step.action.code.strip("\n") for step in turns[-1].steps if step.action] if turns else []
    if not codes:
        raise UsageError("no task has run any code yet, so there is none to put into the next cell")
    text = "%%python\n" + "\n\n".join(codes)
    place.payload.append({"source": "set_next_input", "text": text, "replace": False})


async def _exit(argument: str, place: Place) -> None:
    place.payload.append({"source": "ask_exit", "keepkernel": False})


def _nothing(desk: AgentDesk) -> str:
    if desk.steps:
        return f"{brief.count(len(desk.steps), 'step')} wait to be run again with the next cell"
    return "nothing has been run yet"


def _words(argument: str) -> list[str]:
    try:
        return shlex.split(argument)
    except ValueError as problem:
        raise UsageError(f"{argument!r:.80} cannot be read: {problem}") from None


def _line(text: str) -> str:
    return clip(" ".join(clean(text[:1000]).split()), 100)


MAGICS = {
    "tools": Magic(_tools, "%tools [FILE.py …]", "the agent's tools; adds those of files that you trust"),
    "mcp": Magic(_mcp, "%mcp [FILE …]", "the MCP servers; adds those of files that you trust"),
    "model": Magic(_model, "%model [SPEC]", "which model answers; another one from the next task on"),
    "limits": Magic(_limits, "%limits [NAME=VALUE …]", "budgets of a task; others from the next task on"),
    "trajectory": Magic(_trajectory, "%trajectory", "the steps so far, and where they are saved"),
    "undo": Magic(_undo, "%undo", "goes back before the last step; the state is restored from the record"),
    "save": Magic(_save, "%save [NAME.ipynb]", "where the run is saved; a copy of it"),
    "reset": Magic(_reset, "%reset", "a new sandbox and a new conversation"),
    "code": Magic(_code, "%code", "the code of the last task, in the next cell, for you to edit and run"),
    "exit": Magic(_exit, "%exit", "leaves a console and ends the sandbox; exit and quit do too"),
    "lsmagic": Magic(_help, "%lsmagic", "this list"),
    "help": Magic(_help, "%help", "this list"),
}
