"""Owns the codecs of pandas' scalars: Timestamp, Timedelta, Period, Interval, NaT and NA."""

from __future__ import annotations

from typing import Any

from .coding import TAG, Decode, DecodeError, Decoder, Encode, Encoded, Encoder, expect
from .messages import Json
from .scalars import to_zone, zone

_UNITS = ("s", "ms", "us", "ns")


def encoders() -> dict[type, Encode]:
    """By exact type."""
    import pandas as pd

    return {
        pd.Timestamp: _timestamp,
        pd.Timedelta: _timedelta,
        pd.Period: _period,
        pd.Interval: _interval,
        type(pd.NaT): lambda value, enc: {TAG: "NaT"},
        type(pd.NA): lambda value, enc: {TAG: "NA"},
    }


def _timestamp(value: Any, enc: Encoder) -> Json:
    encoded: dict[str, Json] = {TAG: "timestamp", "utc": _ticks(value.to_datetime64()), "unit": value.unit}
    if value.tzinfo is not None:
        encoded["tz"] = zone(value.tzinfo, enc)
    return encoded


def _to_timestamp(data: Encoded, dec: Decoder) -> object:
    import numpy as np
    import pandas as pd

    moment = pd.Timestamp(np.datetime64(expect(data["utc"], int), _unit(data)))
    return moment.tz_localize("UTC").tz_convert(to_zone(data["tz"], dec)) if "tz" in data else moment


def _timedelta(value: Any, enc: Encoder) -> Json:
    return {TAG: "pandas_timedelta", "ticks": _ticks(value.to_timedelta64()), "unit": value.unit}


def _to_timedelta(data: Encoded, dec: Decoder) -> object:
    import numpy as np
    import pandas as pd

    return pd.Timedelta(np.timedelta64(expect(data["ticks"], int), _unit(data)))


def _ticks(value: Any) -> int:
    return int(value.astype("int64"))


def _unit(data: Encoded) -> Any:
    unit = data["unit"]
    if unit not in _UNITS:
        raise DecodeError(f"not a unit of pandas: {str(unit)[:40]!r}")
    return unit


def _period(value: Any, enc: Encoder) -> Json:
    return {TAG: "period", "ordinal": value.ordinal, "freq": value.freqstr}


def _to_period(data: Encoded, dec: Decoder) -> object:
    import pandas as pd

    return pd.Period(ordinal=expect(data["ordinal"], int), freq=expect(data["freq"], str))


def _interval(value: Any, enc: Encoder) -> Json:
    return {TAG: "interval", "ends": enc.each((value.left, value.right)), "closed": value.closed}


def _to_interval(data: Encoded, dec: Decoder) -> object:
    import pandas as pd

    left, right = dec.each(data["ends"])
    return pd.Interval(left, right, closed=expect(data["closed"], str))


def _missing(data: Encoded, dec: Decoder) -> object:
    import pandas as pd

    return pd.NaT if data[TAG] == "NaT" else pd.NA


DECODERS: dict[str, Decode] = {
    "timestamp": _to_timestamp,
    "pandas_timedelta": _to_timedelta,
    "period": _to_period,
    "interval": _to_interval,
    "NaT": _missing,
    "NA": _missing,
}
