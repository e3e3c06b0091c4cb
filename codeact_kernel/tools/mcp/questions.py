"""Owns the questions that a server may ask the person, as they are asked: forms with their fields, pages."""

from __future__ import annotations

import math
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

from ...wire.messages import Json
from .words import said

MAX_FIELDS = 20
MAX_OPTIONS = 50
MAX_ANSWER = 10_000
LARGEST = sys.float_info.max
Kind: TypeAlias = Literal["text", "integer", "number", "yes or no", "choice", "choices"]
_KINDS: Mapping[str, Kind] = {
    "string": "text",
    "integer": "integer",
    "number": "number",
    "boolean": "yes or no",
}
_WORDS = {"y": True, "yes": True, "true": True, "n": False, "no": False, "false": False}


@dataclass(frozen=True)
class Field:
    """One field of a form. `default` None: there is none; `options`: values with their labels; `rules`: its
    schema, for the bounds."""

    name: str
    kind: Kind
    title: str = ""
    description: str = ""
    required: bool = False
    default: Json = None
    options: tuple[tuple[str, str], ...] = ()
    rules: Mapping[str, Any] | None = None

    def value(self, text: str) -> Json:
        """What a person means by a line. Raises: ValueError, which says what is wrong with it."""
        text = text.strip()
        if len(text) > MAX_ANSWER:
            raise ValueError(f"more than {MAX_ANSWER:,} characters")
        match self.kind:
            case "text":
                return _text(text, self.rules or {})
            case "integer" | "number":
                return _number(text, self.kind == "integer", self.rules or {})
            case "yes or no":
                if text.lower() not in _WORDS:
                    raise ValueError("answer y or n")
                return _WORDS[text.lower()]
            case "choice":
                return self._chosen(text)
            case "choices":
                return self._several(text)

    def left_out(self) -> Json:
        """What an empty line means; None: nothing is sent. Raises: ValueError where it must be something."""
        if self.default is not None or not self.required:
            return self.default
        if self.kind != "text":
            raise ValueError("it is required")
        return self.value("")

    def _chosen(self, text: str) -> str:
        """By its number, its value, or its label."""
        if text.isdecimal() and len(text) < 4 and 1 <= int(text) <= len(self.options):
            return self.options[int(text) - 1][0]
        for value, label in self.options:
            if text in (value, label):
                return value
        raise ValueError(f"choose a number from 1 to {len(self.options)}")

    def _several(self, text: str) -> list[Json]:
        chosen: list[Json] = [*dict.fromkeys(self._chosen(word.strip()) for word in text.split(",") if word)]
        rules = self.rules or {}
        least, most = _bound(rules, "minItems", 0), _bound(rules, "maxItems", math.inf)
        if not least <= len(chosen) <= most:
            raise ValueError(f"choose {_span(least, most)} of them, as in 1, 3")
        return chosen


@dataclass(frozen=True)
class Form:
    """A server's question. `server`: its module; `message`: its words."""

    server: str
    message: str
    fields: tuple[Field, ...]


@dataclass(frozen=True)
class Page:
    """A page that a server wants the person to visit, where it is to learn what is none of our business."""

    server: str
    message: str
    url: str


@dataclass(frozen=True)
class Answer:
    """What a person says. cancel: the question was left; nobody there: decline, and `why`."""

    action: Literal["accept", "decline", "cancel"]
    values: Mapping[str, Json] | None = None
    why: str = ""


Elicit: TypeAlias = Callable[[Form | Page], Awaitable[Answer]]
"""Asks a person. Never raises."""


def checked_url(url: str) -> str:
    """A URL as it can be shown. Raises: ValueError."""
    if len(url) > 2_000 or not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("its URL has characters that a URL cannot have, or too many")
    if urlsplit(url).scheme not in ("https", "http"):
        raise ValueError(f"its URL begins with neither https nor http: {url[:100]!r}")
    return url


def fields_of(schema: Mapping[str, Any]) -> tuple[Field, ...]:
    """The fields of a form, which are flat. Raises: ValueError."""
    properties, required = schema.get("properties", {}), schema.get("required", [])
    if not isinstance(properties, Mapping) or not isinstance(required, list):
        raise ValueError("its form is no JSON Schema of an object")
    if len(properties) > MAX_FIELDS:
        raise ValueError(f"its form has {len(properties):,} fields; at most {MAX_FIELDS} are asked")
    return tuple(_field(name, rules, name in required) for name, rules in properties.items())


def _field(name: str, rules: Any, required: bool) -> Field:
    if not isinstance(rules, Mapping) or len(name) > 100:
        raise ValueError(f"its field {name[:100]!r} is none")
    title, description = (said(str(rules.get(key) or ""))[:500] for key in ("title", "description"))
    default = _default(rules.get("default"))
    if rules.get("type") == "array":
        items = rules.get("items")
        options = _options(items if isinstance(items, Mapping) else {})
        if not options:
            raise ValueError(f"its field {name!r} is a list of anything")
        return Field(name, "choices", title, description, required, default, options, rules)
    if options := _options(rules):
        return Field(name, "choice", title, description, required, default, options, rules)
    kind = _KINDS.get(str(rules.get("type")))
    if kind is None:
        raise ValueError(f"its field {name!r} is of the type {str(rules.get('type'))[:40]!r}")
    return Field(name, kind, title, description, required, default, (), rules)


def _default(value: object) -> Json:
    """A default that can be sent as it is; None: there is none."""
    if isinstance(value, list) and len(value) <= MAX_OPTIONS and all(isinstance(each, str) for each in value):
        return [str(each)[:MAX_ANSWER] for each in value]
    if isinstance(value, int | float) and abs(value) <= LARGEST:
        return value
    return value if isinstance(value, str) and len(value) <= MAX_ANSWER else None


def _options(rules: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Values and labels of a choice; (): it is none. Raises: ValueError."""
    values, labels = rules.get("enum"), rules.get("enumNames")
    titled = rules.get("oneOf", rules.get("anyOf"))
    pairs: Sequence[tuple[object, object]] = ()
    if isinstance(values, list):
        same = isinstance(labels, list) and len(labels) == len(values)
        pairs = [*zip(values, labels if same and isinstance(labels, list) else values, strict=True)]
    elif isinstance(titled, list):
        pairs = [
            (one.get("const"), one.get("title", one.get("const")))
            for one in titled
            if isinstance(one, Mapping)
        ]
    if len(pairs) > MAX_OPTIONS or not all(isinstance(value, str) for value, _ in pairs):
        raise ValueError(
            f"a choice of its form has more than {MAX_OPTIONS} options, or some that are no text"
        )
    return tuple((str(value), said(str(label))[:200]) for value, label in pairs)


def _text(text: str, rules: Mapping[str, Any]) -> str:
    least, most = _bound(rules, "minLength", 0), _bound(rules, "maxLength", math.inf)
    if not least <= len(text) <= most:
        raise ValueError(f"give {_span(least, most)} characters")
    match rules.get("format"):
        case "email" if "@" not in text[1:-1] or " " in text:
            raise ValueError("that is no address of e-mail")
        case "uri" if not urlsplit(text).scheme:
            raise ValueError("that is no URI, as in https://example.org")
        case "date":
            date.fromisoformat(text)
        case "date-time":
            datetime.fromisoformat(text)
    return text


def _number(text: str, whole: bool, rules: Mapping[str, Any]) -> int | float:
    if len(text) > 100:
        raise ValueError("that is no number")
    number: int | float = int(text) if whole else float(text)
    least, most = _bound(rules, "minimum", -math.inf), _bound(rules, "maximum", math.inf)
    if not math.isfinite(number) or not least <= number <= most:
        raise ValueError(f"give a number, {_span(least, most)}")
    return number


def _span(least: float, most: float) -> str:
    if math.isinf(most):
        return f"at least {least:g}" if math.isfinite(least) else "any"
    return f"{least:g} to {most:g}" if math.isfinite(least) else f"at most {most:g}"


def _bound(rules: Mapping[str, Any], key: str, otherwise: float) -> float:
    value = rules.get(key)
    if isinstance(value, int) and not isinstance(value, bool):
        return max(-LARGEST, min(value, LARGEST))  # Beyond it `float` and `format` raise.
    return value if isinstance(value, float) else otherwise
