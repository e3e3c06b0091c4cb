"""Owns checking the chain of a saved run: what is not as it was recorded, and where."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain, islice

from ..wire.messages import Json
from .chain import calls_of, link, notebook_digests, seal_of
from .chain_content import digests_of, mapping
from .chain_places import MAX_FINDINGS, Finding, Place, Structure, places
from .chain_tape import Calls, recorded_calls, tape_of, wrong_lines

NO_CHAIN = "carries no chain: an earlier version recorded it, or the chain was taken out"
BROKEN = "a cell was moved or taken out there, or a hash was changed"
NOTEBOOK = "the notebook"


def check(notebook: Mapping[str, Json]) -> tuple[Finding, ...]:
    """What is not as it was recorded, in the order of the cells; at most `MAX_FINDINGS`. (): it is intact,
    or whoever changed it computed the chain again.

    `notebook`: JSON of a notebook of ours (`load.parse`).
    """
    ours = mapping(mapping(notebook.get("metadata")).get("codeact"))
    cells = places(notebook)
    if "seal" not in ours and not any("chain" in place.kept for place in cells):
        return (Finding(NOTEBOOK, NO_CHAIN),)
    found = list(islice(_findings(notebook, ours, cells), MAX_FINDINGS))
    if len(found) == MAX_FINDINGS:
        found[-1] = Finding(NOTEBOOK, "there is more, which is not listed")
    return tuple(found)


def _findings(
    notebook: Mapping[str, Json], ours: Mapping[str, Json], cells: list[Place]
) -> Iterator[Finding]:
    tape = tape_of(notebook)
    structure = Structure(notebook, cells, bool(tape))
    found = bool(structure.findings)
    yield from structure.findings
    calls = recorded_calls(tape)
    named: set[int] = set()
    for wrong in wrong_lines(tape):
        found = True
        if wrong.step is not None:
            named.add(wrong.step)
        place = "the setup cell" if wrong.step is None else f"step {wrong.step}"
        yield Finding(f"{place}, call {wrong.call}" if wrong.call else place, wrong.problem, wrong.step)
    contents = _contents(cells, calls, named, found)
    for finding in chain(contents, _links(cells, structure), _own(notebook, ours)):
        found = True
        yield finding
    if "seal" not in ours:
        yield Finding(NOTEBOOK, "its seal was taken out")
    elif not found and ours["seal"] != seal_of(notebook):
        yield Finding(NOTEBOOK, "its seal does not fit its cells: a hash was changed, or a cell moved")


# --- what each cell says -----------------------------------------------------------------------


def _contents(cells: list[Place], calls: Calls, named: set[int], tape_named: bool) -> Iterator[Finding]:
    """`named`: steps whose calls were said to be wrong already."""
    for place in cells:
        stored = place.kept.get("digests")
        if not isinstance(stored, Mapping):
            yield place.found("carries no hash: it was added, or its hash was taken out")
            continue
        try:
            present = digests_of(place.cell, place.kept, calls_of(calls, place.kept))
        except ValueError:
            yield place.found("holds what no run writes (NaN, or JSON nested too deep)")
            continue
        parts = _differing(stored, present)
        if place.number in named and place.kind == "step":
            parts -= {"calls"}
        if parts == {"tape"}:
            if not (tape_named or named):
                yield place.found("its recorded calls were changed since they were recorded")
        elif parts:
            said = " and ".join(_word(part, place) for part in sorted(parts - {"tape"}))
            yield place.found(f"{said} changed since it was recorded")


def _differing(stored: Mapping[str, Json], present: Mapping[str, str]) -> set[str]:
    """Parts whose digest is not that of the recorded one, nor of what JupyterLab makes of it."""
    wrong = {part for part in {*stored, *present} if stored.get(part) != present.get(part)}
    if present.get("outputs") == stored.get("outputs_resaved") and "outputs_resaved" not in present:
        wrong -= {"outputs", "outputs_resaved"}
    return {part.removesuffix("_resaved") for part in wrong}


def _word(part: str, place: Place) -> str:
    source = "its code was" if place.cell.get("cell_type") == "code" else "its text was"
    words = {"source": source, "outputs": "its outputs were", "calls": "its tool calls were"}
    return words.get(part, "its metadata (id, count, tags, record) was")


def _links(cells: list[Place], structure: Structure) -> Iterator[Finding]:
    """Each link against the hash that stands before it, so that one break is one finding."""
    before: Place | None = None
    for place in cells:
        if not place.is_link:
            continue
        previous = before.kept.get("chain") if before is not None else ""
        stored = place.kept.get("chain")
        digests = mapping(place.kept.get("digests"))
        if stored is None and digests:
            yield place.found("carries no hash: it was taken out")
        elif digests and previous is not None and stored != link(previous, digests):
            beside = [place] if before is None else [place, before]
            if not any(structure.disturbed(one) for one in beside):
                after = before.name if before is not None else "the beginning"
                yield place.found(f"does not follow {after} as recorded: {BROKEN}")
        before = place


def _own(notebook: Mapping[str, Json], ours: Mapping[str, Json]) -> Iterator[Finding]:
    """The notebook's own metadata."""
    try:
        present = notebook_digests(notebook)
    except ValueError:
        yield Finding(NOTEBOOK, "its metadata holds what no run writes (NaN, or JSON nested too deep)")
        return
    stored = mapping(ours.get("digests"))
    if stored.get("kernel") != present["kernel"]:
        yield Finding(NOTEBOOK, "its kernel was changed: its cells would run elsewhere")
    if stored.get("record") != present["record"]:
        yield Finding(
            NOTEBOOK, "its metadata was changed: what the run started with, how far it came, how it ended"
        )
    if set(stored) - set(present):
        yield Finding(NOTEBOOK, "its hashes were changed")
