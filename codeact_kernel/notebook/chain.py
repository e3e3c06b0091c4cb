"""Owns the chain: each cell of a run carries a hash over what it says and the hash of the cell before it.

The chain only grows while a run goes on. What is made anew with each writing (title, table of the calls,
usage, the notebook's own metadata) is under the seal, one hash over all of it and the chain. Anyone can make
both: they show that a record was changed, unless whoever changed it computed them again (`signing`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..wire.messages import Json
from .chain_content import LINKS, cells_of, counted, digest, digests_of, kept_of, mapping, plain
from .chain_order import Order
from .chain_tape import Calls, recorded_calls, tape_of

LINK, SEAL = "codeact-chain-1", "codeact-seal-1"
_OUTSIDE = frozenset({"seal", "digests", "signature", "verdict"})


def seal(notebook: dict[str, Any]) -> None:
    """Writes chain and seal into the metadata of a notebook, over whatever stands there; a signature goes.

    Raises: ValueError for what strict JSON cannot hold, or is nested too deep.
    """
    calls = recorded_calls(tape_of(notebook))
    previous: Json = ""
    entries: list[Json] = []
    steps: list[int] = []
    for cell in notebook["cells"]:
        kept = kept_of(cell)
        if kept is not None:
            digests: dict[str, Json] = {**digests_of(cell, kept, calls_of(calls, kept))}
            # Past NotebookNode's own setter, which makes a node of it: dear to make, and dearer to copy.
            dict.__setitem__(kept, "digests", digests)
            if kept["kind"] in LINKS:
                kept["chain"] = previous = link(previous, digests)
            if kept["kind"] == "step" and (step := counted(kept.get("step"))) is not None:
                steps.append(step)
        entries.append(_entry(kept))
    ours = notebook["metadata"]["codeact"]
    ours.pop("signature", None)
    ours["order"] = Order.of(steps).text
    ours["digests"] = notebook_digests(notebook)
    ours["seal"] = digest([SEAL, entries, ours["digests"]])


def link(previous: Json, digests: Mapping[str, Json]) -> str:
    """The hash of a cell. `previous`: that of the link before it, "" for the first. The tape is left out: it
    grows with later steps."""
    return digest([LINK, previous, {part: said for part, said in digests.items() if part != "tape"}])


def calls_of(calls: Calls, kept: Mapping[str, Json]) -> Json:
    """What the chain has of the calls of a cell; None when it is no step that made any."""
    step = counted(kept.get("step"))
    return calls.get(step) if kept["kind"] == "step" and step is not None else None


def notebook_digests(notebook: Mapping[str, Json]) -> dict[str, str]:
    """The digests of the notebook's own metadata. Raises ValueError as `seal`."""
    metadata = mapping(notebook.get("metadata"))
    ours, spec = mapping(metadata.get("codeact")), mapping(metadata.get("kernelspec"))
    lasting = {key: value for key, value in ours.items() if key not in _OUTSIDE}
    kernel = [spec.get("name"), spec.get("language")]
    return {"record": digest(plain(lasting)), "kernel": digest(plain(kernel))}


def seal_of(notebook: Mapping[str, Json]) -> str:
    """The seal over the hashes that stand in a notebook, whether or not they fit what it says."""
    entries = [_entry(kept_of(cell)) for cell in cells_of(notebook)]
    ours = mapping(mapping(notebook.get("metadata")).get("codeact"))
    return digest([SEAL, entries, ours.get("digests")])


def _entry(kept: Mapping[str, Json] | None) -> Json:
    """What the seal has of a cell; null for one that is not ours."""
    if kept is None:
        return None
    if kept["kind"] not in LINKS:
        return kept.get("digests")
    return [kept.get("chain"), mapping(kept.get("digests")).get("tape")]


def last_link(notebook: Mapping[str, Json], step: int | None = None) -> str:
    """The last hash of the chain; with `step`, the last one that belongs to it. "": there is none."""
    found = ""
    for cell in cells_of(notebook):
        kept = kept_of(cell)
        chain = kept.get("chain") if kept is not None else None
        if kept is not None and isinstance(chain, str) and step in (None, kept.get("step")):
            found = chain
    return found
