"""Owns the codecs of containers and records."""

from __future__ import annotations

import base64
import json
import reprlib
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

from .blob import LEAST, Blob, Bytes, text_of
from .coding import (
    TAG,
    Decode,
    DecodeError,
    Decoder,
    Encode,
    Encoded,
    EncodeError,
    Encoder,
    array,
    expect,
    is_plain,
)
from .messages import Json
from .records import Opaque, Record, TupleRecord

_FACTORIES: dict[str, Callable[[], object]] = {
    factory.__name__: factory for factory in (int, float, str, bool, list, dict, set, tuple, bytes)
}
_MAX_NAME = 200
_LONG = 100
"""Digits of a number that takes more to compare than others."""
_OF_FRACTIONS = 8
"""Simple comparisons in the time of one of fractions, which Python itself makes (measured: 8 to 10)."""


def b64(data: bytes, enc: Encoder) -> Json:
    if enc.blobs and len(data) >= LEAST:
        return Blob(data)  # type: ignore[return-value]  # in frames only; JSON has its text
    return base64.b64encode(data).decode("ascii")


def unb64(data: object) -> Bytes:
    if isinstance(data, Blob):
        return data.data
    return base64.b64decode(expect(data, str), validate=True)


# --- sequences and sets ------------------------------------------------------------------------


def _list(value: list[object], enc: Encoder) -> Json:
    return enc.each(value)


def _tuple(value: tuple[object, ...], enc: Encoder) -> Json:
    return {TAG: "tuple", "items": enc.each(value)}


def _set(value: set[object] | frozenset[object], enc: Encoder) -> Json:
    # Sorted, because a set's order differs between processes and a tape is compared by its text.
    items = sorted(
        enc.each(value, "{{item {}}}"), key=lambda item: json.dumps(item, sort_keys=True, default=text_of)
    )
    return {TAG: type(value).__name__, "items": items}


def hashed(items: list[object], dec: Decoder) -> list[object]:
    """`items`, which are about to be hashed. Raises DecodeError when too many of them share a hash.

    The sandbox can choose them so: hash(n) is n modulo 2**61 - 1, for every kind of number, and a set
    of 30,000 multiples of that takes half a minute to build. -1 and -2 share one too.
    """
    hashes = list(map(hash, items))
    if len(set(hashes)) == len(hashes):
        return items
    seen: dict[int, int] = {}
    for item, key in zip(items, hashes, strict=True):
        before = seen[key] = seen.get(key, 0) + 1
        if before > 1:
            dec.compare((before - 1) * _cost(item))
    return items


def _cost(value: object) -> int:
    """How many simple comparisons it takes at most to compare `value` with another one of its hash."""
    if isinstance(value, Record):
        value = tuple(value.__dict__.values())
    if isinstance(value, tuple):
        return 1 + sum(map(_cost, value))
    if type(value) is frozenset:
        alike = len(value) - len(set(map(hash, value))) + 1
        return 1 + alike * sum(map(_cost, value))
    if type(value) is int:
        digits = value.bit_length() // 3
    elif type(value) is Fraction:
        digits = (value.numerator.bit_length() + value.denominator.bit_length()) // 3
    elif type(value) is Decimal and value.is_finite():
        digits = max(len(str(value)), abs(value.adjusted()))
    else:
        return 1
    simple = _OF_FRACTIONS if type(value) is Fraction else 1
    return (
        simple if digits <= _LONG else simple * digits * digits // _LONG
    )  # an int and a Decimal: one is converted


def _deque(value: deque[object], enc: Encoder) -> Json:
    return {TAG: "deque", "items": enc.each(value), "maxlen": value.maxlen}


def _to_deque(data: Encoded, dec: Decoder) -> object:
    maxlen = data["maxlen"]
    return deque(dec.each(data["items"]), None if maxlen is None else expect(maxlen, int))


# --- dicts -------------------------------------------------------------------------------------


def _dict(value: dict[object, object], enc: Encoder) -> Json:
    if TAG not in value and all(type(key) is str and is_plain(key) for key in value):
        return enc.named(value)  # type: ignore[arg-type]  # every key is a str, by the line above
    return {TAG: "dict", "items": pairs(value, enc)}


def pairs(value: Mapping[Any, Any], enc: Encoder) -> Json:
    """Keys and values in order."""
    encoded: list[Json] = []
    key: object = None
    try:
        for key, item in value.items():
            encoded.append([enc(key), enc(item)])
    except EncodeError as error:
        error.within(f"[{reprlib.repr(key)}]")
        raise
    return encoded


def _special_dict(value: dict[object, object], enc: Encoder) -> Json:
    return {TAG: "dict", "items": pairs(value, enc), "type": type(value).__name__}


def _defaultdict(value: defaultdict[object, object], enc: Encoder) -> Json:
    factory = value.default_factory
    name = getattr(factory, "__name__", None)
    if factory is not None and _FACTORIES.get(str(name)) is not factory:
        return {TAG: "dict", "items": pairs(value, enc)} if enc.fallback else enc.refuse(value)
    return {TAG: "dict", "items": pairs(value, enc), "type": "defaultdict", "factory": name}


def _to_dict(data: Encoded, dec: Decoder) -> object:
    items = [_pair(pair, dec) for pair in array(data["items"])]
    hashed([key for key, _ in items], dec)
    match data.get("type"):
        case None:
            return dict(items)
        case "OrderedDict":
            return OrderedDict(items)
        case "Counter":
            return Counter(dict(items))
        case "defaultdict":
            name = data["factory"]
            return defaultdict(None if name is None else _FACTORIES[expect(name, str)], items)
        case other:
            raise DecodeError(f"unknown dict type {str(other)[:40]!r}")


def _pair(data: Json, dec: Decoder) -> tuple[object, object]:
    key, value = array(data)
    return dec(key), dec(value)


# --- records -----------------------------------------------------------------------------------


def record(kind: str, name: str, fields: Mapping[str, object], enc: Encoder) -> Json:
    """The encoded form of an object with fields; `kind` is record or namedtuple."""
    fields = {key: value for key, value in fields.items() if not key.startswith("__")}
    return {TAG: kind, "type": name[:_MAX_NAME], "fields": enc.named(fields, ".{}")}


def _record(value: Record, enc: Encoder) -> Json:
    return record("record", value._type_name, Record._asdict(value), enc)


def _tuple_record(value: TupleRecord, enc: Encoder) -> Json:
    return record("namedtuple", value._type_name, TupleRecord._asdict(value), enc)


def _to_record(data: Encoded, dec: Decoder) -> object:
    name, fields = expect(data["type"], str), dec.named(data["fields"])
    if len(name) > _MAX_NAME or any(field.startswith("__") for field in fields):
        raise DecodeError(f"not the type and fields of a record: {name[:40]!r}")
    return (TupleRecord if data[TAG] == "namedtuple" else Record)(name, fields)


def _opaque(value: Opaque, enc: Encoder) -> Json:
    if not enc.fallback:
        raise EncodeError(f"{value!r} stayed on the host and cannot be sent back")
    return {TAG: "opaque", "type": value.type_name, "repr": value.text}


def _to_opaque(data: Encoded, dec: Decoder) -> object:
    return Opaque(expect(data["type"], str), expect(data["repr"], str))


def _to_tuple(data: Encoded, dec: Decoder) -> object:
    return tuple(dec.each(data["items"]))


def _collect(kind: Callable[[Iterable[object]], object]) -> Decode:
    return lambda data, dec: kind(hashed(dec.each(data["items"]), dec))


ENCODERS: dict[type, Encode] = {
    list: _list,
    tuple: _tuple,
    set: _set,
    frozenset: _set,
    deque: _deque,
    dict: _dict,
    OrderedDict: _special_dict,
    Counter: _special_dict,
    defaultdict: _defaultdict,
    Record: _record,
    TupleRecord: _tuple_record,
    Opaque: _opaque,
}
DECODERS: dict[str, Decode] = {
    "tuple": _to_tuple,
    "set": _collect(set),
    "frozenset": _collect(frozenset),
    "deque": _to_deque,
    "dict": _to_dict,
    "record": _to_record,
    "namedtuple": _to_record,
    "opaque": _to_opaque,
}
