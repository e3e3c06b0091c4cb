"""Owns what an agent would have, tools and skills, for people: signatures, effects, approvals, cost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from ..conversation import CHARS_PER_TOKEN
from ..exceptions import UsageError
from ..prompt import system_prompt
from ..prompt_modules import modules_section
from ..prompt_skills import skill_line, skills_section
from ..tools.tool import Tool
from ..wire.messages import Json, ToolModule, ToolSpec
from ..wire.schemas import module_source
from ..wire.search import SearchIndex, nearest
from ..wire.stubs import signature_text, summary, tool_stub
from .approval_modes import Approve, Modes
from .documents import SCHEMA_VERSION
from .toolentries import Toolkit

ESTIMATE = f"characters / {CHARS_PER_TOKEN}"
"""How tokens are counted here: as for the budgets of a run."""
_GLOB = frozenset("*?[")


@dataclass(frozen=True)
class Offer:
    """What an agent would have. `missing`: why a server cannot be had, by its name; `installed`: toolkits
    that nobody named; `left_out`: what is to be told of skills that cannot be used."""

    tools: tuple[Tool, ...]
    modules: tuple[ToolModule, ...]
    approve: Approve | None = None
    missing: Mapping[str, str] = field(default_factory=dict)
    installed: tuple[Toolkit, ...] = ()
    skills: tuple[ToolSpec, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        """Without what is ours, such as `filesystem._updates`."""
        return tuple(made.spec for made in self.tools if not made.spec.function.startswith("_"))

    @property
    def functions(self) -> tuple[ToolSpec, ...]:
        """What is listed and searched: tools, then skills."""
        return (*self.specs, *self.skills)

    def is_skill(self, spec: ToolSpec) -> bool:
        """By identity: a server may be called `skills`."""
        return any(spec is skill for skill in self.skills)

    def approvals(self) -> dict[str, str]:
        """By tool: allow, ask, deny, or "a rule". Raises: UsageError for a tool that there is not."""
        modes = Modes(self.approve, self.tools, self.modules)
        return {made.name: _approval(modes, made) for made in self.tools}

    def prompt_tokens(self) -> int:
        """Of all that the system prompt says of the tools and skills."""
        missing = tuple(self.missing)
        with_tools = system_prompt(self.specs, "", (), "", None, self.modules, missing, self.skills)
        return tokens(with_tools, system_prompt((), "", (), "", None))


@dataclass(frozen=True)
class Cost:
    """Tokens of a module, or of the functions in no module: in the prompt, and if all stubs were there."""

    prompt: int
    stubs: int


def tokens(text: str, without: str = "") -> int:
    """About as many, rounded up."""
    return -(-(len(text) - len(without)) // CHARS_PER_TOKEN)


def costs(offer: Offer) -> dict[str, Cost]:
    """By the name of the module; "" for the functions that are in none."""
    lines = modules_section(offer.modules, offer.specs, tuple(offer.missing)).splitlines()
    found: dict[str, Cost] = {}
    for module in (None, *offer.modules):
        name = module.name if module else ""
        stubs = described(module, [spec for spec in offer.specs if spec.module == name])
        line = stubs if not name else next((one for one in lines if one.startswith(f"- {name}: ")), "")
        found[name] = Cost(tokens(line), tokens(stubs))
    return found


def skills_cost(offer: Offer) -> Cost:
    """Of all skills."""
    return Cost(tokens(skills_section(offer.skills)), tokens(described(None, offer.skills)))


def skill_tokens(spec: ToolSpec) -> int:
    """Of the line of one skill in the prompt."""
    return tokens(skill_line(spec))


def described(module: ToolModule | None, specs: Sequence[ToolSpec]) -> str:
    """Stubs of tools of one module, with the types that they need: as `tools.describe` in the kernel."""
    if module is None or module.package == "toolkits" or not specs:
        return "\n\n".join(map(tool_stub, specs))
    return module_source(module, specs).strip()


def matching(specs: Sequence[ToolSpec], pattern: str) -> tuple[ToolSpec, ...]:
    """Those that `filesystem.read_*`, a name, or the name of a module means. Raises: UsageError."""
    if not pattern:
        return tuple(specs)
    if _GLOB.intersection(pattern):
        found = tuple(spec for spec in specs if fnmatchcase(spec.name, pattern))
    else:
        found = tuple(spec for spec in specs if pattern in (spec.name, spec.module))
    if not found:
        names = {spec.name for spec in specs} | {spec.module for spec in specs if spec.module}
        near = ", ".join(map(repr, nearest(pattern, names)))
        there = f"did you mean {near}?" if near else f"there are {len(specs):,}; `codeact tools` lists them"
        raise UsageError(f"no tool is called {pattern!r:.200}; {there}")
    return found


def searched(specs: Sequence[ToolSpec], words: str, limit: int) -> tuple[ToolSpec, ...]:
    """As `tools.search` in the kernel. Raises: UsageError when nothing fits."""
    found = SearchIndex(specs).search(words, limit)
    if not found:
        raise UsageError(f"no tool fits {words!r:.200}; `codeact tools` lists all {len(specs):,}")
    return found


def offer_document(offer: Offer, shown: Iterable[ToolSpec]) -> dict[str, Json]:
    """What `codeact tools --json` prints: `tools` and `skills` as asked for, the rest of all there is."""
    approvals, found, asked = offer.approvals(), costs(offer), [*shown]
    modules = {one.name: one for one in offer.modules}
    return {
        "schema_version": SCHEMA_VERSION,
        "tools": [
            _tool_document(spec, approvals[spec.name], modules.get(spec.module))
            for spec in asked
            if not offer.is_skill(spec)
        ],
        "skills": [_skill_document(spec) for spec in asked if offer.is_skill(spec)],
        "modules": [*_module_documents(offer, found)],
        "prompt_tokens": offer.prompt_tokens(),
        "stub_tokens": sum(cost.stubs for cost in (*found.values(), skills_cost(offer))),
        "token_estimate": ESTIMATE,
        "missing": [{"server": name, "problem": why} for name, why in offer.missing.items()],
        "installed": [
            {"name": one.name, "package": one.package, "value": one.value} for one in offer.installed
        ],
        "left_out": [*offer.left_out],
    }


def _tool_document(spec: ToolSpec, approval: str, module: ToolModule | None) -> dict[str, Json]:
    """`stub`: of a server's tool as in the kernel, with the types that it needs and its words marked."""
    stub = described(module, [spec])
    return {
        "name": spec.name,
        "signature": signature_text(spec),
        "summary": summary(spec.doc),
        "effect": spec.effect,
        "approval": approval,
        "described_by": "server" if module is not None and module.package == "mcp_servers" else "author",
        "stub": stub,
        "stub_tokens": tokens(stub),
    }


def _skill_document(spec: ToolSpec) -> dict[str, Json]:
    stub = tool_stub(spec)
    return {
        "name": spec.name,
        "module": spec.module,
        "signature": signature_text(spec),
        "summary": summary(spec.doc),
        "prompt_tokens": skill_tokens(spec),
        "stub": stub,
        "stub_tokens": tokens(stub),
    }


def _module_documents(offer: Offer, found: Mapping[str, Cost]) -> Iterator[dict[str, Json]]:
    for module in offer.modules:
        functions = sum(spec.module == module.name for spec in offer.specs)
        yield {
            "name": module.name,
            "package": module.package,
            "title": module.title,
            "functions": functions,
            "available": module.name not in offer.missing,
            "prompt_tokens": found[module.name].prompt,
            "stub_tokens": found[module.name].stubs,
        }


def _approval(modes: Modes, made: Tool) -> str:
    if modes.has_rule(made):
        return "a rule"
    return modes.of(made, {})[0]
