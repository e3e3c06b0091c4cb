"""Owns the JSON documents of `--json`: their shapes are contracts (`schema_version` 1).

Values of tools and answers are in their encoded form (`wire.values`): what JSON can say looks like
itself, anything else is an object with a "$" that names its type. Binary MIME data is base64.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from ..outputs import Display, Error, MimeBundle, Result, WorkspaceFile
from ..trajectory import Observation, Usage, Verdict
from ..wire.entries import decision_to_json
from ..wire.messages import Json, Raised, Returned, ToolCall
from .terminal import clean

if TYPE_CHECKING:
    from pathlib import Path

    from ..replay import Drift, ReplayReport
    from .finished import Run

SCHEMA_VERSION = 1
_PRIVATE = "application/vnd.codeact."
_DEEPEST = 250


def run_document(run: Run, verdict: Verdict, files: Sequence[Json]) -> dict[str, Json]:
    """What `codeact run --json` prints. `files`: what was written, and where it is (`keeping.Keeper`)."""
    return {
        "schema_version": SCHEMA_VERSION,
        "answer": run.stop.answer,
        "stop_reason": run.stop_reason,
        "steps": run.steps,
        "usage": usage_document(run.usage),
        "cost_usd": run.cost_usd,
        "trajectory": str(run.path),
        "verified": verdict_document(verdict),
        "files": files,
        "sandbox": run.trajectory.info.sandbox,
    }


def verdict_document(verdict: Verdict) -> dict[str, Json]:
    """What came of running it again."""
    return {
        "status": verdict.status,
        "classes": list(verdict.classes),
        "reason": verdict.reason,
        "remarks": list(verdict.remarks),
    }


def usage_document(usage: Usage) -> dict[str, Json]:
    """Tokens. `input_tokens` excludes both cache counts; `total_tokens` is the sum of all."""
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "total_tokens": usage.total,
    }


def exec_document(
    observations: Sequence[Observation], sandbox: Mapping[str, Json], files: Sequence[Json] = ()
) -> dict[str, Json]:
    """What `codeact exec --json` prints. `files`: as in `run_document`."""
    return {
        "schema_version": SCHEMA_VERSION,
        "cells": [cell_document(observation) for observation in observations],
        "sandbox": sandbox,
        "files": files,
    }


def cell_document(observation: Observation) -> dict[str, Json]:
    """One cell. `result`: text/plain of the last expression; `outputs`: every display and the result."""
    results = [shown for shown in observation.shown if isinstance(shown, Result)]
    bundles = [shown.data for shown in observation.shown if isinstance(shown, Display | Result)]
    text = results[-1].data.get("text/plain") if results else None
    return {
        "status": observation.status,
        "stdout": observation.text("stdout"),
        "stderr": observation.text("stderr"),
        "result": None if text is None else str(text),
        "outputs": [_bundle(bundle) for bundle in bundles],
        "error": _error(observation),
        "tool_calls": [call_document(call) for call in observation.tool_calls],
        "truncated": observation.truncated,
        "files": [file_document(file) for file in observation.files],
        "more_files": observation.more_files,
        "duration_s": observation.duration_s,
    }


def file_document(file: WorkspaceFile) -> dict[str, Json]:
    """A file that was made or changed. `name`: relative to the workspace; `media_type`: "" when unknown."""
    return {"name": file.name, "size": file.size, "media_type": file.media_type}


def call_document(call: ToolCall) -> dict[str, Json]:
    """One tool call, with `result` when it is ok and `error` otherwise; and what a person decided of it."""
    entry: dict[str, Json] = {
        "name": call.tool,
        "args": list(call.args),
        "kwargs": dict(call.kwargs),
        "ok": isinstance(call.outcome, Returned),
        "duration_s": call.duration_s,
        **decision_to_json(call),
    }
    match call.outcome:
        case Returned(value):
            entry["result"] = value
        case Raised(kind, message):
            entry["error"] = {"type": kind, "message": message}
        case None:
            entry["error"] = {"type": "InDoubt", "message": "the call began, and its outcome is not known"}
    return entry


def sandbox_document(sandbox: Mapping[str, Json], versions: Mapping[str, str]) -> dict[str, Json]:
    """How the kernel was confined (`RunInfo.sandbox`), and what runs inside."""
    packages = {name: version for name, version in versions.items() if name != "python"}
    return {**sandbox, "python": versions.get("python"), "versions": packages}


def replay_document(report: ReplayReport, path: Path, sandbox: Mapping[str, Json]) -> dict[str, Json]:
    """What `codeact replay --json` prints. `kinds`: how it differs, of those that are `counted`."""
    return {
        "schema_version": SCHEMA_VERSION,
        "agrees": report.agrees,
        "exit_code": report.exit_code,
        "kinds": report.kinds,
        "counted": sorted(report.counted),
        "steps": [
            {
                "index": step.index,
                "agrees": not step.drifts,
                "ran": step.ran,
                "drifts": _drifts(step.drifts),
            }
            for step in report.steps
        ],
        "profile": _drifts(report.profile),
        "remarks": report.remarks,
        "trajectory": str(path),
        "sandbox": sandbox,
    }


def _drifts(drifts: Sequence[Drift]) -> list[dict[str, Json]]:
    return [{"kind": drift.kind, "detail": drift.detail} for drift in drifts]


def dumps(document: Mapping[str, Json]) -> str:
    """Strict JSON in ASCII: no NaN, lone surrogates as escapes."""
    return json.dumps(_strict(document), ensure_ascii=True, allow_nan=False, indent=2)


def _bundle(bundle: MimeBundle) -> dict[str, Json]:
    return {mime: content for mime, content in bundle.items() if not mime.startswith(_PRIVATE)}


def _error(observation: Observation) -> dict[str, Json] | None:
    error = observation.error
    if error is None and observation.status != "ok":
        # A cell whose process is gone raised nothing that could be caught.
        names = {"timeout": "StepTimeout", "killed": "KernelKilled"}
        error = Error(names.get(observation.status, "Error"), observation.reason or observation.status)
    if error is None:
        return None
    lines = [clean(line) for line in error.traceback]
    return {"ename": error.ename, "evalue": error.evalue, "traceback": lines}


def _strict(value: Json, depth: int = 0) -> Json:
    """Floats that JSON does not have become their names, and what is too deep its beginning.

    JSON MIME types come from the sandbox and may hold both.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    if isinstance(value, str | int | float | None):
        return value
    if depth == _DEEPEST:
        return "…"
    if isinstance(value, Mapping):
        return {str(key): _strict(item, depth + 1) for key, item in value.items()}
    return [_strict(item, depth + 1) for item in value]


@contextmanager
def reserved_stdout() -> Iterator[TextIO]:
    """Keeps stdout for the document: until the end, whatever else writes there goes to stderr.

    File descriptor 1 itself is moved, so that a tool that prints, or a program that it starts, cannot
    spoil the document.
    """
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with open(os.dup(kept), "w", encoding="utf-8") as document:
            yield document
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)
