"""Owns compact JSON text: ASCII, without spaces, by encoders that are made once.

`json.JSONEncoder.encode` makes a new encoder for each value, which takes longer than to encode a small one.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from json import encoder
from typing import Any

from .blob import text_of
from .messages import Json

Text = Callable[[Json], str]


def compact(
    *, allow_nan: bool = True, sort_keys: bool = False, default: Callable[[object], Json] = text_of
) -> Text:
    """A function that gives the text of a value. `default`: what stands for one that is no JSON.

    It raises ValueError for what is not finite, unless `allow_nan`, and RecursionError for what is too deep
    or contains itself.
    """
    make: Any = getattr(encoder, "c_make_encoder", None)
    if make is None:  # Another Python than CPython.
        said: dict[str, Any] = {"separators": (",", ":"), "allow_nan": allow_nan, "sort_keys": sort_keys}
        return json.JSONEncoder(**said, default=default).encode
    ascii_only: Any = encoder.encode_basestring_ascii
    pieces = make(None, default, ascii_only, None, ":", ",", sort_keys, False, allow_nan)
    return lambda value: "".join(pieces(value, 0))
