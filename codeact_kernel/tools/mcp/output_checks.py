"""Owns the check of structured results against what their server says of them."""

from __future__ import annotations

from collections.abc import Mapping

import mcp_types as types

from ...wire.messages import Json
from ..json_schema import StrangersChecker
from ..mismatch import Mismatch
from .problems import Violation, plain

MAX_CHECKERS = 200


class OutputChecks:
    """Keeps what it has made of a schema: many results are checked against one."""

    def __init__(self) -> None:
        self._made: dict[int, tuple[Mapping[str, Json], StrangersChecker]] = {}

    def check(self, result: types.CallToolResult, schema: Mapping[str, Json]) -> None:
        """Raises: Violation."""
        if result.structured_content is None and "structured_content" not in result.model_fields_set:
            raise Violation("its answer has no structured content, which its schema says it has")
        try:
            self._checker(schema).check(result.structured_content)
        except Mismatch as problem:
            raise Violation(plain(problem.at("its answer is not what its schema says"))) from None

    def _checker(self, schema: Mapping[str, Json]) -> StrangersChecker:
        made = self._made.get(id(schema))
        if made is None or made[0] is not schema:  # The number may be another's meanwhile.
            if len(self._made) >= MAX_CHECKERS:
                self._made.clear()
            made = self._made[id(schema)] = schema, StrangersChecker(schema)
        return made[1]
