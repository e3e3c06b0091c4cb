"""Owns the type of a final answer: what the model is told of it, and the check on the host."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from ..exceptions import ToolCallError, ToolDefinitionError, UsageError
from ..wire.frames import FINAL_ANSWER
from ..wire.messages import Json
from ..wire.values import DecodeError, decode
from .checking import Checker
from .failures import cut
from .json_schema import SchemaChecker
from .mismatch import Mismatch


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
            return cls(SchemaChecker(spec).convert, spec)
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
