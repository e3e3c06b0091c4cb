"""Owns the codecs of pandas objects, column by column. pandas is imported when the first one is met.

No pickle and no pyarrow: a column is a numpy array, or one of pandas' own array types taken apart
into numpy arrays. Index, labels, names and dtypes are kept.
"""

from __future__ import annotations

import re
from typing import Any

from . import moments
from .arrays import encode_array
from .coding import (
    MAX_SPELLED,
    TAG,
    Decode,
    DecodeError,
    Decoder,
    Encode,
    Encoded,
    Encoder,
    array,
    cannot_send,
    expect,
)
from .messages import Json
from .scalars import to_zone, zone
from .structures import hashed

_BY_ITEM = re.compile(r"period\[[A-Za-z0-9-]{1,20}\]|interval\[[A-Za-z0-9\[\], ]{1,60}\]")
"""Extension dtypes that are rare enough to be sent item by item."""


def encoders() -> dict[type, Encode]:
    """By exact type."""
    import pandas as pd

    indexes = (pd.Index, pd.DatetimeIndex, pd.TimedeltaIndex, pd.PeriodIndex, pd.IntervalIndex)
    return {
        **moments.encoders(),
        pd.DataFrame: _frame,
        pd.Series: _series,
        **dict.fromkeys((*indexes, pd.CategoricalIndex), _index),
        pd.RangeIndex: _range_index,
        pd.MultiIndex: _multi_index,
        pd.Categorical: _column,
        **dict.fromkeys((pd.arrays.IntegerArray, pd.arrays.FloatingArray, pd.arrays.BooleanArray), _column),
        pd.arrays.StringArray: _column,
        **dict.fromkeys((pd.arrays.IntervalArray, pd.arrays.PeriodArray), _column),
    }


# --- one column --------------------------------------------------------------------------------


def _column(values: Any, enc: Encoder) -> Json:
    """An array of any dtype: of numpy, or of pandas taken apart."""
    import numpy as np
    import pandas as pd

    if type(values) is pd.arrays.NumpyExtensionArray:
        values = values.to_numpy()
    match values.dtype:
        case np.dtype():
            return encode_array(np.asarray(values), enc)
        case pd.CategoricalDtype() as dtype:
            codes, labels = encode_array(values.codes, enc), enc(dtype.categories)
            return {TAG: "categorical", "codes": codes, "categories": labels, "ordered": bool(dtype.ordered)}
        case pd.DatetimeTZDtype() as dtype:
            moments = values.tz_convert("UTC").tz_localize(None).to_numpy()
            return {TAG: "datetimes", "utc": encode_array(moments, enc), "tz": zone(dtype.tz, enc)}
        case pd.StringDtype() as dtype:
            missing = values.isna()
            items: Json = [None if gap else text for text, gap in zip(values, missing, strict=True)]
            name = "string" if dtype.na_value is pd.NA else "str"
            return {TAG: "strings", "dtype": name, "items": enc.each(items)}  # type: ignore[arg-type]  # str
        case dtype if hasattr(dtype, "numpy_dtype") and hasattr(values, "isna"):
            filled = values.to_numpy(dtype.numpy_dtype, na_value=dtype.numpy_dtype.type(0))
            mask = encode_array(values.isna(), enc)
            return {TAG: "masked", "values": encode_array(filled, enc), "mask": mask}
        case dtype if _BY_ITEM.fullmatch(str(dtype)):
            return {TAG: "extension", "dtype": str(dtype), "items": enc.each(list(values))}
    raise cannot_send(values)


def _to_categorical(data: Encoded, dec: Decoder) -> object:
    import pandas as pd

    ordered = expect(data["ordered"], bool)
    codes, categories = dec(data["codes"]), _distinct(dec(data["categories"]), dec)
    return pd.Categorical.from_codes(codes, categories, ordered=ordered)


def _distinct(labels: object, dec: Decoder) -> object:
    """`labels`, which pandas is about to hash."""
    if isinstance(labels, list | tuple) or str(getattr(labels, "dtype", "")) == "object":
        hashed(list(labels), dec)  # type: ignore[call-overload]  # a list, or an array or index of objects
    return labels


def _to_datetimes(data: Encoded, dec: Decoder) -> object:
    import pandas as pd

    moments = pd.DatetimeIndex(dec(data["utc"])).tz_localize("UTC")
    return moments.tz_convert(to_zone(data["tz"], dec)).array


def _to_strings(data: Encoded, dec: Decoder) -> object:
    import pandas as pd

    name = expect(data["dtype"], str)
    items = [None if item is None else expect(item, str) for item in dec.each(data["items"])]
    if name not in ("str", "string"):
        raise DecodeError(f"not a string dtype: {name[:40]!r}")
    return pd.array(items, dtype=name)


def _to_masked(data: Encoded, dec: Decoder) -> object:
    import pandas as pd

    values: Any = dec(data["values"])
    makers = {"b": pd.arrays.BooleanArray, "f": pd.arrays.FloatingArray}
    return makers.get(values.dtype.kind, pd.arrays.IntegerArray)(values, dec(data["mask"]))


def _to_extension(data: Encoded, dec: Decoder) -> object:
    import pandas as pd

    name = expect(data["dtype"], str)
    if not _BY_ITEM.fullmatch(name):
        raise DecodeError(f"not a dtype that travels by item: {name[:40]!r}")
    return pd.array(dec.each(data["items"]), dtype=name)


# --- index, series, frame ----------------------------------------------------------------------


def _index(value: Any, enc: Encoder) -> Json:
    encoded: dict[str, Json] = {TAG: "index", "data": _column(value.array, enc), "name": enc(value.name)}
    if getattr(value, "freqstr", None) and value.dtype.kind in "mM":
        encoded["freq"] = value.freqstr
    return encoded


def _to_index(data: Encoded, dec: Decoder) -> object:
    import pandas as pd

    values: Any = dec(data["data"])
    index = pd.Index(values, dtype=values.dtype, name=dec(data["name"]))
    if "freq" in data:
        index.freq = expect(data["freq"], str)  # checked by pandas against the values
    return index


def _range_index(value: Any, enc: Encoder) -> Json:
    if len(value) > MAX_SPELLED:
        return enc.too_big(
            value, f"a RangeIndex of more than {MAX_SPELLED:,} items, without rows; send its ends"
        )
    return _range(value, enc)


def _range(value: Any, enc: Encoder) -> Json:
    return {TAG: "range_index", "args": [value.start, value.stop, value.step], "name": enc(value.name)}


def _to_range_index(data: Encoded, dec: Decoder) -> object:
    index = _to_range(data, dec)
    dec.spell(len(index))
    return index


def _to_range(data: Encoded, dec: Decoder) -> Any:
    import pandas as pd

    start, stop, step = (expect(item, int) for item in array(data["args"]))
    return pd.RangeIndex(start, stop, step, name=dec(data["name"]))


def _rows(index: Any, enc: Encoder) -> Json:
    """The index of rows that travel along: it may be as long as they are."""
    import pandas as pd

    return _range(index, enc) if type(index) is pd.RangeIndex else enc(index)


def _to_rows(data: Json, dec: Decoder, count: int) -> Any:
    if isinstance(data, dict) and data.get(TAG) == "range_index":
        index = _to_range(data, dec)
        dec.spell(max(len(index) - count, 0))
        return index
    return dec(data)


def _multi_index(value: Any, enc: Encoder) -> Json:
    codes = [encode_array(codes, enc) for codes in map(_as_array, value.codes)]
    names = enc.each(value.names)
    return {TAG: "multi_index", "levels": enc.each(value.levels), "codes": codes, "names": names}


def _as_array(values: Any) -> Any:
    import numpy as np

    return np.asarray(values)


def _to_multi_index(data: Encoded, dec: Decoder) -> object:
    import pandas as pd

    levels, codes, names = (dec.each(data[key]) for key in ("levels", "codes", "names"))
    for level in levels:
        _distinct(level, dec)
    return pd.MultiIndex(levels=levels, codes=codes, names=names)


def _series(value: Any, enc: Encoder) -> Json:
    data = _column(value.array, enc)
    return {TAG: "series", "data": data, "index": _rows(value.index, enc), "name": enc(value.name)}


def _to_series(data: Encoded, dec: Decoder) -> object:
    values: Any = dec(data["data"])
    return _as_series(values, _to_rows(data["index"], dec, len(values)), dec(data["name"]))


def _as_series(values: Any, index: Any, name: Any = None) -> Any:
    import pandas as pd

    if len(values) != len(index):
        raise DecodeError(f"{len(values)} values for an index of {len(index)}")
    return pd.Series(values, index=index, dtype=values.dtype, name=name)


def _frame(value: Any, enc: Encoder) -> Json:
    columns = [_column_at(value, place, enc) for place in range(value.shape[1])]
    return {
        TAG: "dataframe",
        "columns": enc(value.columns),
        "index": _rows(value.index, enc),
        "data": columns,
    }


def _column_at(frame: Any, place: int, enc: Encoder) -> Json:
    return _column(frame.iloc[:, place].array, enc)


def _to_frame(data: Encoded, dec: Decoder) -> object:
    import pandas as pd

    found: list[Any] = dec.each(data["data"])
    index = _to_rows(data["index"], dec, len(found[0]) if found else 0)
    columns = {n: _as_series(values, index) for n, values in enumerate(found)}
    frame = pd.DataFrame(columns, index=index)
    frame.columns = dec(data["columns"])
    return frame


DECODERS: dict[str, Decode] = {
    **moments.DECODERS,
    "categorical": _to_categorical,
    "datetimes": _to_datetimes,
    "strings": _to_strings,
    "masked": _to_masked,
    "extension": _to_extension,
    "index": _to_index,
    "range_index": _to_range_index,
    "multi_index": _to_multi_index,
    "series": _to_series,
    "dataframe": _to_frame,
}
