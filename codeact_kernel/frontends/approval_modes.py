"""Owns which calls need an approval: what an agent was told, beside what the tools say themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from ..exceptions import ToolDefinitionError, UsageError
from ..tools.approval import MODES, Mode, Way, by_effect, checked_way, judged
from ..tools.failures import failure
from ..tools.tool import Tool

Approve: TypeAlias = str | Mapping[str, Way] | Iterable[str]
"""A mode for every tool ("allow", "ask", "ask-writes", "deny"); or a way by tool, "*" for the others; or both
as words: "ask-writes", "refund=deny"."""
ASK_WRITES = "ask-writes"
DEFAULTS = (*MODES, ASK_WRITES)
OWN, AGENTS = "its approval rule", "its approval mode"


class Modes:
    """What is said of each tool. The stricter of what the tool says itself and what is said of all of them
    holds; what is said of that tool by name comes before both.

    Raises: UsageError for a mode or a tool that there is not.
    """

    def __init__(self, approve: Approve | None, tools: Iterable[Tool]) -> None:
        named, self._default = _read(approve), "allow"
        known = {tool.name: tool for tool in tools}
        default = named.pop("*", "allow")
        if not isinstance(default, str) or default not in DEFAULTS:
            raise UsageError(f"approve: {default!r} is no mode; use one of {', '.join(DEFAULTS)}")
        self._default = default
        if unknown := sorted(named.keys() - known.keys()):
            there = ", ".join(known) or "none"
            raise UsageError(f"approve: no tool is called {unknown[0]!r}; there are: {there}")
        try:
            self._named = {name: checked_way(way, name, known[name].signature) for name, way in named.items()}
        except ToolDefinitionError as problem:
            raise UsageError(f"approve: {problem}") from None

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
        if tool.name in self._named:
            return (self._named[tool.name],)
        every = by_effect(tool.spec.effect) if self._default == ASK_WRITES else self._default
        own = "allow" if tool.approval is None else tool.approval
        return own, next(mode for mode in MODES if mode == every)


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
