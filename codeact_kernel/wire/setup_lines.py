"""Owns what all lines of a setup cell share: quoting, fields that are checked, bytes packed into text."""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Mapping

from .lines import dump_line
from .messages import Json


def quotable(value: Json) -> str:
    """One line that cannot end the raw string it stands in: JSON needs no ' outside its strings."""
    return dump_line(value).replace("'", "\\u0027").replace("\x7f", "\\u007f")


def text_field(entry: Mapping[str, Json], key: str, default: str | None = None) -> str:
    """Raises ValueError when the field is no text, or not there and has no default."""
    value = entry.get(key, default)
    if not isinstance(value, str):
        raise ValueError(f"{key!r} is a string, not {value!r:.100}")
    return value


def count_field(entry: Mapping[str, Json], key: str, default: int | None = None) -> int:
    """A number of bytes. Raises ValueError when it is not, or not there and has no default."""
    value = entry.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise ValueError(f"{key!r} is a number of bytes, not {value!r:.100}")
    return value


def pack(data: bytes) -> str:
    """zlib, then base64."""
    return base64.b64encode(zlib.compress(data, 6)).decode("ascii")


def expand(packed: str, size: int, sha256: str, name: str) -> bytes:
    """What was packed: `size` bytes, which the caller has bounded, of that digest (hex).

    Raises ValueError with `name` for anything else; what it expands to is never more than `size`.
    """
    try:
        data = zlib.decompressobj().decompress(base64.b64decode(packed, validate=True), size + 1)
    except (zlib.error, ValueError) as problem:
        raise ValueError(f"{name} cannot be expanded: {problem}") from None
    if len(data) != size or sha256 != hashlib.sha256(data).hexdigest():
        raise ValueError(f"{name} is not what its digest says")
    return data
