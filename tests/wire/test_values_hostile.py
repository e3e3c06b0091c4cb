"""The decoder takes anything from the sandbox: a value, or DecodeError, quickly, and nothing else."""

from __future__ import annotations

import base64
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codeact_kernel.wire import enums
from codeact_kernel.wire.messages import Json
from codeact_kernel.wire.values import _DECODERS, DecodeError, decode

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["<f8", "O", "T", "|V0", "i4,O", "UTC", "../../etc/passwd", "1E+999999999999", "0x10"]),
    st.sampled_from(["2024-01-01T00:00:00", "2024-01-01", "sNaN", "Counter", "defaultdict", "IntFlag", "M"]),
    st.binary(max_size=24).map(lambda raw: base64.b64encode(raw).decode()),
)
KEYS = """
items type fields name value members kind hex b64 iso fold tz dtype shape args parts key offset utc unit
ticks ordinal freq ends closed codes categories ordered values mask data index columns levels names array
factory maxlen repr
"""
keys = st.sampled_from(KEYS.split())
tags = st.sampled_from(sorted(_DECODERS))
documents = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(keys, inner, max_size=4),
        st.builds(lambda tag, rest: {"$": tag, **rest}, tags, st.dictionaries(keys, inner, max_size=8)),
    ),
    max_leaves=20,
)


def read(data: Any) -> object:
    """What `decode` gives, or its DecodeError; anything else fails the test."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas warns of odd frequencies
        try:
            return decode(data)
        except DecodeError as problem:
            return problem


@given(documents)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_document_is_a_value_or_a_decode_error(document: Any) -> None:
    read(document)


@pytest.mark.parametrize("tag", sorted(_DECODERS))
@pytest.mark.parametrize(
    "rest", [{}, {"items": 5, "value": [], "data": None, "b64": "%", "array": 1}], ids=str
)
def test_every_tag_refuses_what_is_not_its_own(tag: str, rest: Mapping[str, Json]) -> None:
    if tag in ("NaT", "NA"):
        return
    assert isinstance(read({"$": tag, **rest}), DecodeError)


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


@pytest.mark.parametrize(
    "data",
    [
        {"$": "no such tag"},
        {"$": 5},
        {"$": ["tuple"]},
        {1: 2},
        {"a": (1, 2)},
        object(),
        b"bytes",
        {"$": "dict", "items": [[[1], 2]]},
        {"$": "set", "items": [[1]]},
        {"$": "decimal", "value": "1E+999999999999"},
        {"$": "fraction", "parts": [1, 0]},
        {"$": "zoneinfo", "key": "../../../etc/passwd"},
        {"$": "zoneinfo", "key": "Nowhere/Else"},
        {"$": "range", "args": [0, 1, 0]},
        {"$": "record", "type": "R", "fields": {"__class__": 1}},
        {"$": "record", "type": "R" * 1000, "fields": {}},
        {"$": "ndarray", "dtype": "<f8", "shape": [10**12], "b64": ""},
        {"$": "ndarray", "dtype": "<f8", "shape": [-1], "b64": b64(bytes(8))},
        {"$": "ndarray", "dtype": "|S0", "shape": [10**12], "b64": ""},
        {"$": "ndarray", "dtype": "|O", "shape": [1], "b64": b64(bytes(8))},
        {"$": "ndarray", "dtype": [["a", "|O"]], "shape": [1], "b64": b64(bytes(8))},
        {"$": "ndarray", "dtype": "O", "shape": [3], "items": [1]},
        {"$": "numpy", "dtype": "float64", "value": "1"},
        {"$": "numpy", "dtype": "int8", "value": 1000},
        {"$": "extension", "dtype": "object", "items": []},
        {"$": "enum", "type": "E", "kind": "Enum", "members": {"mro": 1}, "name": "mro"},
        {"$": "enum", "type": "E", "kind": "Enum", "members": {"_missing_": 1}, "name": "_missing_"},
        {"$": "enum", "type": "E", "kind": "Enum", "members": {"A": 1}, "name": "B"},
        {"$": "enum", "type": "E", "kind": "Enum", "members": {"A": 1}, "value": 1},
        {"$": "enum", "type": "E", "kind": "IntEnum", "members": {"A": "x"}, "name": "A"},
        {"$": "enum", "type": "E", "kind": "Flag", "members": {"A": 2**4000}, "name": "A"},
        {"$": "enum", "type": "E E", "kind": "Enum", "members": {"A": 1}, "name": "A"},
        {"$": "enum", "type": "E", "kind": "Enum", "members": {"A": "x" * 20_000}, "name": "A"},
        {"$": "enum", "type": "E", "kind": "Enum", "members": {f"M{n}": n for n in range(300)}, "name": "M1"},
    ],
    ids=lambda data: ascii(data)[:60],
)
def test_what_is_refused(data: Any) -> None:
    assert isinstance(read(data), DecodeError)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda inner: [inner],
        lambda inner: {"a": inner},
        lambda inner: {"$": "tuple", "items": [inner]},
        lambda inner: {"$": "dict", "items": [[1, inner]]},
    ],
)
def test_deep_documents_are_refused_not_recursed_into(wrap: Callable[[Any], Any]) -> None:
    document: Any = 1
    for _ in range(150):
        document = wrap(document)
    assert not isinstance(read(document), DecodeError)
    for _ in range(10_000):
        document = wrap(document)
    assert isinstance(read(document), DecodeError)


def test_memory_of_enum_classes_is_bounded() -> None:
    for number in range(enums.MAX_CLASSES + 100):
        read({"$": "enum", "type": "E", "kind": "Enum", "members": {"A": number}, "name": "A"})
    assert len(enums._classes) <= enums.MAX_CLASSES
