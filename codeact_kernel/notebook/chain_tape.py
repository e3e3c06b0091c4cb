"""Owns which recorded calls belong to which step, for the chain: read off the lines of the setup cell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..wire.entries import call_digest
from ..wire.lines import load_line
from ..wire.messages import Json
from ..wire.setup_tape import TapeReader
from .chain_content import cells_of, counted, kept_of, split_setup
from .outputs import joined

Calls = Mapping[int, list[Json]]
"""By step: of each call its number, its digest (`entries.call_digest`), who allowed it; in their order."""


@dataclass(frozen=True)
class WrongLine:
    """A line of the tape that is not what was recorded. `step`, `call`: None where the line does not say."""

    step: int | None
    call: int | None
    problem: str


def tape_of(notebook: Mapping[str, Json]) -> Sequence[str]:
    """The lines of the tape, in the source of the setup cell or in its metadata."""
    for cell in cells_of(notebook):
        kept = kept_of(cell)
        if kept is None or kept["kind"] != "setup" or not isinstance(cell, Mapping):
            continue
        outside = kept.get("tape")
        if isinstance(outside, list):
            return [line for line in outside if isinstance(line, str)]
        source = joined(cell.get("source"))
        return split_setup(source)[1] if source and kept.get("verbatim") is not True else []
    return []


def recorded_calls(tape: Sequence[str]) -> Calls:
    """What the chain has of each call. The digests are taken as they stand; `wrong_lines` checks them."""
    found: dict[int, list[Json]] = {}
    for line in tape:
        if line.startswith('{"data":'):
            continue
        try:
            entry = load_line(line)
        except ValueError:
            continue
        step = counted(entry.get("step"))
        if step is not None:
            said: list[Json] = [entry.get("call"), entry.get("digest"), entry.get("approved_by", "")]
            found.setdefault(step, []).append(said)
    return found


def wrong_lines(tape: Sequence[str]) -> Iterator[WrongLine]:
    """Lines that cannot be read, and calls that are not what their digest says."""
    reader = TapeReader()
    for line in tape:
        step = call = None
        try:
            entry = load_line(line)
            step, call, said = counted(entry.get("step")), counted(entry.get("call")), entry.get("digest")
            reader.take(entry)
        except ValueError as problem:
            yield WrongLine(step, call, f"its line on the tape cannot be read: {problem}")
            continue
        if step is not None and said != call_digest(reader.calls[-1]):
            yield WrongLine(
                step, call, "what was asked, or what came back, was changed since it was recorded"
            )
