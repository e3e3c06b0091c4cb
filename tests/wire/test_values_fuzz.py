"""The decoder against documents that are almost right: what honest values encode to, with one thing changed.

`test_values_hostile` makes documents from nothing, which rarely get past the first check of a codec.
"""

from __future__ import annotations

import json
import time
import tracemalloc
import warnings
from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codeact_kernel.wire.values import DecodeError, decode, encode

from .test_values import values
from .test_values_hostile import documents, scalars

SECONDS = 2.0
TIMES = 60
"""Memory a document may take while it is read, times its own size as text."""
SPARE = 4 * 1024 * 1024

FRAMES: list[Any] = [
    np.arange(6, dtype="<i4").reshape(2, 3),
    np.array([("a", 1.5)], dtype=[("name", "U4"), ("value", "<f8")]),
    np.array([1, "x", None], dtype=object),
    np.array(["2024-01-01", "NaT"], dtype="datetime64[ns]"),
    np.float32(1.5),
    pd.Timestamp("2024-01-01 12:00", tz="Europe/Paris"),
    pd.Timedelta("1D"),
    pd.Period("2024-01", "M"),
    pd.Interval(0, 1),
    pd.Series([1.0, None], name="x"),
    pd.Series(["a", None], dtype="string"),
    pd.Series([1, None], dtype="Int64"),
    pd.Series(pd.Categorical(["a", "b", "a"], ordered=True)),
    pd.DataFrame({"a": [1, 2], "b": ["x", None], "c": pd.to_datetime(["2024-01-01", None])}),
    pd.DataFrame({"a": [1.0]}, index=pd.MultiIndex.from_tuples([("x", 1)], names=["k", None])),
    pd.DataFrame({"t": [datetime(2024, 1, 1, tzinfo=UTC)], "d": [Decimal("1.50")]}),
    pd.RangeIndex(0, 10, 2),
    pd.date_range("2024-01-01", periods=3, freq="D"),
    pd.interval_range(0, 3),
]
honest = st.one_of(values, st.sampled_from(FRAMES)).map(encode)
sizes = st.sampled_from([0, -1, 1, 2**31, 2**63, 10**12, 10**4000, 1e308])
odd = st.one_of(scalars, documents, sizes)


def places(document: Any) -> Iterator[tuple[Any, Any]]:
    """(container, key) of every part of a document."""
    pairs: Any = ()
    if isinstance(document, dict):
        pairs = document.items()
    elif isinstance(document, list):
        pairs = enumerate(document)
    for key, value in list(pairs):
        yield document, key
        yield from places(value)


@st.composite
def changed(draw: st.DrawFn) -> Any:
    """An honest document with one to three of its parts replaced, removed, repeated or swapped."""
    document = [json.loads(json.dumps(draw(honest)))]
    for _ in range(draw(st.integers(1, 3))):
        found = list(places(document))
        container, key = found[draw(st.integers(0, len(found) - 1))]
        match draw(st.sampled_from(["replace", "remove", "wrap", "copy", "text"])):
            case "replace":
                container[key] = draw(odd)
            case "remove" if container is not document:
                del container[key]
            case "wrap":
                container[key] = [container[key]] * draw(st.integers(0, 3))
            case "copy":
                other, name = found[draw(st.integers(0, len(found) - 1))]
                container[key] = deepcopy(other[name]) if name in range_of(other) else None
            case "text" if isinstance(container[key], str):
                text = container[key]
                at = draw(st.integers(0, len(text)))
                container[key] = text[:at] + draw(st.text(max_size=3)) + text[at + draw(st.integers(0, 3)) :]
    return document[0] if document else None


def range_of(container: Any) -> Any:
    return container if isinstance(container, dict) else range(len(container))


def read(document: Any) -> object:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas warns of odd frequencies
        try:
            return decode(document)
        except DecodeError as problem:
            return problem


@given(changed())
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
def test_almost_honest_document_is_a_value_or_a_decode_error(document: Any) -> None:
    began = time.monotonic()
    found = read(document)
    assert time.monotonic() - began < SECONDS
    if not isinstance(found, DecodeError):
        repr(found)


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: type(frame).__name__)
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_every_size_of_a_table_can_lie(frame: Any, data: st.DataObject) -> None:
    document = json.loads(json.dumps(encode(frame)))
    numbers = [(c, k) for c, k in places([document]) if isinstance(c[k], int | float) or k == "shape"]
    if not numbers:
        return
    container, key = data.draw(st.sampled_from(numbers))
    container[key] = data.draw(st.one_of(sizes, st.lists(sizes, max_size=3)))
    read(document)


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: type(frame).__name__)
def test_memory_is_bounded_by_the_size_of_the_document(frame: Any) -> None:
    """Whatever a number in it says."""
    document = json.loads(json.dumps(encode(frame)))
    read(document)  # what numpy and pandas import on first use is not the document's
    for container, key in list(places([document])):
        kept = container[key]
        if isinstance(kept, str | dict):
            continue
        for lie in (10**9, 2**62, [10**9], [10**5, 10**5], [2**31, 2**31, 2**31]):
            container[key] = lie
            tracemalloc.start()
            read(document)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert peak < TIMES * len(json.dumps(document)) + SPARE, (key, lie)
        container[key] = kept
