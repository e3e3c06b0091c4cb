"""Owns what may stand in the state of a widget: one check for each kind of `safe_widget_models`.

A value that does not fit raises `Unfit`: its key is left out of the message.
"""

from __future__ import annotations

import math as numbers
import re
from collections.abc import Callable, Mapping

from ..inert import css
from ..inert.markup import as_text, inert_html
from ..inert.math import defused
from ..inert.text import clean
from ..wire.messages import Json

MAX_TEXT = 1_000_000
"""Characters of one text."""
MAX_ITEMS = 10_000
"""Of one list."""
MAX_NUMBER = 2**53
_WORD = re.compile(r"[a-zA-Z_-]{0,30}", re.ASCII)
_ICON = re.compile(r"[a-z0-9-]{0,40}", re.ASCII)
_ICONS = re.compile(r"[a-z0-9-]{0,40}(?: (?:spin|pulse|fw|lg|border|[2-5]x))?", re.ASCII)
_FORMAT = re.compile(r"[\w,.+%$~#^= -]{0,16}", re.ASCII)
_SIZE = re.compile(r"[0-9.]{0,8}(?:px|em|%)?", re.ASCII)
_MEDIA = re.compile(r"png|jpe?g|gif|webp|mp[34]|webm|ogg|wav", re.ASCII)
_SIDE = re.compile(r"[a-z]{1,15}", re.ASCII)
_MOVED = re.compile(r"-\s*[\d.(]|calc|clamp|min|max", re.ASCII)


class Unfit(Exception):
    """What stands there is not of its kind."""


def fit(kind: str, key: str, value: Json) -> Json:
    """The value as it may be shown. Kinds that name other models or outputs are `WidgetGate`'s."""
    return _CHECKS[kind](key, value)


def _need(holds: object) -> None:
    if not holds:
        raise Unfit


def _list(value: Json) -> list[Json]:
    _need(isinstance(value, list | tuple) and len(value) <= MAX_ITEMS)
    assert isinstance(value, list | tuple)
    return list(value)


def _bool(_: str, value: Json) -> Json:
    _need(value is None or isinstance(value, bool))
    return value


def _number(_: str, value: Json) -> Json:
    if value is None or isinstance(value, bool):
        return value
    if not isinstance(value, int | float):
        raise Unfit
    _need(
        numbers.isfinite(value)
        and abs(value) <= 1e300
        and (isinstance(value, float) or abs(value) <= MAX_NUMBER)
    )
    return value


def _text(_: str, value: Json) -> Json:
    if value is None:
        return None
    if not isinstance(value, str):
        raise Unfit
    _need(len(value) <= MAX_TEXT)
    return defused(clean(value))


def _html(_: str, value: Json) -> Json:
    if not isinstance(value, str):
        raise Unfit
    _need(len(value) <= MAX_TEXT)
    shown = inert_html(value)
    return as_text("HTML that is too large to be shown") if shown is None else shown


def _css(key: str, value: Json) -> Json:
    if value is None or value == "":
        return value
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise Unfit
    kept = css.value(str(value)[:500])
    _need(kept is not None and len(str(value)) <= 500)
    # What is moved out of its place could lie over the page.
    _need(key != "margin" or not _MOVED.search(str(value)))
    return kept


def _matching(pattern: re.Pattern[str]) -> Callable[[str, Json], Json]:
    def check(_: str, value: Json) -> Json:
        _need(value is None or (isinstance(value, str) and pattern.fullmatch(value)))
        return value

    return check


def _list_of(check: Callable[[str, Json], Json]) -> Callable[[str, Json], Json]:
    def each(key: str, value: Json) -> Json:
        return None if value is None else [check(key, item) for item in _list(value)]

    return each


def _moment(key: str, value: Json) -> Json:
    """A date as its parts, a step as a number or "any"."""
    if isinstance(value, Mapping):
        _need(len(value) <= 8 and all(map(_SIDE.fullmatch, value)))
        return {side: _number(key, part) for side, part in value.items()}
    return value if value == "any" else _number(key, value)


_CHECKS: Mapping[str, Callable[[str, Json], Json]] = {
    "bool": _bool,
    "colours": _list_of(_css),
    "css": _css,
    "format": _matching(_FORMAT),
    "html": _html,
    "icon": _matching(_ICONS),
    "icons": _list_of(_matching(_ICON)),
    "media": _matching(_MEDIA),
    "moment": _moment,
    "never": lambda _, __: False,
    "nothing": lambda _, __: [],
    "number": _number,
    "numbers": _list_of(_number),
    "size": _matching(_SIZE),
    "text": _text,
    "texts": _list_of(_text),
    "word": _matching(_WORD),
}
