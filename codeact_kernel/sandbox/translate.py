"""Owns the translation of Jupyter messages into outputs. What does not have the right shape is dropped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..outputs import ClearOutput, Display, DisplayUpdate, Error, Output, Result, Stream

MAX_MIME_TYPES = 64
MAX_TRACEBACK_LINES = 2000


def output_of(message: Mapping[str, Any]) -> Output | None:
    """The output that an iopub message stands for; None when it is none, or malformed."""
    content = message["content"]
    match message["header"].get("msg_type"):
        case "stream":
            return _stream(content)
        case "display_data":
            return Display(_bundle(content), _dict(content.get("metadata")), _display_id(content))
        case "update_display_data":
            display_id = _display_id(content)
            return (
                None
                if display_id is None
                else DisplayUpdate(display_id, _bundle(content), _dict(content.get("metadata")))
            )
        case "execute_result":
            count = content.get("execution_count")
            return Result(
                _bundle(content), count if type(count) is int else 0, _dict(content.get("metadata"))
            )
        case "clear_output":
            return ClearOutput(bool(content.get("wait", False)))
        case "error":
            return _error(content)
        case _:
            return None


def _stream(content: Mapping[str, Any]) -> Output | None:
    match content:
        case {"name": ("stdout" | "stderr") as name, "text": str(text)}:
            return Stream(name, text)
        case _:
            return None


def _error(content: Mapping[str, Any]) -> Error:
    lines = content.get("traceback")
    kept = [line for line in lines if isinstance(line, str)] if isinstance(lines, list) else []
    return Error(
        str(content.get("ename", "")), str(content.get("evalue", "")), tuple(kept[:MAX_TRACEBACK_LINES])
    )


def _bundle(content: Mapping[str, Any]) -> dict[str, Any]:
    data = _dict(content.get("data"))
    return dict(list(data.items())[:MAX_MIME_TYPES])


def _display_id(content: Mapping[str, Any]) -> str | None:
    found = _dict(content.get("transient")).get("display_id")
    return found if isinstance(found, str) else None


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
