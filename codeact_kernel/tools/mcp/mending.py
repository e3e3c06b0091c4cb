"""Owns lists of a server in which an entry is wrong: it is left out, and the others stay."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mcp_types.methods import validate_server_result
from pydantic import ValidationError

from .listing import MAX_ITEMS
from .problems import plain
from .results import MAX_PARTS

LISTS = {
    "tools": "tools/list",
    "prompts": "prompts/list",
    "resources": "resources/list",
    "resourceTemplates": "resources/templates/list",
}
PARTS = ("content", "contents", "messages")
"""Of results of tools, resources and prompts."""
BEFORE, SINCE = "2025-11-25", "2026-07-28"
_OF_A_LIST = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
MAX_REMARKS = 20


def mend(result: dict[str, Any], version: str, remarks: list[str]) -> None:
    """Leaves out of the result of an answer, if it is a list, what the protocol does not allow."""
    for key in PARTS:
        parts = result.get(key)
        if isinstance(parts, list):  # A part costs a kilobyte or two in the SDK.
            del parts[MAX_PARTS + 1 :]  # With one more it is refused by who asked for it.
    for key, method in LISTS.items():
        entries = result.get(key)
        if not isinstance(entries, list):
            continue
        del entries[MAX_ITEMS + 1 :]  # With one more it is refused by who asked for it.
        if key == "tools":
            _complete(entries)
        if _said(key, method, version, entries) is None:
            continue
        kept = []
        for entry in entries:
            problem = _said(key, method, version, [entry])
            if problem is None:
                kept.append(entry)
            elif len(remarks) < MAX_REMARKS:
                name = entry.get("name") if isinstance(entry, dict) else None
                remarks.append(f"{key}: {plain(str(name), 100)!r} is left out: {problem}")
        entries[:] = kept


def _complete(tools: Iterable[Any]) -> None:
    """Real servers leave the type out of a schema that takes nothing."""
    for tool in tools:
        schema = tool.get("inputSchema") if isinstance(tool, dict) else None
        if isinstance(schema, dict):
            schema.setdefault("type", "object")


def _said(key: str, method: str, version: str, entries: list[Any]) -> str | None:
    """What is wrong with them."""
    version = SINCE if version >= SINCE else BEFORE
    more = _OF_A_LIST if version == SINCE else {}
    try:
        validate_server_result(method, version, {key: entries, **more})
    except ValidationError as problem:
        first = problem.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(step) for step in first["loc"][2:])
        return plain(f"{place}: {first['msg']}", 200)
    return None
