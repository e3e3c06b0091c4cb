"""Owns the translation of Jupyter messages into ours. What does not have the right shape is dropped."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..outputs import ClearOutput, CommMessage, Display, DisplayUpdate, Error, Output, Result, Stream
from ..wire.messages import Json

MAX_MIME_TYPES = 64
MAX_TRACEBACK_LINES = 2000
WIDGETS = "jupyter.widget"
"""The only target of comms: no other object of a front end is within the sandbox's reach."""
_COMM_ID = re.compile(r"[A-Za-z0-9_.-]{1,100}")
MAX_MATCHES = 1000
MAX_MATCH = 1000
"""Characters of a completion, and of what is said of it."""
MAX_DOC = 100_000


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


# --- what a front end asks for ---------------------------------------------------------------------


def comm_of(message: Mapping[str, Any]) -> CommMessage | None:
    """A widget's message; None when it is malformed, or wants another target."""
    content, kind = message["content"], message["header"].get("msg_type")
    comm_id, target = content.get("comm_id"), content.get("target_name", "")
    if not isinstance(comm_id, str) or not _COMM_ID.fullmatch(comm_id):
        return None
    data, metadata = _dict(content.get("data")), _dict(message.get("metadata"))
    buffers = tuple(message.get("buffers", ()))
    match kind:
        case "comm_open" if target == WIDGETS:
            return CommMessage("open", comm_id, data, WIDGETS, metadata, buffers)
        case "comm_msg":
            return CommMessage("msg", comm_id, data, "", metadata, buffers)
        case "comm_close":
            return CommMessage("close", comm_id, data, "", metadata, buffers)
        case _:
            return None


def completion_of(content: Mapping[str, Any], code: str, cursor: int) -> dict[str, Json]:
    """A complete_reply of plain texts, whose range lies in the code."""
    matches, start, end = content.get("matches"), content.get("cursor_start"), content.get("cursor_end")
    sane = type(start) is int and type(end) is int and 0 <= start <= end <= len(code)
    if not sane or not isinstance(matches, list):
        matches, start, end = [], cursor, cursor
    kept = [match for match in matches[:MAX_MATCHES] if _is_plain(match)]
    found = _dict(content.get("metadata")).get("_jupyter_types_experimental")
    typed = [_typed(entry) for entry in found[:MAX_MATCHES]] if isinstance(found, list) else []
    texts = set(kept)
    types = [entry for entry in typed if entry["text"] in texts]
    metadata: dict[str, Json] = {"_jupyter_types_experimental": types} if types else {}
    return {"status": "ok", "matches": kept, "cursor_start": start, "cursor_end": end, "metadata": metadata}


def _typed(found: object) -> dict[str, Json]:
    entry = _dict(found)
    names = ("text", "type", "signature")
    texts: dict[str, Json] = {name: entry[name] for name in names if _is_plain(entry.get(name))}
    places: dict[str, Json] = {name: entry[name] for name in ("start", "end") if type(entry.get(name)) is int}
    return {"text": "", "type": "", **texts, **places}


def inspection_of(content: Mapping[str, Any]) -> dict[str, Json]:
    """An inspect_reply with its text; HTML and whatever else is left out."""
    text = _dict(content.get("data")).get("text/plain")
    found = content.get("found") is True and isinstance(text, str)
    data: dict[str, Json] = {"text/plain": text[:MAX_DOC]} if found and isinstance(text, str) else {}
    return {"status": "ok", "found": found, "data": data, "metadata": {}}


def _is_plain(text: object) -> bool:
    return isinstance(text, str) and text.isprintable() and len(text) <= MAX_MATCH
