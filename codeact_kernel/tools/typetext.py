"""Owns how types read: annotations as short source text, and the fields of the types they name."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from typing import Any

MAX_TYPES = 20
MAX_MEMBERS = 20


def annotation_text(annotation: Any) -> str:
    """Such as ``list[Order] | None`` or ``Literal['a', 'b']``: no module names."""
    if annotation is None or annotation is type(None):
        return "None"
    if annotation is ...:
        return "..."
    if isinstance(annotation, str):
        return annotation
    if isinstance(annotation, list | tuple):
        return f"[{', '.join(map(annotation_text, annotation))}]"
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return annotation_text(args[0])
    if origin is typing.Literal:
        return f"Literal[{', '.join(map(repr, args))}]"
    if origin in (typing.Union, types.UnionType):
        return " | ".join(map(annotation_text, args))
    if origin is not None and args:
        return f"{_name(origin)}[{', '.join(map(annotation_text, args))}]"
    return _name(annotation)


def _name(kind: Any) -> str:
    if isinstance(kind, typing.ForwardRef):
        return kind.__forward_arg__
    return getattr(kind, "__name__", None) or repr(kind).rpartition(".")[2]


def described_types(annotations: Iterable[Any]) -> str:
    """One line for each type of somebody's own that the annotations name, the nested ones included.

    The model needs the fields of what a tool returns before it has seen a value:
    ``Order(id: str, total: Decimal)``, ``Status: 'paid' | 'open'``.
    """
    found: dict[Any, str] = {}
    pending = list(annotations)
    while pending and len(found) < MAX_TYPES:
        annotation = pending.pop(0)
        pending.extend(typing.get_args(annotation))
        if not isinstance(annotation, type) or annotation in found:
            continue
        if issubclass(annotation, Enum):
            found[annotation] = _enum_text(annotation)
        elif (fields := _fields(annotation)) is not None:
            found[annotation] = f"{annotation.__name__}({', '.join(_field_texts(fields))})"
            pending.extend(fields.values())
    return "\n".join(found.values())


def _enum_text(kind: type[Enum]) -> str:
    values = [repr(member.value) for member in kind]
    more = " | …" if len(values) > MAX_MEMBERS else ""
    return f"{kind.__name__}: {' | '.join(values[:MAX_MEMBERS])}{more}"


def _field_texts(fields: Mapping[str, Any]) -> Iterator[str]:
    return (f"{name}: {annotation_text(annotation)}" for name, annotation in fields.items())


def _fields(kind: Any) -> Mapping[str, Any] | None:
    """Name to annotation, for a dataclass, pydantic model, namedtuple or TypedDict."""
    from pydantic import BaseModel  # Dear, and who makes no tool needs none.

    if issubclass(kind, BaseModel):
        return {name: field.annotation for name, field in kind.model_fields.items()}
    names: Iterable[str]
    if dataclasses.is_dataclass(kind):
        names = [field.name for field in dataclasses.fields(kind)]
    elif issubclass(kind, tuple) and hasattr(kind, "_fields"):
        names = kind._fields
    elif typing.is_typeddict(kind):
        names = kind.__annotations__
    else:
        return None
    try:
        hints = typing.get_type_hints(kind)
    except Exception:  # a field's annotation that cannot be resolved is shown as it is written
        hints = kind.__annotations__
    return {name: hints.get(name, Any) for name in names}
