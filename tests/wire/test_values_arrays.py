"""numpy and pandas values cross exactly, without pickle."""

from __future__ import annotations

import warnings
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from codeact_kernel.wire.frames import FrameReader, pack
from codeact_kernel.wire.values import EncodeError, Opaque, decode, encode


def crossed(value: object, *, fallback: bool = False) -> Any:
    """`value` after the way through a frame's bytes."""
    [message] = FrameReader(max_bytes=10**9).feed(pack({"v": encode(value, fallback=fallback)}))
    return decode(message["v"])


dtypes = st.one_of(
    npst.scalar_dtypes(),
    npst.array_dtypes(npst.scalar_dtypes(), allow_subarrays=True),
    npst.nested_dtypes(max_itemsize=100),
)
shapes = npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)


@given(npst.arrays(dtypes, shapes))
@settings(deadline=None)
def test_any_array_crosses_exactly(array: Any) -> None:
    there = crossed(array)
    assert type(there) is np.ndarray
    assert (there.dtype, there.shape) == (array.dtype, array.shape)
    assert there.tobytes() == array.tobytes()
    assert there.flags.writeable


@given(npst.arrays(npst.scalar_dtypes(), (1,)))
@settings(deadline=None)
def test_any_scalar_crosses_exactly(array: Any) -> None:
    scalar = array[0]
    there = crossed(scalar)
    assert type(there) is type(scalar)
    assert np.asarray(there).tobytes() == np.asarray(scalar).tobytes() or np.isnan(scalar)


@pytest.mark.parametrize(
    "array",
    [
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.arange(10)[::3],
        np.zeros(3, np.dtype([("a", "i1"), ("b", "f8")], align=True)),
        np.zeros(2, [(("title", "name"), "i4", (2, 3))]),
        np.zeros((2, 0), "S0"),
        np.array("2024-01-01", "M8[D]"),
    ],
    ids=lambda array: str(array.dtype),
)
def test_layouts(array: Any) -> None:
    there = crossed(array)
    assert (there.dtype, there.shape, there.tobytes()) == (array.dtype, array.shape, array.tobytes())


def test_objects_and_strings_are_sent_item_by_item() -> None:
    array = np.empty((2, 2), object)
    array[0, 0], array[0, 1], array[1, 0] = [1, 2], Decimal("1.5"), np.int8(3)
    there = crossed(array)
    assert (there.shape, there.tolist(), type(there[1, 0])) == ((2, 2), array.tolist(), np.int8)
    words = np.array(["a", "bc"], np.dtypes.StringDType())
    assert crossed(words).dtype == words.dtype
    assert crossed(words).tolist() == ["a", "bc"]


@pytest.mark.parametrize("scalar", [np.str_("a\0"), np.bytes_(b"a\0"), np.longdouble(1) / 3, np.longlong(5)])
def test_odd_scalars(scalar: Any) -> None:
    assert type(crossed(scalar)) is type(scalar)
    assert crossed(scalar) == scalar


def test_numpy_integers_are_readable_on_the_tape() -> None:
    assert encode(np.int64(7)) == {"$": "numpy", "dtype": "int64", "value": 7}


def test_subclasses_of_arrays_are_refused() -> None:
    masked = np.ma.masked_array([1, 2], [True, False])
    with pytest.raises(EncodeError, match="MaskedArray"):
        encode([masked])
    assert isinstance(crossed(masked, fallback=True), Opaque)


# --- pandas ------------------------------------------------------------------------------------

paris = "Europe/Paris"
columns: dict[str, Any] = {
    "int": [1, 2],
    "float": np.array([1.5, np.nan], "f4"),
    "str": ["x", None],
    "object": pd.Series([(1, 2), {"a": Decimal(1)}], dtype=object),
    "text objects": pd.Series(["a", None], dtype=object),
    "category": pd.Categorical(["u", None], categories=["v", "u"], ordered=True),
    "zoned": pd.to_datetime(["2024-01-01", None]).tz_localize(paris),
    "seconds": pd.to_datetime(["2024-01-01", "2024-06-01"]).as_unit("s"),
    "timedelta": pd.to_timedelta([1, None], unit="s"),
    "Int64": pd.array([2**62, None], dtype="Int64"),
    "UInt8": pd.array([1, None], dtype="UInt8"),
    "Float32": pd.array([1.5, None], dtype="Float32"),
    "boolean": pd.array([True, None], dtype="boolean"),
    "string": pd.array(["x", None], dtype="string"),
    "interval": pd.interval_range(0.0, 2.0, periods=2),
    "cut": pd.cut([1, 5], 2),
    "period": pd.period_range("2024-01", periods=2, freq="M"),
}


@pytest.mark.parametrize("name", columns)
def test_series_and_index_of_every_dtype(name: str) -> None:
    series = pd.Series(columns[name], name=("named", 1))
    pd.testing.assert_series_equal(crossed(series), series)
    index = pd.Index(columns[name], name=name)
    pd.testing.assert_index_equal(crossed(index), index, exact=True)


def test_frame_of_everything() -> None:
    frame = pd.DataFrame(columns)
    pd.testing.assert_frame_equal(crossed(frame), frame)
    keyed = frame.set_index(["int", "zoned", "category"])
    pd.testing.assert_frame_equal(crossed(keyed), keyed)


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame(),
        pd.DataFrame(index=[3, 1]),
        pd.DataFrame(columns=["a", "b"]),
        pd.DataFrame([[1, "x"]], columns=["same", "same"]),
        pd.DataFrame(
            np.eye(2),
            columns=pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["x", None]),
            index=pd.date_range("2024-01-01", periods=2, freq="D", name="when", tz=paris),
        ),
        pd.DataFrame({"a": [1]}).rename_axis(columns="field"),
    ],
    ids=["empty", "no columns", "no rows", "same labels", "multi", "named columns"],
)
def test_shapes_of_frames(frame: Any) -> None:
    pd.testing.assert_frame_equal(crossed(frame), frame, check_freq=True)


@pytest.mark.parametrize(
    "value",
    [
        pd.Timestamp("2024-01-01 00:00:00.000000001"),
        pd.Timestamp("2024-10-27 01:30", tz="UTC").tz_convert(paris),
        pd.Timestamp("1600-01-01").as_unit("s"),
        pd.Timedelta(-1, "ns"),
        pd.Period("2024-01", "M"),
        pd.Interval(0, 1, closed="left"),
        pd.array([1, None], dtype="Int64"),
        pd.Categorical(["a"]),
        pd.RangeIndex(3, name="n"),
        pd.NaT,
        pd.NA,
    ],
    ids=repr,
)
def test_pandas_values(value: Any) -> None:
    there = crossed(value)
    assert type(there) is type(value)
    assert repr(there) == repr(value)


def test_a_frame_with_something_that_cannot_be_sent() -> None:
    with pytest.raises(EncodeError, match="cannot send a value of type object"):
        encode(pd.DataFrame({"a": [object()]}))
    there = crossed(pd.DataFrame({"a": [object()], "b": [1]}), fallback=True)
    assert isinstance(there["a"][0], Opaque)
    assert there["b"][0] == 1


def test_a_big_frame_is_quick_enough_to_return() -> None:
    frame = pd.DataFrame(np.zeros((100_000, 10)))
    with warnings.catch_warnings(action="error"):
        pd.testing.assert_frame_equal(crossed(frame), frame)
