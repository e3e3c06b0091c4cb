"""Owns checking decoded values against a JSON Schema: bounded; references out of the document are refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from referencing import Registry
from referencing.exceptions import Unresolvable

from ..exceptions import UsageError
from ..jupyter_schemas import jsonschema
from ..wire.messages import Json
from ..wire.values import Record
from .failures import failure
from .mismatch import Mismatch, path_text
from .plain import TooLong, jsonable

MAX_VALUES = 100_000
"""Of a value that is checked, which takes some microseconds for each."""
_SHORTER = "give a shorter answer"
_MAX_ERRORS = 100
_MAX_WORK = 300_000
"""For one value, in about microseconds: `$ref` can double at each level."""
_KEYWORD, _BRANCH, _REFERENCE = 4, 4, 40
"""What it takes to look at each."""
_MAX_UNIQUE = 1_000
"""Items that are compared with each other."""
_UNCHECKED = frozenset({"pattern", "patternProperties", "unevaluatedProperties", "unevaluatedItems"})
"""A regular expression of one stranger can take for ever on a text of another."""
_REFERENCES = frozenset({"$ref", "$dynamicRef", "$recursiveRef"})
_BESIDE_PATTERNS = frozenset({"additionalProperties"})


class SchemaChecker:
    """Checks decoded values against a JSON Schema. Raises: UsageError when it is none."""

    def __init__(self, schema: Mapping[str, Json]) -> None:
        kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
        try:
            kind.check_schema(schema)
        except jsonschema.SchemaError as problem:
            place = path_text(tuple(problem.absolute_path)).lstrip(".") or "its top"
            raise UsageError(f"not a JSON Schema: at {place}: {problem.message[:500]}") from None
        self._validator = kind(schema, registry=Registry())

    def convert(self, value: object) -> object:
        """`value` in JSON's terms. Raises Mismatch."""
        try:
            value = short(jsonable(short(value, _SHORTER)), _SHORTER)
            problem = _worst(self._validator, value)
        except TooLong as long:
            raise Mismatch("", str(long)) from None
        except Unresolvable as missing:
            raise UsageError(f"the JSON Schema refers to {missing.ref!r}, which is not in it") from None
        except Exception as other:  # an int too long to be named, a value that cannot be compared
            raise Mismatch("", f"cannot be checked: {failure(other)}") from None
        if problem is not None:
            raise problem
        return value


class StrangersChecker:
    """As `SchemaChecker`, of a schema that nobody vouches for, whose owner checks values as well.

    So what could take long is not looked at: regular expressions, what is beyond `_MAX_WORK`. A schema that
    is none, or refers to others, checks nothing.
    """

    def __init__(self, schema: Mapping[str, Json]) -> None:
        self._left = 0
        base = jsonschema.validators.validator_for(schema, jsonschema.Draft202012Validator)
        keywords = {name: self._bounded(name, check) for name, check in base.VALIDATORS.items()}
        self._validator = jsonschema.validators.extend(base, keywords)(schema, registry=Registry())

    def check(self, value: object) -> None:
        """`value`: plain JSON. Raises: Mismatch."""
        self._left = _MAX_WORK
        try:
            found = _worst(self._validator, value)
        except Exception:  # Enough was looked at; or whatever such a schema brings a checker to.
            return
        if found is not None:
            raise found

    def allows(self, name: str, value: object) -> bool:
        """Whether an argument may have that value, as far as its own schema says."""
        properties: Any = self._validator.schema.get("properties")
        wanted = properties.get(name) if isinstance(properties, Mapping) else None
        self._left = _MAX_WORK
        try:
            return wanted is None or bool(self._validator.evolve(schema=wanted).is_valid(value))
        except Exception:  # As above.
            return True

    def _bounded(self, name: str, check: Any) -> Any:
        def checked(validator: Any, wanted: Any, value: Any, schema: Any) -> Iterator[Any]:
            self._left -= _cost(name, wanted, value)
            if self._left < 0:
                raise TooLong("more than is checked")
            if name in _UNCHECKED or (name in _BESIDE_PATTERNS and "patternProperties" in schema):
                return
            if name != "uniqueItems" or _size(value) <= _MAX_UNIQUE:
                yield from check(validator, wanted, value, schema) or ()

        return checked


def _cost(name: str, wanted: object, value: object) -> int:
    branches = _BRANCH * _size(wanted) if isinstance(wanted, list) else _size(wanted)
    return _KEYWORD + branches + _size(value) + (_REFERENCE if name in _REFERENCES else 0)


def _size(value: object) -> int:
    return len(value) if isinstance(value, list | dict) else 0


def _worst(validator: Any, value: object) -> Mismatch | None:
    found = jsonschema.exceptions.best_match(islice(validator.iter_errors(value), _MAX_ERRORS))
    if found is None:
        return None
    kind = "TypeError" if found.validator == "type" else "ValueError"
    steps = tuple(found.absolute_path)
    return Mismatch(path_text(steps), found.message[:500], kind, steps)


def short(value: object, advice: str = "pass less, or in parts") -> object:
    """`value`. Raises: TooLong when it holds more than `MAX_VALUES`; `advice`: what to do then."""
    left, todo = MAX_VALUES, [value]
    while todo:
        inner = todo.pop()
        if isinstance(inner, list | tuple | set | frozenset | dict | Record):
            left -= len(inner)
            if left < 0:
                raise TooLong(f"more than {MAX_VALUES:,} values; {advice}")
            todo.extend(_values(inner) if isinstance(inner, dict | Record) else inner)
    return value


def _values(mapping: dict[Any, object] | Record) -> Iterable[object]:
    return mapping.values() if isinstance(mapping, dict) else mapping.__dict__.values()
