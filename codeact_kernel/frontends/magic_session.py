"""Owns the agent behind a notebook's magics: one that lives from cell to cell, until it is reset."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from ..config import Limits, Settings
from ..events import Event, Notice, SandboxReady
from ..exceptions import UsageError
from ..tools.mcp.server import ServerConfig
from ..tools.tool import Tool
from ..trajectory import Observation, Turn
from . import brief
from .approving import Asker
from .assembly import Agent
from .doors import notebook_path
from .finished import Run
from .magic_flags import Request
from .magic_values import FROM, TO, Exchange, Parcel, check_name, functions
from .portal import SyncDoor
from .server_configs import Named, ServerState
from .terminal import clean, clip


class View(Protocol):
    """Where a task is shown. Called on the thread of the magic."""

    path: Path | None
    """Where the run is, once that is known."""

    def note(self, text: str) -> None: ...

    def tick(self) -> None:
        """Called some twenty times a second."""

    def __call__(self, event: Event) -> None: ...


@dataclass(frozen=True)
class Options:
    """What holds for all tasks. `model`: "" for the default one; `place`: where a new run is saved; `asker`:
    who is asked about calls, None for the notebook's front end."""

    settings: Settings
    model: str
    approve: str
    verify: bool
    place: Callable[[], Path]
    asker: Asker | None = None


@dataclass(frozen=True)
class Done:
    """A task that has ended. `values`: what was brought back; `problems`: what was not, and why."""

    run: Run
    turn: Turn
    values: Mapping[str, Any]
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """A request that was checked: nothing has begun. `parcels`: what is sent anew."""

    request: Request
    parcels: tuple[Parcel, ...]
    tools: tuple[Tool, ...]
    servers: tuple[ServerConfig, ...]
    skills: tuple[str, ...]
    limits: Limits
    model: str
    approve: str
    verify: bool

    @property
    def task(self) -> str:
        """As the model gets it."""
        if not (take := self.request.take):
            return self.request.task
        names = ", ".join(f"`{name}`" for name in take)
        what = "variable" if len(take) == 1 else "variables"
        return f"{self.request.task}\n\nLeave the {what} {names} in the kernel: my notebook takes a copy."


class Session:
    """The agent, its tools, and what it has of the user's variables."""

    def __init__(self) -> None:
        self._exchange = Exchange()
        self._tools: dict[str, Tool] = {}
        self.servers = Named()
        self._skills: tuple[str, ...] = ()
        self._others: object = None
        self._agent: Agent | None = None
        self._model = self._approve = ""
        self._limits = Limits()
        self._run: Run | None = None

    @property
    def path(self) -> Path | None:
        """The notebook of the run; None before the first task."""
        return self._agent.path if self._agent is not None and self._agent.trajectory is not None else None

    @property
    def steps(self) -> int:
        """How many there were so far."""
        seen = self._agent.trajectory if self._agent is not None else None
        return len(seen.steps) if seen is not None else 0

    @property
    def crossing(self) -> tuple[Tool, ...]:
        """The tools that bring values in and out."""
        return self._exchange.tools

    def server_states(self) -> tuple[ServerState, ...]:
        """Of all that were named."""
        return self.servers.states(self._agent.servers() if self._agent is not None else ())

    def tools_with(self, plan: Plan) -> tuple[Tool, ...]:
        """The user's functions that the agent has with this task."""
        return tuple((self._tools | {made.name: made for made in plan.tools}).values())

    def plan(self, request: Request, namespace: Mapping[str, object], options: Options) -> Plan:
        """What is to be done. Raises UsageError, naming what cannot be."""
        self._exchange.limits = options.settings.tools
        tools = functions(request.tools, namespace)
        for flag, names in (("--with", request.send), ("--out", request.take)):
            for name in names:
                check_name(flag, name, {*self._tools, *request.tools})
        parcels = self._exchange.parcels(request.send, namespace)
        if request.save is not None and self.path is not None and Path(request.save).absolute() != self.path:
            raise UsageError(
                f"--save {request.save}: this run is saved in {self.path.name} already; %codeact_reset, and "
                "the next task is a run of its own"
            )
        limits = options.settings.limits
        limits = replace(
            limits,
            max_steps=request.max_steps or limits.max_steps,
            max_cost_usd=request.max_cost or limits.max_cost_usd,
        )
        model = request.model or self._model or options.model
        approve = request.approve or self._approve or options.approve
        servers, verify = self.servers.plus(request.mcp), request.verify and options.verify
        skills = tuple(dict.fromkeys((*(self._skills if self.path else ()), *request.skills)))
        return Plan(request, parcels, tools, servers, skills, limits, model, approve, verify)

    def solve(self, plan: Plan, options: Options, view: View) -> Done:
        """Runs the task. Raises CodeActError, KeyboardInterrupt; the agent keeps its state."""
        agent = self._ready(plan, options, view)
        view.path = agent.path
        self._send(agent, plan.parcels, view)
        last = not plan.request.take
        agent.change(verify=plan.verify and last)
        run = self._run = agent.run_sync(plan.task, on_event=view, on_tick=view.tick)
        turn = run.trajectory.turns[-1]
        for step in turn.steps:  # What it has bound anew is not what was sent.
            for name in step.observation.names:
                self._exchange.sent.pop(name, None)
        if last or run.stop_reason != "answer":
            return Done(run, turn, {})
        values, problems = self._take(agent, plan)
        return Done(run, turn, values, problems)

    def close(self, why: str) -> None:
        """Ends the agent; a replay that still goes on ends with it, and its notebook says `why`."""
        agent, run = self._agent, self._run
        self._agent = self._run = None
        if run is not None:
            SyncDoor().run(run.verification.end(why))
        if agent is not None:
            agent.close()

    # --- the agent ---

    def _ready(self, plan: Plan, options: Options, view: View) -> Agent:
        """The agent as `plan` needs it."""
        others = (plan.approve, plan.servers, plan.skills)
        if self.path is None:  # Nothing has run: what an earlier request asked for holds no more.
            self.close("nothing has run")
            self._tools = {made.name: made for made in plan.tools}
            path = notebook_path(plan.request.save, "--save") if plan.request.save else options.place()
            agent = self._made(plan, options, path)
        elif not self._same_tools(plan.tools) or others != self._others:
            agent = self._with_tools(self.path, plan, options, view)
        else:
            assert self._agent is not None
            agent = self._agent
            if (plan.model, plan.limits) != (self._model, self._limits):
                other = plan.model if plan.model != self._model else None
                agent.change(model=other, limits=plan.limits)
        self._agent, self._model, self._limits, self._approve = agent, plan.model, plan.limits, plan.approve
        self._others, self._skills = others, plan.skills
        self.servers.add(plan.servers)
        return agent

    def _made(self, plan: Plan, options: Options, path: Path | None) -> Agent:
        return Agent(
            [*self._tools.values(), *self._exchange.tools],
            model=plan.model or None,
            settings=options.settings,
            limits=plan.limits,
            out=path,
            asker=options.asker,
            mcp=plan.servers,
            skills=plan.skills,
            approve=[*filter(None, plan.approve.split(",")), f"{FROM}=allow", f"{TO}=allow"],
        )

    def _same_tools(self, tools: tuple[Tool, ...]) -> bool:
        """Whether they are there as they are. One that was only written anew takes the place of the old."""
        if any(made.name not in self._tools or self._tools[made.name].spec != made.spec for made in tools):
            return False
        for made in tools:
            self._tools[made.name].function = made.function
        return True

    def _with_tools(self, path: Path, plan: Plan, options: Options, view: View) -> Agent:
        """The run goes on in a new agent with these tools too: its cells are run again, from the record."""
        self.close("the run goes on with other tools")
        self._tools |= {made.name: made for made in plan.tools}
        ways = f"; approval: {plan.approve}" if plan.approve else ""
        names = ", ".join([*self._tools, *(config.module for config in plan.servers)])
        view.note(f"the run goes on with these tools: {names or 'none'}{ways}")
        agent = self._made(plan, options, None)
        try:
            agent.resume(path, in_doubt="skip")  # Nobody is there to say that a call is to be made again.
        except BaseException:
            self._exchange.sent.clear()
            agent.close()
            raise
        return agent

    # --- values ---

    def _send(self, agent: Agent, parcels: tuple[Parcel, ...], view: View) -> None:
        if not parcels:
            return
        agent.change(verify=False)
        with self._exchange.sending(parcels) as code:
            seen = _run_cell(agent, code, view)
            if seen.status != "ok":
                raise UsageError(f"the kernel could not take the variables in: {_problem(seen)}")
        view.note("sent " + "; ".join(f"{one.name}: {one.said} ({brief.size(one.size)})" for one in parcels))

    def _take(self, agent: Agent, plan: Plan) -> tuple[dict[str, Any], tuple[str, ...]]:
        """What `--out` names: what came, and what did not come and why."""
        values: dict[str, Any] = {}
        problems: list[str] = []
        left = list(plan.request.take)
        while left:
            agent.change(verify=plan.verify)
            with self._exchange.taking(left) as (code, taken):
                seen = _run_cell(agent, code)
            values |= taken
            wrong = next((name for name in left if name not in taken), None)
            if wrong is None:
                break
            problems.append(f"{wrong}: {_problem(seen)}")
            left = left[left.index(wrong) + 1 :]
        return values, tuple(problems)


def _run_cell(agent: Agent, code: str, view: View | None = None) -> Observation:
    """A cell that moves values; of its events only what is of the session is shown."""

    def show(event: Event) -> None:
        if view is not None and isinstance(event, SandboxReady | Notice):
            view(event)

    return agent.run_cell_sync(code, on_event=show).trajectory.steps[-1].observation


def _problem(seen: Observation) -> str:
    if seen.error is None:
        return clean(seen.reason or "the cell did not say why")
    if seen.error.ename == "NameError":
        return "the agent has left no variable of that name"
    return " ".join(clean(clip(f"{seen.error.ename}: {seen.error.evalue}", 400)).split())


def code_of(turn: Turn) -> str:
    """What the agent ran in a task, as one cell for the user to edit."""
    said = clip(" ".join(clean(turn.task).split()), 80)
    parts = [f"# What the agent ran for: {said}"]
    for step in turn.steps:
        if step.action is None:
            continue
        if step.observation.status == "ok":
            parts.append(f"# Step {step.index}\n{clean(step.action.code).strip()}")
        else:
            parts.append(f"# Step {step.index} failed, and is left out.")
    return "\n\n".join(parts) + "\n"
