"""Owns which calls need an approval: what an agent was told, beside what the tools say themselves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any, TypeAlias

from ..exceptions import ToolDefinitionError, UsageError
from ..tools.approval import MODES, Mode, Rule, Way, by_effect, checked_way, judged
from ..tools.failures import failure
from ..tools.tool import UPDATES, Tool
from ..wire.messages import ToolModule

Approve: TypeAlias = str | Mapping[str, Way] | Iterable[str]
"""A mode for every tool ("allow", "ask", "ask-writes", "deny"); or a way by what it is said of: a tool
("refund", "shop.refund"), a pattern of tools ("shop.read_*"), a module ("shop"), "*" for the others; or both
as words: "ask-writes", "refund=deny"."""
ASK_WRITES = "ask-writes"
DEFAULTS = (*MODES, ASK_WRITES)
OWN, AGENTS = "its approval rule", "its approval mode"
SHOWN = 20
_MAGIC = frozenset("*?[")


class Modes:
    """What is said of each tool: by its name, else by the longest pattern it matches, else of its module,
    else of all. Said by name it holds alone; said in any other way, what the tool says itself holds if it is
    stricter. Tools that come later are covered.

    Raises: UsageError for a mode, a tool or a module that there is not.
    """

    def __init__(
        self, approve: Approve | None, tools: Iterable[Tool], modules: Iterable[ToolModule] = ()
    ) -> None:
        self._said = _read(approve)
        self._default = self._said.pop("*", "allow")
        if not isinstance(self._default, str) or self._default not in DEFAULTS:
            raise UsageError(f"approve: {self._default!r} is no mode; use one of {', '.join(DEFAULTS)}")
        known = {tool.name: tool for tool in tools}
        growing = {module.name for module in modules if module.package == "mcp_servers"}
        places = {*growing, *(tool.spec.module for tool in known.values() if tool.spec.module)}
        for name, way in self._said.items():
            self._check(name, way, known, places, growing)

    def _check(
        self, name: str, way: object, known: Mapping[str, Tool], places: set[str], growing: set[str]
    ) -> None:
        """Raises: UsageError."""
        about = [tool for tool in known.values() if _specificity(name, tool) is not None]
        # Those of servers are not known yet; `unmatched` says so when they are.
        later = name in places or name.partition(".")[0] in growing
        if not about and not later:
            raise UsageError(f"approve: {_no_such(name, [*known, *sorted(places)])}")
        try:
            for tool in about:
                if way != ASK_WRITES or name == tool.name:
                    checked_way(way, tool.name, tool.signature)
        except ToolDefinitionError as problem:
            raise UsageError(f"approve: {problem}") from None
        if not about and way not in DEFAULTS and not callable(way):
            raise UsageError(f"approve: {name}={way!r:.100}; use one of {', '.join(DEFAULTS)}")

    def unmatched(self, tools: Iterable[Tool]) -> Iterator[tuple[str, bool]]:
        """What is said of none of these tools; and whether it only allows."""
        there = [*tools]
        for name, way in self._said.items():
            if all(_specificity(name, tool) is None for tool in there):
                yield name, not callable(way) and way == "allow"

    @property
    def may_matter(self) -> bool:
        """Whether something has to be decided about tools that may come later."""
        return any(way != "allow" for way in (*self._said.values(), self._default))

    def asks(self, tool: Tool) -> bool:
        """Whether a person may be asked about a call of it."""
        return any(way == "ask" or callable(way) for way in self._ways(tool))

    def matter(self, tool: Tool) -> bool:
        """Whether anything has to be decided about its calls."""
        return any(way != "allow" for way in self._ways(tool))

    def has_rule(self, tool: Tool) -> bool:
        """Whether code of the user's is asked."""
        return any(map(callable, self._ways(tool)))

    def of(self, tool: Tool, arguments: Mapping[str, Any]) -> tuple[Mode, str, str]:
        """The mode of one call, who says so, and why, if that is known."""
        found: list[tuple[Mode, str, str]] = []
        for way in self._ways(tool):
            if not callable(way):
                found.append((way, AGENTS, ""))
                continue
            try:
                found.append((judged(way, arguments), OWN, ""))
            except Exception as problem:  # Of the user's own code: what fails allows nothing.
                found.append(("deny", OWN, f"the rule failed: {failure(problem)}"))
        return max(found, key=lambda one: MODES.index(one[0]))

    def _ways(self, tool: Tool) -> tuple[Way, ...]:
        if tool.name in self._said:
            return (_mode(self._said[tool.name], tool),)
        if tool.hidden and tool.spec.function == UPDATES:
            return ("allow",)  # It says which tools there are.
        own = "allow" if tool.approval is None else tool.approval
        return own, _mode(self._nearest(tool), tool)

    def _nearest(self, tool: Tool) -> object:
        """What is said of it by a pattern, of its module, or of all."""
        ranked = ((_specificity(name, tool), name) for name in self._said)
        found = max(((rank, name) for rank, name in ranked if rank is not None), default=None)
        return self._default if found is None else self._said[found[1]]


def is_pattern(name: str) -> bool:
    """Whether it is a pattern of names, such as `shop.read_*`."""
    return not _MAGIC.isdisjoint(name)


def _specificity(name: str, tool: Tool) -> int | None:
    """How closely something said of `name` is said of the tool; None: not at all."""
    if name == tool.name:
        return 1_000_000
    if not is_pattern(name):
        return 0 if name == tool.spec.module else None
    return len(name) if fnmatchcase(tool.name, name) else None


def _mode(way: object, tool: Tool) -> Mode | Rule:
    """`way` of that tool; checked before."""
    if callable(way):
        return way
    wanted = by_effect(tool.spec.effect) if way == ASK_WRITES else way
    return next(mode for mode in MODES if mode == wanted)


def _no_such(name: str, there: list[str]) -> str:
    kind = "no tool matches" if is_pattern(name) else "no tool is called"
    near = there if len(there) <= SHOWN else [*get_close_matches(name, there, SHOWN), "…"]
    return f"{kind} {name!r}; there are: {', '.join(near) or 'none'}"


def _read(approve: Approve | None) -> dict[str, Any]:
    if approve is None:
        return {}
    if isinstance(approve, Mapping):
        return dict(approve)
    words = [approve] if isinstance(approve, str) else list(approve)
    found: dict[str, Any] = {}
    for word in words:
        if not isinstance(word, str):
            raise UsageError(f"approve: {word!r} is neither a mode nor TOOL=MODE")
        name, equals, mode = word.partition("=")
        name, mode = (name, mode) if equals else ("*", word)
        if found.setdefault(name, mode) != mode:
            raise UsageError(f"approve: {found[name]!r} and {mode!r} contradict each other; give one of them")
    return found
