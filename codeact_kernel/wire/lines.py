"""Owns JSON lines: one JSON value as one line of printable ASCII, as tape, setup cell and journal keep it.

Strict JSON, so that any reader in any language can take it: what JSON has no word for (NaN and the
infinities; `wire.values` never produces them bare) is written as null.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import NoReturn

from .blob import Blob
from .compact import compact
from .messages import Json

MAX_DEPTH = 150
"""Levels kept of a value that is nested too deep to be written at once; only hostile ones are."""
TOO_DEEP = "… (nested too deep)"
_encode = compact(allow_nan=False)
_encode_canonical = compact(allow_nan=False, sort_keys=True)


def dump_line(value: Json) -> str:
    """The value as one line without its newline. Takes every JSON value, also a hostile one."""
    try:
        return _encode(value)
    except (ValueError, RecursionError):
        return _encode(writable(value))


def canonical(value: Json) -> str:
    """Equal text for equal values: as `dump_line`, keys sorted."""
    try:
        return _encode_canonical(value)
    except (ValueError, RecursionError):
        return _encode_canonical(writable(value))


def load_line(text: str | bytes) -> dict[str, Json]:
    """The JSON object of one line. Raises ValueError on everything else."""
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("JSON nested too deep") from None
    if not isinstance(value, dict):
        raise ValueError(f"not a JSON object but {type(value).__name__}")
    return value


def writable(value: Json, depth: int = MAX_DEPTH) -> Json:
    """The nearest value that strict JSON can hold, at most `depth` levels deep."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Blob):
        return value.text
    if depth == 0:
        return TOO_DEEP
    if isinstance(value, Mapping):
        return {str(key): writable(item, depth - 1) for key, item in value.items()}
    return [writable(item, depth - 1) for item in value]


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
