"""Owns what a tool's author says of its calls: whether they may be made, and whether a person is asked."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias, get_args

from ..exceptions import ToolDefinitionError
from ..wire.messages import Effect

Mode: TypeAlias = Literal["allow", "ask", "deny"]
Rule: TypeAlias = Callable[..., Mode | bool]
"""Of a call's checked arguments, by name, those that it names itself; True allows, False denies."""
Way: TypeAlias = Mode | Rule
MODES: tuple[Mode, ...] = get_args(Mode)
"""The strictest last."""


def checked_way(way: object, tool: str, signature: inspect.Signature) -> Way:
    """`way`, if it can say something of the tool's calls. Raises: ToolDefinitionError."""
    for mode in MODES:
        if way == mode:
            return mode
    if not callable(way) or inspect.iscoroutinefunction(way):
        raise ToolDefinitionError(
            f"tool {tool!r}: approval={way!r}; use one of {MODES}, or a plain function of its arguments"
        )
    known = signature.parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values()):
        return way
    for parameter in _parameters(way):
        named = parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        if named and parameter.default is parameter.empty and parameter.name not in known:
            raise ToolDefinitionError(
                f"tool {tool!r}: its approval rule takes {parameter.name!r}, which is no argument of it; "
                f"those are {', '.join(known) or 'none'}"
            )
    return way


def judged(rule: Rule, arguments: Mapping[str, Any]) -> Mode:
    """What the rule says of a call. Raises what it raises, and ValueError when it says neither."""
    taken = {parameter.name: parameter.kind for parameter in _parameters(rule)}
    all_ = inspect.Parameter.VAR_KEYWORD in taken.values()
    said: object = rule(**{name: value for name, value in arguments.items() if all_ or name in taken})
    if isinstance(said, bool):
        return "allow" if said else "deny"
    for mode in MODES:
        if said == mode:
            return mode
    raise ValueError(f"it gave {said!r:.100}; a rule gives one of {MODES}, True or False")


def by_effect(effect: Effect) -> Mode:
    """The mode "ask-writes": reading needs nobody."""
    return "allow" if effect == "read" else "ask"


def _parameters(rule: Callable[..., Any]) -> tuple[inspect.Parameter, ...]:
    try:
        return tuple(inspect.signature(rule).parameters.values())
    except (TypeError, ValueError):  # A builtin that does not say.
        return (inspect.Parameter("arguments", inspect.Parameter.VAR_KEYWORD),)
