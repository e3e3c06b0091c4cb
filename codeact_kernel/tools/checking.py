"""Owns checking a value against an annotation, and saying in one line where it does not fit.

pydantic takes 0.1 s to import: `tool` imports this module when the first tool is made.
"""

from __future__ import annotations

import reprlib
import types
import typing
from typing import Any

from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError

from ..exceptions import ToolDefinitionError
from .bounded import bounded
from .failures import failure
from .mismatch import Mismatch, path_text
from .plain import TooLong, check_arrays, plain
from .typeddicts import with_known_typeddicts

_MANY = 1000
"""Errors of one value that are looked at: pydantic takes microseconds and a kilobyte to tell of each."""
_MAX_MESSAGE = 500
_SCALARS = frozenset({type(None), bool, int, float, str, bytes})


class Checker:
    """One annotation, ready to check and convert values.

    Args:
        annotation: any type that pydantic knows; instances of other classes are checked with
            isinstance.
        what: for the error message.

    Raises:
        ToolDefinitionError: values of `annotation` cannot be checked.
    """

    def __init__(self, annotation: Any, what: str) -> None:
        self._exact = _exact_types(annotation)
        self.adapter = None if annotation is Any else _adapter(annotation, what)
        schema = "" if self.adapter is None else repr(self.adapter.core_schema)
        self._takes_arrays = any(kind in schema for kind in ("'is-instance'", "'any'"))

    def convert(self, value: object) -> object:
        """`value` as the annotation wants it: a Record as its dataclass, '2024-01-01' as a date.

        Raises:
            Mismatch: when it cannot be.
        """
        if self.adapter is None or type(value) in self._exact:
            return value
        try:
            return self._converted(self.adapter, value)
        except Mismatch:
            raise
        except TooLong as problem:
            raise Mismatch("", str(problem)) from None
        except Exception as problem:  # of pandas, numpy, a model's own validators: with hostile data
            raise Mismatch("", f"cannot be checked: {failure(problem)}") from None

    def _converted(self, adapter: TypeAdapter[Any], value: object) -> object:
        if not self._takes_arrays:
            check_arrays(value)
        try:
            return adapter.validate_python(value)
        except ValidationError as problem:
            # Records, enum members and numpy values from the sandbox stand for plainer things.
            plainer = plain(value)
            if plainer is value:
                raise _mismatch(problem) from None
        try:
            # By name too: a Record has a model's field names, not their aliases.
            return adapter.validate_python(plainer, by_alias=True, by_name=True)
        except ValidationError as problem:
            raise _mismatch(problem) from None


def _exact_types(annotation: Any) -> frozenset[Any]:
    """Types whose values need no check. pydantic would refuse a str with a lone surrogate."""
    is_union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    options = set(typing.get_args(annotation)) if is_union else {annotation}
    return frozenset(options) & _SCALARS


def _adapter(annotation: Any, what: str) -> TypeAdapter[Any]:
    try:
        annotation = bounded(with_known_typeddicts(annotation))
        return TypeAdapter(annotation, config=ConfigDict(arbitrary_types_allowed=True))
    except PydanticUserError as problem:
        if problem.code != "type-adapter-config-unused":
            raise _cannot_check(annotation, what, problem) from None
    except Exception as problem:  # typing and pydantic have many ways to dislike an annotation
        raise _cannot_check(annotation, what, problem) from None
    try:
        return TypeAdapter(annotation)  # a model or dataclass: its own config counts
    except Exception as problem:
        raise _cannot_check(annotation, what, problem) from None


def _cannot_check(annotation: Any, what: str, problem: Exception) -> ToolDefinitionError:
    reason = str(problem).partition("\n")[0]
    return ToolDefinitionError(f"{what}: cannot check values of {annotation!r}: {reason}")


def _mismatch(problem: ValidationError) -> Mismatch:
    if problem.error_count() > _MANY:
        return Mismatch("", f"{problem.error_count():,} values in it do not fit")
    errors = problem.errors(include_url=False, include_context=False)
    first = errors[0]
    message = f"{first['msg'][:_MAX_MESSAGE]}, got {_shown(first['input'])} ({type(first['input']).__name__})"
    if len(errors) > 1:
        message += f" (and {len(errors) - 1} more)"
    is_type = first["type"].endswith("_type") or first["type"] == "is_instance_of"
    return Mismatch(path_text(first["loc"]), message, "TypeError" if is_type else "ValueError")


def _shown(value: object) -> str:
    try:
        return reprlib.repr(value)
    except Exception:  # an int of many digits, a text of numpy's that is none
        return "a value that cannot be shown"
