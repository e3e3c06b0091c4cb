"""Owns the JSON Schema of `metadata.codeact` (trajectory-1.json), and checking a notebook against it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from itertools import islice
from typing import Any

import fastjsonschema

from ...wire.messages import Json
from ..chain_content import KINDS, mapping
from ..chain_places import Finding, places

MAX_PROBLEMS = 100
_FILE = "trajectory-1.json"
Check = Callable[[Any], Any]


def schema() -> dict[str, Any]:
    """The schema, as JSON."""
    found: dict[str, Any] = json.loads(files(__package__).joinpath(_FILE).read_text("utf-8"))
    return found


def problems(notebook: Mapping[str, Json]) -> tuple[Finding, ...]:
    """Where the metadata is not as the schema says; at most one for a cell, `MAX_PROBLEMS` in all."""
    return tuple(islice(_problems(notebook), MAX_PROBLEMS))


def _problems(notebook: Mapping[str, Json]) -> Iterator[Finding]:
    said = _problem("notebook", mapping(notebook.get("metadata")).get("codeact"))
    if said:
        yield Finding("the notebook", said)
    for place in places(notebook):
        said = _problem(f"cell-{place.kind}", place.kept)
        if said:
            yield place.found(said)


def _problem(what: str, value: object) -> str:
    try:
        _checks()[what](value)
    except fastjsonschema.JsonSchemaValueException as problem:
        path = str(problem.name).removeprefix("data").lstrip(".")
        return f"its metadata{f' {path!r:.80}' if path else ''} {_rule(problem)}"
    return ""


def _rule(problem: fastjsonschema.JsonSchemaValueException) -> str:
    """What was asked for, without the value that was found."""
    said = str(problem.message).removeprefix(str(problem.name)).strip()
    return said if len(said) <= 200 else f"{said[:200]}…"


@cache
def _checks() -> dict[str, Check]:
    whole = schema()
    del whole["$ref"]
    names = ("notebook", *(f"cell-{kind}" for kind in KINDS))
    return {name: fastjsonschema.compile({**whole, "$ref": f"#/definitions/{name}"}) for name in names}
