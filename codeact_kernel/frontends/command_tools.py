"""Owns `codeact tools`: the tools and skills that an agent would have, and what they cost."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace

from rich.console import Console
from traitlets import Unicode

from ..exceptions import UsageError
from ..tools.mcp.server import Http
from ..tools.registry import ToolRegistry
from ..wire.messages import ToolModule, ToolSpec
from ..wire.search import LIMIT
from ..wire.setup_skills import PACKAGE, skill_spec
from ..wire.stubs import signature_text, summary
from . import brief
from .app import CodeactApp
from .approval_modes import Modes
from .documents import dumps
from .doors import outlets, tools_of
from .offer import (
    ESTIMATE,
    Cost,
    Offer,
    costs,
    described,
    matching,
    offer_document,
    searched,
    skill_tokens,
    skills_cost,
)
from .page import Page
from .portal import SyncDoor
from .server_configs import ServerState, configs_of
from .servers import Servers
from .skill_offers import skills_of, usable
from .terminal import clean
from .toolentries import installed_toolkits
from .toolsfile import split_entry
from .unmatched import tell_all, unmatched

MISSING = 2
"""The exit code where a server that was named cannot be had: as for a tool that cannot be used."""
MAX_SHOWN = 200
"""Functions of a list that are shown on a page; --json has all."""


class ToolsApp(CodeactApp):
    """The traits of `codeact tools`."""

    name = "codeact-tools"
    command = "tools"
    search = Unicode("", help="Words to search the tools for.").tag(config=True)

    def start(self) -> int:
        with outlets(self.json) as (console, document):
            page = Page(console)
            if self.search and self.argument:
                raise UsageError("give a PATTERN or --search, not both\nSee: codeact tools --help")
            offer = self._offer(console)
            shown = matching(offer.functions, self.argument)
            if self.search:
                shown = searched(offer.functions, self.search, LIMIT)
            if document is not None:
                print(dumps(offer_document(offer, shown)), file=document)
            elif self.argument and len(shown) == 1:
                _show_stub(page, shown[0], offer)
            else:
                show_offer(page, offer, shown, ranked=bool(self.search))
        return MISSING if offer.missing else 0

    def _offer(self, console: Console) -> Offer:
        registry = ToolRegistry(tools_of(self.tools))
        servers = Servers(configs_of(self.mcp or None), registry)
        with console.status("Asking the servers …") if servers.configs else nullcontext():
            servers.modes = modes = Modes(self.approve or None, registry.tools.values(), registry.modules())
            missing = SyncDoor().run(_opened(servers))
        known = {config.module for config in servers.configs} - missing.keys()
        said = unmatched(modes, servers.configs, registry.tools.values(), known)
        tell_all(said, lambda text: Page(console).line(clean(text), "yellow"))
        named = {split_entry(entry)[1] for entry in self.tools}
        installed = tuple(one for one in installed_toolkits() if one.name not in named)
        tools = tuple(registry.tools.values())
        found = Offer(tools, registry.modules(), self.approve or None, missing, installed)
        return self._with_skills(found) if self.skills else found

    def _with_skills(self, offer: Offer) -> Offer:
        """Those that a run with these tools would have, and what it would tell of the others."""
        left_out: list[str] = []
        given = skills_of(self.skills, self.settings().profile.allow_imports)
        skills = usable(given, offer.specs, offer.modules, left_out.append)
        return replace(offer, skills=tuple(map(skill_spec, skills)), left_out=tuple(left_out))


async def _opened(servers: Servers) -> dict[str, str]:
    """The registry has their tools then. Why servers cannot be had, by module."""
    try:
        await servers.open(lambda text: None)
        return {state.config.module: _why(state) for state in servers.states(()) if state.problem}
    finally:
        await servers.aclose()


def _why(state: ServerState) -> str:
    """With the address of one over HTTP, which its own words need not name; not if a secret is in it."""
    config = state.config
    secret = any(value in config.where for value in config.confidential if value)
    if not isinstance(config.launch, Http) or secret or config.where in state.problem:
        return state.problem
    return f"{state.problem} ({config.where})"


def show_offer(page: Page, offer: Offer, shown: Sequence[ToolSpec], *, ranked: bool = False) -> None:
    """A list of tools by module, or as they were found; then what all of it costs."""
    approvals, found = offer.approvals(), costs(offer)
    if ranked:
        _show_tools(page, shown, offer, approvals)
    else:
        tools = [spec for spec in shown if not offer.is_skill(spec)]
        for module in (None, *offer.modules):
            specs = [spec for spec in tools if spec.module == (module.name if module else "")]
            if specs:
                page.title(_heading(module, specs, found[module.name if module else ""]))
                _show_tools(page, specs, offer, approvals)
        if skills := [spec for spec in shown if offer.is_skill(spec)]:
            number = brief.count(len(skills), "function")
            page.title(f"from {PACKAGE} import … · {number} · {_cost(skills_cost(offer))}")
            _show_tools(page, skills, offer, approvals)
    page.line("")
    _show_totals(page, offer, found)


def _heading(module: ToolModule | None, specs: Sequence[ToolSpec], cost: Cost) -> str:
    where = f"from {module.package} import {module.name}" if module else "functions in the kernel's namespace"
    return f"{where} · {brief.count(len(specs), 'function')} · {_cost(cost)}"


def _show_tools(page: Page, specs: Sequence[ToolSpec], offer: Offer, approvals: dict[str, str]) -> None:
    for spec in specs[:MAX_SHOWN]:
        page.line(f"{clean(signature_text(spec))}   [{_said(spec, offer, approvals)}]")
        if doc := summary(spec.doc):
            page.lines([clean(doc)], "dim", "    ")
    if (more := len(specs) - MAX_SHOWN) > 0:
        page.line(f"and {more:,} more: codeact tools PATTERN, --search WORDS, or --json", "dim")


def _show_stub(page: Page, spec: ToolSpec, offer: Offer) -> None:
    module = next((one for one in offer.modules if one.name == spec.module), None)
    if offer.is_skill(spec):
        module = None
        page.line(f"from {PACKAGE} import {spec.function}", "dim")
    elif module is not None:
        page.line(f"from {module.package} import {module.name}", "dim")
    page.code(described(module, [spec]))
    page.line(f"[{_said(spec, offer, offer.approvals())}]", "dim")


def _said(spec: ToolSpec, offer: Offer, approvals: dict[str, str]) -> str:
    if offer.is_skill(spec):
        return f"a skill, runs in the sandbox; {skill_tokens(spec):,} tokens in the prompt"
    effect = "reads" if spec.effect == "read" else "writes"
    claim = "; the server says it reads" if spec.schema is not None and spec.schema.read_only else ""
    return f"{effect}{claim}; approval: {approvals[spec.name]}"


def _cost(cost: Cost) -> str:
    return f"{cost.prompt:,} tokens in the prompt, {cost.stubs:,} as stubs"


def _show_totals(page: Page, offer: Offer, found: dict[str, Cost]) -> None:
    if offer.functions:
        stubs = sum(cost.stubs for cost in (*found.values(), skills_cost(offer)))
        skills = f", {brief.count(len(offer.skills), 'skill')}" if offer.skills else ""
        page.line(
            f"{brief.count(len(offer.specs), 'tool')}{skills}: about {offer.prompt_tokens():,} tokens in the "
            f"system prompt, {stubs:,} as stubs (tokens: {ESTIMATE})"
        )
    elif not offer.missing and not offer.left_out:
        page.line("No tools; name some with --tools FILE.py, or --mcp FILE", "dim")
    for name, why in offer.missing.items():
        page.labelled(f"server {clean(name)} cannot be had", why, "yellow")
    for text in offer.left_out:
        page.line(clean(text), "yellow")
    for one in offer.installed:
        page.line(
            f"installed, not named: {clean(one.name)} ({clean(one.package)})   --tools {clean(one.name)}",
            "dim",
        )
