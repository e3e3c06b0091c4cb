"""Owns what an MCP client gets of a cell: text bounded as for a model of ours, images, facts as data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ..config import OutputLimits
from ..digest import digest
from ..envelope import clean, note
from ..events import Text
from ..trajectory import Observation, Step
from . import brief
from .terminal import clip

if TYPE_CHECKING:
    from mcp_types import CallToolResult, ContentBlock

MAX_FILES = 100
MAX_MESSAGE = 500
_TEXT = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 0}
_FILE = {"name": _TEXT, "size": _COUNT, "media_type": _TEXT}
_ERROR = {"name": _TEXT, "message": _TEXT}


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": dict(properties), "required": [*properties]}


CELL = _object(
    {
        "status": {"enum": ["ok", "error", "timeout", "killed"]},
        "execution_count": {"type": ["integer", "null"]},
        "output": {**_TEXT, "description": "What the cell showed, shortened where it is long."},
        "error": {"anyOf": [_object(_ERROR), {"type": "null"}]},
        "files": {"type": "array", "items": _object(_FILE), "description": "Written in the working folder."},
        "tool_calls": {**_COUNT, "description": "Calls of tools outside of the kernel."},
        "duration_s": {"type": "number"},
    }
)
"""Schema of what `run_cell` gives."""
VARIABLES = _object({"variables": {"type": "array", "items": _object({"name": _TEXT, "type": _TEXT})}})
RESET = _object({"saved": {"type": ["string", "null"], "description": "The notebook of what was run."}})
SAVED = _object({"path": _TEXT, "steps": _COUNT})


def cell_result(step: Step, limits: OutputLimits, notes: Iterable[str] = ()) -> CallToolResult:
    """What a client gets of a step. A failed cell is a result with `is_error`: its model can correct it."""
    from mcp_types import CallToolResult, TextContent

    seen = step.observation
    content = [*_content(seen, limits)]
    said = [note(one) for one in (*notes, *step.notes)]
    content += [TextContent(text="\n".join(said))] if said else []
    texts = [block.text for block in content if isinstance(block, TextContent)]
    facts = {
        "status": seen.status,
        "execution_count": seen.execution_count,
        "output": "\n".join(texts),
        "error": _error(seen),
        "files": [
            {"name": clean(file.name), "size": file.size, "media_type": clean(file.media_type)}
            for file in seen.files[:MAX_FILES]
        ],
        "tool_calls": brief.counted(seen.tool_calls),
        "duration_s": round(seen.duration_s, 3),
    }
    return CallToolResult(content=content, structured_content=facts, is_error=seen.status != "ok")


def facts_result(facts: Mapping[str, Any], text: str) -> CallToolResult:
    """A result that is data, with the same in words."""
    from mcp_types import CallToolResult, TextContent

    return CallToolResult(content=[TextContent(text=clean(text))], structured_content=dict(facts))


def problem_result(problem: object) -> CallToolResult:
    """What was asked for cannot be done, and why."""
    from mcp_types import CallToolResult, TextContent

    return CallToolResult(content=[TextContent(text=clean(str(problem)))], is_error=True)


def _content(seen: Observation, limits: OutputLimits) -> Iterator[ContentBlock]:
    from mcp_types import ImageContent, TextContent

    for part in digest(seen, limits):
        if isinstance(part, Text):
            yield TextContent(text=part.text)
        else:
            yield ImageContent(data=part.data, mime_type=part.media_type)


def _error(seen: Observation) -> dict[str, str] | None:
    if seen.error is not None:
        name, message = seen.error.ename, seen.error.evalue
    elif seen.status != "ok":
        name, message = seen.status, seen.reason or ""
    else:
        return None
    return {"name": clean(clip(name, 100)), "message": clean(clip(message, MAX_MESSAGE))}
