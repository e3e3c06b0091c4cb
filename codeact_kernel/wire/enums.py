"""Owns the codec of enum members: they travel with their whole class, which is built again once.

A class is known by what it is made of, so two members that come from the same enum are members of
the same class here, and equal ones are identical.
"""

from __future__ import annotations

import json
from enum import Enum, EnumType, Flag, IntEnum, IntFlag, StrEnum
from functools import partial
from threading import Lock
from typing import Any

from .blob import text_of
from .coding import TAG, Decode, DecodeError, Decoder, Encoded, Encoder, cannot_send, expect
from .messages import Json

MAX_MEMBERS = 256
MAX_DEFINITION = 16 * 1024
"""Characters of JSON. Of an enum that is bigger only the sent member travels."""
MAX_CLASSES = 512
_MAX_FLAG_BITS = 128

_BASES: dict[str, type[Enum]] = {base.__name__: base for base in (Enum, IntEnum, StrEnum, Flag, IntFlag)}
_MIXINS: dict[str, type] = {"int": int, "str": str, "float": float}
_classes: dict[str, EnumType] = {}
_lock = Lock()
_dumps = partial(json.dumps, default=text_of)


def encode_member(value: Enum, enc: Encoder) -> Json:
    """A member, or a combination of flags. Raises EncodeError when the class is too big to send."""
    kind = type(value)
    members = {name: member._value_ for name, member in kind.__members__.items()}
    encoded: dict[str, Json] = {TAG: "enum", "type": kind.__name__, "kind": _kind(value)}
    if len(members) > MAX_MEMBERS or len(_dumps(enc.named(members, ".{}"))) > MAX_DEFINITION:
        members = {value._name_: value._value_} if value._name_ in members else {}
    encoded["members"] = enc.named(members, ".{}")
    if value._name_ in members:
        encoded["name"] = value._name_
    elif isinstance(value, Flag):
        encoded["value"] = value._value_
    else:
        raise cannot_send(value)
    if len(_dumps(encoded)) > MAX_DEFINITION:
        raise cannot_send(value)
    return encoded


def _kind(value: Enum) -> str:
    """The base to build it from again; a mixin only where value and member are the same thing."""
    for name in ("IntFlag", "Flag", "StrEnum", "IntEnum"):
        if isinstance(value, _BASES[name]):
            return name
    for name, mixin in _MIXINS.items():
        if isinstance(value, mixin) and type(value._value_) is mixin and value == value._value_:
            return name
    return "Enum"


def _to_member(data: Encoded, dec: Decoder) -> object:
    members = expect(data["members"], dict)
    definition = _dumps([expect(data["type"], str), expect(data["kind"], str), members])
    if len(members) > MAX_MEMBERS or len(definition) > MAX_DEFINITION:
        raise DecodeError(f"an enum of {len(members)} members and {len(definition)} characters")
    with _lock:
        built = _classes.get(definition)
    if built is None:
        built = _build(data["type"], data["kind"], dec.named(members))
        with _lock:
            built = _classes.setdefault(definition, built)
            if len(_classes) > MAX_CLASSES:
                del _classes[next(iter(_classes))]
    if "name" in data:
        return built.__members__[expect(data["name"], str)]
    return _combination(built, data["value"])


def _combination(built: Any, value: Json) -> object:
    if not issubclass(built, Flag):
        raise DecodeError(f"an enum member without a name: {built.__name__}")
    return built(_flag_value(value))


def _build(name: Any, kind: Any, members: dict[str, object]) -> EnumType:
    if not name.isidentifier() or not all(_is_member_name(member) for member in members):
        raise DecodeError(f"not the names of an enum and its members: {name[:40]!r}")
    base, mixin = _BASES.get(kind, Enum), _MIXINS.get(kind)
    if issubclass(base, Flag):
        for value in members.values():
            _flag_value(value)
    # The functional API of enum: Enum("Color", [("RED", 1)], module=…, type=int).
    make: Any = base
    built: EnumType = make(name, list(members.items()), module=__name__, type=mixin)
    return built


def _is_member_name(name: str) -> bool:
    return name.isidentifier() and not (name.startswith("_") and name.endswith("_"))


def _flag_value(value: object) -> int:
    if type(value) is not int or value.bit_length() > _MAX_FLAG_BITS:
        raise DecodeError(f"not the value of a flag: {type(value).__name__}")
    return value


DECODERS: dict[str, Decode] = {"enum": _to_member}
