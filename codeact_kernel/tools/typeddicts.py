"""Owns a gap in Python 3.11: its TypedDict does not keep what pydantic needs to know of it."""

from __future__ import annotations

import sys
import types
import typing
from typing import Any

import typing_extensions


def with_known_typeddicts(annotation: Any) -> Any:
    """`annotation` with every `typing.TypedDict` in it as the one of typing_extensions.

    Before Python 3.12 pydantic takes only that. A TypedDict inside a dataclass or model is not
    reached: those resolve their own fields.
    """
    if sys.version_info >= (3, 12):
        return annotation
    if typing.is_typeddict(annotation):
        return _rebuilt(annotation)
    origin: Any = typing.get_origin(annotation)
    args = typing.get_args(annotation)
    if not args or origin is typing.Literal or any(isinstance(arg, list) for arg in args):
        return annotation
    known = tuple(map(with_known_typeddicts, args))
    if known == args:
        return annotation
    if origin is types.UnionType:
        return typing.Union[known]  # noqa: UP007 - there is no other way from a tuple
    if origin is typing.Annotated:
        return typing.Annotated[(known[0], *annotation.__metadata__)]
    copy_with = getattr(annotation, "copy_with", None)  # typing.List[…] has it, list[…] does not
    return origin[known] if copy_with is None else copy_with(known)


def _rebuilt(kind: Any) -> Any:
    make: Any = typing_extensions.TypedDict
    required: Any = typing_extensions.Required
    optional: Any = typing_extensions.NotRequired
    fields = {
        name: (required if name in kind.__required_keys__ else optional)[with_known_typeddicts(hint)]
        for name, hint in typing.get_type_hints(kind).items()
    }
    return make(kind.__name__, fields)
