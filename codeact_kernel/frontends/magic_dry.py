"""Owns `%codeact --dry`: what a task would send, in plain text. Nothing is started and nobody is called."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..exceptions import CodeActError
from ..models.spec import DEFAULT_SPEC, load_model
from ..prompt import tool_stub
from ..tools.registry import ToolRegistry
from ..wire.messages import ToolModule
from ..wire.setup_skills import skill_spec
from . import brief
from .magic_session import Options, Plan, Session
from .magic_view import near
from .server_configs import ServerState, waiting
from .skill_offers import skills_of, usable
from .starting import Offered, system
from .terminal import clean

CHARS_PER_TOKEN = 4


def dry(session: Session, plan: Plan, options: Options) -> str:
    """What would be sent, clean."""
    return clean("\n".join(_lines(session, plan, options)))


def _lines(session: Session, plan: Plan, options: Options) -> Iterator[str]:
    yield "Nothing is sent: this is what would be."
    yield f"\nTask\n{_indented(plan.task)}"
    spec, limits = plan.model or DEFAULT_SPEC, plan.limits
    yield f"\nModel    {spec}"
    cost = "no bound of cost" if limits.max_cost_usd is None else f"${limits.max_cost_usd:g}"
    yield f"Budgets  {cost}, {_bound(limits.max_steps, 'steps')}, {_bound(limits.max_seconds, 's')}"
    yield f"Approval {plan.approve or 'as the tools say'}"
    yield f"Sandbox  {options.settings.profile.sandbox}"
    if session.path is not None:
        yield f"Run      goes on in {near(session.path)}, after {brief.count(session.steps, 'step')}"
    yield from _variables(plan)
    tools = session.tools_with(plan)
    yield "\nTools    " + ("" if tools else "none of yours")
    yield from (_indented(tool_stub(made.spec)) for made in tools)
    if plan.servers:
        yield f"\nModules  {'; '.join(_modules(_states(session, plan)))}"
    yield from _prompt(plan, spec, session, options)


def _variables(plan: Plan) -> Iterator[str]:
    sent = {parcel.name: parcel for parcel in plan.parcels}
    if not plan.request.send:
        yield "\nVariables  none"
        return
    yield "\nVariables"
    for name in plan.request.send:
        one = sent.get(name)
        said = f"{one.said} ({brief.size(one.size)})" if one is not None else "the agent has it as it is"
        yield f"  {name}: {said}"


def _states(session: Session, plan: Plan) -> tuple[ServerState, ...]:
    """Of each server that the task would have."""
    known = {state.config.module: state for state in session.server_states()}
    return tuple(known.get(config.module) or waiting(config) for config in plan.servers)


def _modules(states: tuple[ServerState, ...]) -> Iterator[str]:
    for state in states:
        if state.problem:
            yield f"{state.config.module} cannot be had"
        elif state.tools is not None:
            yield f"{state.config.module} ({brief.count(state.tools, 'tool')})"
    if later := ", ".join(state.config.module for state in states if state.tools is None):
        yield f"{later}: not started yet, so the prompt below lacks the tools"


def _offered(plan: Plan, session: Session, allow_imports: Iterable[str], tell: list[str]) -> Offered:
    """As far as it is known without starting anything."""
    registry = ToolRegistry([*session.tools_with(plan), *session.crossing])
    states = _states(session, plan)
    started = {state.config.module for state in states if state.tools is not None and not state.problem}
    tools = *registry.specs(), *(spec for state in states for spec in state.functions)
    modules = [ToolModule(state.config.module, "mcp_servers") for state in states]
    skills = usable(skills_of(plan.skills, allow_imports), tools, modules, tell.append)
    return Offered(
        tools,
        tuple(module for module in modules if module.name in started),
        tuple(state.config.module for state in states if state.problem),
        tuple(map(skill_spec, skills)),
    )


def _prompt(plan: Plan, spec: str, session: Session, options: Options) -> Iterator[str]:
    profile, told = options.settings.profile, list[str]()
    try:
        prompt = system(profile, _offered(plan, session, profile.allow_imports, told), load_model(spec))
    except CodeActError as problem:
        yield f"\nThe system prompt cannot be shown: {problem}"
        return
    yield from (f"\nNote: {text}" for text in told)
    yield f"\nSystem prompt, about {len(prompt) // CHARS_PER_TOKEN:,} tokens\n{_indented(prompt)}"


def _bound(value: float | None, unit: str) -> str:
    return f"no bound of {unit}" if value is None else f"{value:g} {unit}"


def _indented(text: str) -> str:
    return "\n".join(f"  {line}".rstrip() for line in text.strip("\n").split("\n"))
