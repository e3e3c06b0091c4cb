"""Owns reading a function's signature: its parameters, and its annotations as real types."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

from ..exceptions import ToolDefinitionError
from ..wire.messages import ParameterKind, ToolParameter
from .typetext import annotation_text

_MAX_DEFAULT = 80
"""Characters of a default's source text."""
_KINDS: dict[Any, ParameterKind] = {
    inspect.Parameter.POSITIONAL_ONLY: "positional_only",
    inspect.Parameter.POSITIONAL_OR_KEYWORD: "positional_or_keyword",
    inspect.Parameter.VAR_POSITIONAL: "var_positional",
    inspect.Parameter.KEYWORD_ONLY: "keyword_only",
    inspect.Parameter.VAR_KEYWORD: "var_keyword",
}


def resolve(function: Callable[..., Any], name: str) -> tuple[inspect.Signature, dict[str, Any]]:
    """The signature, and the annotations with strings resolved, the return value's under "return".

    Raises:
        ToolDefinitionError: no signature, a parameter without an annotation, or one that names
            something that does not exist.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        raise ToolDefinitionError(
            f"tool {name!r}: {function!r} has no signature; wrap it in a function with annotations"
        ) from None
    annotated = _annotated(function)
    try:
        hints = typing.get_type_hints(annotated, include_extras=True)
    except Exception as problem:  # whatever evaluating somebody's annotation raises
        raise ToolDefinitionError(
            f"tool {name!r}: an annotation cannot be resolved: {problem}; "
            "use types that are defined or imported at the top of the module"
        ) from None
    if getattr(annotated, "__name__", "") != "<lambda>":
        for parameter in signature.parameters.values():
            if parameter.name not in hints:
                raise ToolDefinitionError(_unannotated(name, parameter.name))
    return signature, hints


def _annotated(function: Any) -> Any:
    """The function that carries the annotations."""
    while isinstance(function, functools.partial):
        function = function.func
    return function if inspect.isroutine(function) else type(function).__call__


def _unannotated(tool: str, parameter: str) -> str:
    if parameter in ("self", "cls"):
        return f"tool {tool!r}: it is not bound to an object; offer the bound method, as tool(obj.{tool})"
    return (
        f"tool {tool!r}: parameter {parameter!r} has no annotation; "
        f"add one, as in `{parameter}: str`, so that arguments can be checked"
    )


def parameters_of(signature: inspect.Signature, hints: Mapping[str, Any]) -> tuple[ToolParameter, ...]:
    """The parameters as the sandbox and the model see them."""
    return tuple(
        ToolParameter(
            name=parameter.name,
            kind=_KINDS[parameter.kind],
            annotation=annotation_text(hints[parameter.name]) if parameter.name in hints else "",
            default=None if parameter.default is parameter.empty else _default_text(parameter.default),
        )
        for parameter in signature.parameters.values()
    )


def returns_of(hints: Mapping[str, Any]) -> str:
    """The return annotation, or nothing."""
    return annotation_text(hints["return"]) if "return" in hints else ""


def _default_text(value: object) -> str:
    if isinstance(value, Enum):
        return f"{type(value).__name__}.{value.name}"
    text = repr(value)
    # A repr that is no source text says nothing about the value, and may name an address.
    return "..." if text.startswith("<") or len(text) > _MAX_DEFAULT else text
