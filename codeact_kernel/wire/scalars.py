"""Owns the codecs of the standard library's scalar types."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PosixPath, PurePath, PurePosixPath, PureWindowsPath, WindowsPath
from uuid import UUID
from zoneinfo import ZoneInfo

from .coding import (
    MAX_SPELLED,
    TAG,
    Decode,
    DecodeError,
    Decoder,
    Encode,
    Encoded,
    Encoder,
    cannot_send,
    expect,
)
from .messages import Json
from .structures import b64, unb64

_MAX_INT_BITS = 200_000
"""Making a Decimal of an int costs the square: of 4 million bits, ten seconds."""
_MAX_FRACTION_BITS = 100_000
"""Of numerator and denominator together: reducing a fraction costs their square."""
_MAX_DECIMAL = 50_000
"""Digits of a Decimal and its exponent: int(Decimal("1E+999999")) takes a minute."""
_BITS_OF_DIGIT = 3.32
_ZONE = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*")


# --- what JSON almost has ----------------------------------------------------------------------


def _int(value: int, enc: Encoder) -> Json:
    if value.bit_length() > _MAX_INT_BITS:
        return enc.too_big(value, f"an int of more than {_MAX_INT_BITS:,} bits; send it as text or bytes")
    return {TAG: "int", "hex": hex(value)}  # hex: reading decimals costs the square of their length


def _to_int(data: Encoded, dec: Decoder) -> object:
    value = int(expect(data["hex"], str), 16)
    if value.bit_length() > _MAX_INT_BITS:
        raise DecodeError(f"an int of more than {_MAX_INT_BITS:,} bits")
    dec.digits(int(value.bit_length() / _BITS_OF_DIGIT))
    return value


def _float(value: float, enc: Encoder) -> Json:
    return {TAG: "float", "value": repr(value)}


def _to_float(data: Encoded, dec: Decoder) -> object:
    return float(expect(data["value"], str))


def _str(value: str, enc: Encoder) -> Json:
    # Only a string with lone surrogates comes here: not every JSON reader and no file keeps those,
    # and a pair of them would be read as one character.
    return {TAG: "str", "b64": b64(value.encode("utf-8", "surrogatepass"), enc)}


def _to_str(data: Encoded, dec: Decoder) -> object:
    return bytes(unb64(data["b64"])).decode("utf-8", "surrogatepass")


def _complex(value: complex, enc: Encoder) -> Json:
    return {TAG: "complex", "parts": [enc(value.real), enc(value.imag)]}


def _to_complex(data: Encoded, dec: Decoder) -> object:
    real, imag = dec.each(data["parts"])
    return complex(expect(real, float), expect(imag, float))


def _bytes(value: bytes | bytearray, enc: Encoder) -> Json:
    return {TAG: type(value).__name__, "b64": b64(bytes(value), enc)}


def _to_bytes(data: Encoded, dec: Decoder) -> object:
    raw = bytes(unb64(data["b64"]))
    return bytearray(raw) if data[TAG] == "bytearray" else raw


def _range(value: range, enc: Encoder) -> Json:
    if not _is_short(value):
        return enc.too_big(value, f"a range of more than {MAX_SPELLED:,} items; send its ends")
    return {TAG: "range", "args": enc.each((value.start, value.stop, value.step))}


def _to_range(data: Encoded, dec: Decoder) -> object:
    start, stop, step = (expect(item, int) for item in dec.each(data["args"]))
    value = range(start, stop, step)
    dec.spell(len(value))
    return value


def _is_short(value: range) -> bool:
    try:
        return len(value) <= MAX_SPELLED
    except OverflowError:
        return False


# --- time --------------------------------------------------------------------------------------


def _moment(value: datetime | time, enc: Encoder) -> Json:
    encoded: dict[str, Json] = {TAG: type(value).__name__, "iso": value.replace(tzinfo=None).isoformat()}
    if value.fold:
        encoded["fold"] = 1
    if value.tzinfo is not None:
        encoded["tz"] = zone(value.tzinfo, enc)
    return encoded


def _datetime(value: datetime, enc: Encoder) -> Json:
    if enc.fallback and value.tzinfo is not None and type(value.tzinfo) not in (timezone, ZoneInfo):
        value = value.astimezone(timezone(value.utcoffset() or timedelta(0)))
    return _moment(value, enc)


def _to_moment(kind: type[datetime] | type[time]) -> Decode:
    def decode(data: Encoded, dec: Decoder) -> object:
        value = kind.fromisoformat(expect(data["iso"], str))
        tz = to_zone(data["tz"], dec) if "tz" in data else None
        return value.replace(tzinfo=tz, fold=1 if data.get("fold") == 1 else 0)

    return decode


def zone(value: tzinfo, enc: Encoder) -> Json:
    """A time zone: a `timezone` or a named `ZoneInfo`. Raises EncodeError for any other."""
    if type(value) is ZoneInfo and value.key is not None:
        return {TAG: "zoneinfo", "key": value.key}
    if type(value) is not timezone:
        raise cannot_send(value)
    return {TAG: "timezone", "args": enc.each(value.__getinitargs__())}  # type: ignore[attr-defined]  # unstubbed


def to_zone(data: Json, dec: Decoder) -> tzinfo:
    value = dec(data)
    if not isinstance(value, tzinfo):
        raise DecodeError(f"not a time zone: {type(value).__name__}")
    return value


def _to_zoneinfo(data: Encoded, dec: Decoder) -> object:
    key = expect(data["key"], str)
    if len(key) > 64 or not _ZONE.fullmatch(key):
        raise DecodeError(f"not a time zone name: {key[:64]!r}")
    return ZoneInfo(key)


def _to_timezone(data: Encoded, dec: Decoder) -> object:
    offset, *name = dec.each(data["args"])
    return timezone(expect(offset, timedelta), *(expect(part, str) for part in name))


def _zone(value: timezone | ZoneInfo, enc: Encoder) -> Json:
    return zone(value, enc)


def _date(value: date, enc: Encoder) -> Json:
    return {TAG: "date", "iso": value.isoformat()}


def _to_date(data: Encoded, dec: Decoder) -> object:
    return date.fromisoformat(expect(data["iso"], str))


def _timedelta(value: timedelta, enc: Encoder) -> Json:
    return {TAG: "timedelta", "args": [value.days, value.seconds, value.microseconds]}


def _to_timedelta(data: Encoded, dec: Decoder) -> object:
    days, seconds, microseconds = (expect(item, int) for item in dec.each(data["args"]))
    return timedelta(days, seconds, microseconds)


# --- numbers and names -------------------------------------------------------------------------


def _uuid(value: UUID, enc: Encoder) -> Json:
    return {TAG: "uuid", "value": str(value)}


def _to_uuid(data: Encoded, dec: Decoder) -> object:
    return UUID(expect(data["value"], str))


def _decimal(value: Decimal, enc: Encoder) -> Json:
    text = str(value)
    if _size(value, text) > _MAX_DECIMAL:
        return enc.too_big(value, f"a Decimal beyond 1E±{_MAX_DECIMAL}, or of so many digits; round it first")
    return {TAG: "decimal", "value": text}


def _size(value: Decimal, text: str) -> int:
    """Digits of the number written without an exponent, or a bit more."""
    return max(len(text), abs(value.adjusted()) if value.is_finite() else 0)


def _to_decimal(data: Encoded, dec: Decoder) -> object:
    text = expect(data["value"], str)
    value = Decimal(text)
    size = _size(value, text)
    if size > _MAX_DECIMAL:
        raise DecodeError(f"a Decimal beyond 1E±{_MAX_DECIMAL}, or of so many digits")
    dec.digits(size)
    return value


def _fraction(value: Fraction, enc: Encoder) -> Json:
    if value.numerator.bit_length() + value.denominator.bit_length() > _MAX_FRACTION_BITS:
        return enc.too_big(value, f"a Fraction of more than {_MAX_FRACTION_BITS} bits; round it first")
    return {TAG: "fraction", "parts": enc.each((value.numerator, value.denominator))}


def _to_fraction(data: Encoded, dec: Decoder) -> object:
    above, below = (expect(part, int) for part in dec.each(data["parts"]))
    if above.bit_length() + below.bit_length() > _MAX_FRACTION_BITS:
        raise DecodeError(f"a Fraction of more than {_MAX_FRACTION_BITS} bits")
    return Fraction(above, below)


_PATHS: dict[str, type[PurePath]] = {
    "Path": Path,
    "PurePosixPath": PurePosixPath,
    "PureWindowsPath": PureWindowsPath,
}


def _path(value: PurePath, enc: Encoder) -> Json:
    kind = "Path" if isinstance(value, Path) else type(value).__name__
    return {TAG: "path", "type": kind, "value": enc(str(value))}


def _to_path(data: Encoded, dec: Decoder) -> object:
    return _PATHS[expect(data["type"], str)](expect(dec(data["value"]), str))


ENCODERS: dict[type, Encode] = {
    int: _int,
    float: _float,
    str: _str,
    complex: _complex,
    bytes: _bytes,
    bytearray: _bytes,
    range: _range,
    datetime: _datetime,
    time: _moment,
    timezone: _zone,
    ZoneInfo: _zone,
    date: _date,
    timedelta: _timedelta,
    Decimal: _decimal,
    Fraction: _fraction,
    UUID: _uuid,
    PosixPath: _path,
    WindowsPath: _path,
    PurePosixPath: _path,
    PureWindowsPath: _path,
}
DECODERS: dict[str, Decode] = {
    "int": _to_int,
    "float": _to_float,
    "str": _to_str,
    "complex": _to_complex,
    "bytes": _to_bytes,
    "bytearray": _to_bytes,
    "range": _to_range,
    "datetime": _to_moment(datetime),
    "time": _to_moment(time),
    "zoneinfo": _to_zoneinfo,
    "timezone": _to_timezone,
    "date": _to_date,
    "timedelta": _to_timedelta,
    "decimal": _to_decimal,
    "fraction": _to_fraction,
    "uuid": _to_uuid,
    "path": _to_path,
}
