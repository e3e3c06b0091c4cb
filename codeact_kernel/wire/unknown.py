"""Owns what is sent of a value whose exact type has no codec: enums, records, subclasses, the rest."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from . import arrays, enums, pictures, tables
from .coding import Encode, Encoder
from .messages import Json
from .structures import record

_OPTIONAL: dict[str, Callable[[], dict[type, Encode]]] = {
    "numpy": arrays.encoders,
    "pandas": tables.encoders,
}
"""Codecs of packages that are imported only once a value of theirs is there."""
_BUILTINS: tuple[type[Any], ...] = (int, float, bytes, bytearray, list, tuple, dict, set, frozenset)


def otherwise(value: object, enc: Encoder) -> Json:
    """Encodes by what `value` is an instance of. Raises EncodeError, without `enc.fallback`."""
    package = type(value).__module__.partition(".")[0]
    if package in _OPTIONAL and package in sys.modules:
        enc.codecs.update(_OPTIONAL[package]())
        if type(value) in enc.codecs:
            return enc.codecs[type(value)](value, enc)
    if isinstance(value, Enum):
        return enums.encode_member(value, enc)
    if isinstance(value, type):
        return enc.refuse(value)
    picture = pictures.picture_of(value)
    if picture is not None:
        return pictures.encode_picture(picture, enc)
    found = _fields(value)
    if found is not None:
        return record("record", type(value).__name__, found, enc)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return record("namedtuple", type(value).__name__, dict(zip(value._fields, value, strict=True)), enc)
    return _subclass(value, enc)


def _fields(value: Any) -> Mapping[str, object] | None:
    """Name to value, for an instance of a dataclass or a pydantic model."""
    if is_dataclass(value):
        names = (field.name for field in fields(value))
        return {name: getattr(value, name) for name in names if hasattr(value, name)}
    pydantic = sys.modules.get("pydantic")
    if pydantic is None or not isinstance(value, pydantic.BaseModel):
        return None
    computed = {name: getattr(value, name) for name in type(value).model_computed_fields}
    return {**vars(value), **(value.model_extra or {}), **computed}


def _subclass(value: Any, enc: Encoder) -> Json:
    """An instance of a builtin's subclass is its builtin in a result, and refused as an argument."""
    if enc.fallback and isinstance(value, str):
        return enc(str.__str__(value))  # not str(value): its class may show itself differently
    if enc.fallback:
        for builtin in _BUILTINS:
            if isinstance(value, builtin):
                return enc(builtin(value))
    return enc.refuse(value)
