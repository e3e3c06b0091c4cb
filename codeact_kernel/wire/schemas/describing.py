"""Owns what docstrings say of parameters and keys: the server's description, and what its type cannot say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from ..messages import Json
from .documents import Schema, items_of, mapping_of
from .texts import inline, is_hidden, one_line

LINE = 300
"""Characters of the description of a parameter."""
VALUE = 80
"""Characters of a limit, such as a pattern."""
_PLAIN_NAME = re.compile(r"[\w$@][\w.$-]*", re.ASCII)
LINES = 50
"""Parameters or keys that are described."""
_LIMITS = (
    *("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf"),
    *("minLength", "maxLength", "pattern", "format", "contentEncoding", "contentMediaType"),
    *("minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties"),
)
_TYPES = frozenset({"string", "integer", "number", "boolean", "null", "array", "object"})
_SAYING = frozenset({"description", *_LIMITS})


def members_doc(schema: Schema, keys: Iterable[str]) -> str:
    """One line for each key of which something is said."""
    properties = mapping_of(schema.get("properties"))
    lines = described({key: properties.get(key) for key in keys})
    others = schema.get("additionalProperties")
    if isinstance(others, Mapping) or others is True:
        kind = mapping_of(others).get("type")
        known = isinstance(kind, str) and kind in _TYPES
        lines.append(f"Further keys are allowed{f': {kind}' if known else '.'}")
    return "\n".join(lines)


def described(schemas: Mapping[str, Json]) -> list[str]:
    """Lines of `- name: "description" (minimum 1)`."""
    said = [
        name for name, each in schemas.items() if isinstance(each, Mapping) and not _SAYING.isdisjoint(each)
    ]
    lines = [f"- {_name(name)}: {remark(schemas[name])}" for name in said[:LINES]]
    return [*lines, f"- … ({len(said) - LINES} more)"] if len(said) > LINES else lines


def remark(schema: Json) -> str:
    """What is said of a value."""
    known = mapping_of(schema)
    text = known.get("description")
    limits = [f"{word} {_value(known[word])}" for word in _LIMITS if word in known]
    said = [inline(text, LINE)] if isinstance(text, str) else []
    return " ".join([*said, *([f"({', '.join(limits)})"] if limits else [])])


def _name(name: str) -> str:
    """Of a parameter as it is; a key of a record may be any text of the server's."""
    fine = _PLAIN_NAME.fullmatch(name) or (name.isidentifier() and not is_hidden(name))
    return name if fine and len(name) <= VALUE else inline(name, VALUE)


def _value(value: Json) -> str:
    if isinstance(value, str):
        return one_line(repr(value[: 2 * VALUE]), VALUE)
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, int | float) and abs(value) < 1e30:
        return str(value)
    return "…" if not items_of(value) else "[…]"
