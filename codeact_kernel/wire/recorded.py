"""Owns the `%%recorded` cell: how a step that ended `timeout` or `killed` is saved without running again.

    %%recorded {"status": "timeout", "ename": "StepTimeout", "evalue": "stopped after 120 s"}
    while True: pass

The host writes these cells, the magic in `in_kernel.recorded` reads them.
"""

from __future__ import annotations

import json
from typing import Literal, NamedTuple, TypeAlias

MAGIC = "%%recorded"
RecordedStatus: TypeAlias = Literal["timeout", "killed"]


class RecordedHeader(NamedTuple):
    """How the step ended; `ename` is a Python identifier."""

    status: RecordedStatus
    ename: str
    evalue: str


class Recorded(NamedTuple):
    """A recorded cell. `code` is the action, character for character."""

    status: RecordedStatus
    ename: str
    evalue: str
    code: str


def recorded_source(status: RecordedStatus, ename: str, evalue: str, code: str) -> str:
    """The source of the cell that shows `code` and raises `ename: evalue` instead of running it.

    Raises ValueError for a status or an `ename` that `parse_recorded` would not read back.
    """
    header = json.dumps({"status": status, "ename": ename, "evalue": evalue}, ensure_ascii=True)
    parse_header(header)
    return f"{MAGIC} {header}\n{code}"


def parse_recorded(source: str) -> Recorded | None:
    """What `recorded_source` was given; None when `source` is no well-formed recorded cell."""
    first, _, code = source.partition("\n")
    magic, _, header = first.partition(" ")
    if magic != MAGIC:
        return None
    try:
        return Recorded(*parse_header(header), code)
    except ValueError:
        return None


def parse_header(line: str) -> RecordedHeader:
    """The JSON on the magic's line. Raises ValueError that says what is wrong with it."""
    shown = line if len(line) <= 200 else f"{line[:200]}…"
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        raise ValueError(f"{MAGIC} must be followed by one line of JSON, not {shown!r}") from None
    match data:
        case {"status": "timeout" | "killed" as status, "ename": str(ename), "evalue": str(evalue)}:
            if ename.isidentifier():
                return RecordedHeader(status, ename, evalue)
    raise ValueError(
        f'{MAGIC} needs {{"status": "timeout" or "killed", "ename": a class name, "evalue": text}}, '
        f"not {shown!r}"
    )
