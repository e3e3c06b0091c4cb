"""Owns the type of a final answer: what the model is told of it, and the check on the host."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from pydantic import TypeAdapter
from referencing import Registry
from referencing.exceptions import Unresolvable

from ..exceptions import ToolCallError, ToolDefinitionError, UsageError
from ..jupyter_schemas import jsonschema
from ..wire.frames import FINAL_ANSWER
from ..wire.messages import Json
from ..wire.values import DecodeError, Record, decode
from .checking import Checker
from .failures import cut, failure
from .mismatch import Mismatch, path_text
from .plain import TooLong, jsonable

_MAX_VALUES = 100_000
"""Of an answer that is checked against a JSON Schema, which takes some microseconds for each."""
_MAX_ERRORS = 100


class OutputType:
    """A final answer's type. Made with `of`; `check` is what validates an answer."""

    def __init__(self, convert: Any, schema: Mapping[str, Json]) -> None:
        self._convert = convert
        self._schema = schema

    @classmethod
    def of(cls, spec: object) -> OutputType:
        """From a pydantic model, dataclass, TypedDict or any annotation, or from a JSON Schema dict.

        Raises:
            UsageError: values of that type cannot be checked, or the dict is no JSON Schema.
        """
        if isinstance(spec, Mapping):
            return cls(_SchemaChecker(spec).convert, spec)
        try:
            checker = Checker(spec, "output_type")
        except ToolDefinitionError as problem:
            raise UsageError(str(problem)) from None
        return cls(checker.convert, _schema_of(checker.adapter))

    def check(self, encoded: Json) -> object:
        """The answer as the host's own type. Raises ToolCallError with the path to what is wrong."""
        try:
            return self._convert(decode(encoded))
        except DecodeError as problem:
            raise ToolCallError(f"{FINAL_ANSWER}: value: {problem}", "ValueError") from None
        except Mismatch as problem:
            raise ToolCallError(cut(problem.at(f"{FINAL_ANSWER}: value")), "ValueError") from None

    def describe(self) -> str:
        """The type as JSON Schema text, for the prompt."""
        return json.dumps(self._schema, indent=1, ensure_ascii=False)


def _schema_of(adapter: TypeAdapter[Any] | None) -> Mapping[str, Json]:
    if adapter is None:
        return {}
    try:
        return adapter.json_schema()
    except Exception:  # pydantic has no schema for, say, a numpy array; the check still holds
        return {"description": "an instance of the type that the task names"}


class _SchemaChecker:
    """Checks decoded values against a JSON Schema; references out of the document are refused."""

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
            value = _short(jsonable(_short(value)))
            problem = jsonschema.exceptions.best_match(
                islice(self._validator.iter_errors(value), _MAX_ERRORS)
            )
        except TooLong as long:
            raise Mismatch("", str(long)) from None
        except Unresolvable as missing:
            raise UsageError(f"the JSON Schema refers to {missing.ref!r}, which is not in it") from None
        except Exception as other:  # an int too long to be named, a value that cannot be compared
            raise Mismatch("", f"cannot be checked: {failure(other)}") from None
        if problem is not None:
            raise Mismatch(path_text(tuple(problem.absolute_path)), problem.message[:500])
        return value


def _short(value: object) -> object:
    left, todo = _MAX_VALUES, [value]
    while todo:
        inner = todo.pop()
        if isinstance(inner, list | tuple | set | frozenset | dict | Record):
            left -= len(inner)
            if left < 0:
                raise TooLong(f"more than {_MAX_VALUES:,} values; give a shorter answer")
            todo.extend(_values(inner) if isinstance(inner, dict | Record) else inner)
    return value


def _values(mapping: dict[Any, object] | Record) -> Iterable[object]:
    return mapping.values() if isinstance(mapping, dict) else mapping.__dict__.values()
