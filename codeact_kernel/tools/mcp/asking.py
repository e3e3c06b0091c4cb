"""Owns what a server may ask the person: a form, or to visit a page. The sandbox can never answer it.

A server's words are shown clean and bounded. What cannot be asked is declined, and the user is told.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from time import monotonic
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

import mcp_types as types

from ...wire.messages import Json
from .results import said

MAX_FIELDS = 20
MAX_OPTIONS = 50
MAX_ANSWER = 10_000
MAX_A_MINUTE = 10
"""Questions of one server; what comes beyond is declined unseen."""
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
            raise ValueError(f"choose {least:g} to {most:g} of them, as in 1, 3")
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


class Asking:
    """Answers the questions of one server.

    Args:
        module: whose.
        elicit: None: there never is anybody.
        tell: what the user is told, when nobody was asked.
    """

    def __init__(self, module: str, elicit: Elicit | None, tell: Callable[[str], None]) -> None:
        self._module = module
        self._elicit = elicit
        self._tell = tell
        self._asked: deque[float] = deque(maxlen=MAX_A_MINUTE)
        self._told: set[str] = set()

    async def elicitation(self, params: types.ElicitRequestParams) -> types.ElicitResult:
        """The callback of a connection, in both eras of the protocol."""
        answer = await self.answer(params)
        content = dict(answer.values or {}) if answer.action == "accept" else None
        # The SDK's type for values is narrower than the JSON that a `Field` makes; they are of its kinds.
        return types.ElicitResult.model_validate({"action": answer.action, "content": content})

    async def answer(self, params: types.ElicitRequestParams) -> Answer:
        """What the person says, if there is one. Never raises."""
        try:
            question = question_of(self._module, params)
        except ValueError as problem:
            return self._declined(f"it cannot be shown: {problem}")
        now = monotonic()
        if len(self._asked) == MAX_A_MINUTE and now - self._asked[0] < 60:
            return self._declined(f"more than {MAX_A_MINUTE} questions in a minute")
        self._asked.append(now)
        if self._elicit is None:
            return self._declined("there is nobody who can be asked")
        answer = await self._elicit(question)
        return self._declined(answer.why) if answer.why else answer

    def _declined(self, why: str) -> Answer:
        if why not in self._told and len(self._told) < MAX_A_MINUTE:
            self._told.add(why)
            self._tell(f"a question of the server {self._module} was declined: {why}")
        return Answer("decline")


def question_of(module: str, params: types.ElicitRequestParams) -> Form | Page:
    """What a person is asked. Raises: ValueError for what cannot be."""
    message = said(params.message)
    if isinstance(params, types.ElicitRequestURLParams):
        return Page(module, message, checked_url(params.url))
    return Form(module, message, fields_of(params.requested_schema))


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
    default = rules.get("default")
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
        raise ValueError(f"give {least:g} to {most:g} characters")
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
        raise ValueError(f"give a number from {least:g} to {most:g}")
    return number


def _bound(rules: Mapping[str, Any], key: str, otherwise: float) -> float:
    value = rules.get(key)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else otherwise
