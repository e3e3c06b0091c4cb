"""Owns what a cell showed as nbformat outputs, and back.

MIME bundles from the sandbox are made to fit nbformat: text types hold text, JSON types hold strict
JSON. Of each only what is `inert` is written: who opens the notebook and trusts it, or runs it, has a
browser that would run the rest. What an nbformat output has no place for (the id of a display, the digest the
model saw) goes beside the outputs into the cell's metadata, each with a mark of the output it belongs to.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal, TypeAlias

from ..exceptions import NotebookError
from ..inert.bundles import inert_bundle, inert_metadata
from ..outputs import Display, Error, MimeBundle, Result, Shown, Stream
from ..wire.lines import canonical, dump_line, writable
from ..wire.messages import Json
from .codec import from_json

DIGEST_MIME = "application/vnd.codeact.digest"
MAX_DEPTH = 100
"""Levels of JSON kept of what a sandbox shows; readers of notebooks recurse."""
Bundle: TypeAlias = Callable[[MimeBundle, Mapping[str, Json]], dict[str, Json]]
_JSON_MIME = re.compile(r"application/(.*\+)?json\Z")


def outputs_of(shown: Sequence[Shown]) -> list[dict[str, Json]]:
    """One nbformat output for each thing shown."""
    return [_output(one) for one in shown]


def extras_of(shown: Sequence[Shown]) -> dict[str, Json]:
    """What the outputs cannot hold, by position; empty when there is nothing."""
    found: dict[str, Json] = {}
    for index, one in enumerate(shown):
        extra: dict[str, Json] = {}
        if isinstance(one, Display) and one.display_id is not None:
            extra["display_id"] = one.display_id
        if isinstance(one, Display | Result) and DIGEST_MIME in one.data:
            extra["digest"] = writable(one.data[DIGEST_MIME], MAX_DEPTH)
        if extra:
            found[str(index)] = {**extra, "of": _mark(_output(one))}
    return found


def shown_of(outputs: Json, extras: Json, where: str) -> tuple[Shown, ...]:
    """What a cell's outputs show. The outputs win: extras of a changed output are left out.

    Raises: NotebookError, with `where`, for what is no nbformat output.
    """
    if not isinstance(outputs, list):
        raise NotebookError(f"the outputs of {where} should be a list, not {outputs!r:.100}")
    known = extras if isinstance(extras, dict) else {}
    return tuple(
        _with_extra(_shown(output, where), known.get(str(index))) for index, output in enumerate(outputs)
    )


def joined(value: Json) -> str | None:
    """nbformat's multi-line text, one string or a list of them; None for anything else."""
    if isinstance(value, list):
        lines = [line for line in value if isinstance(line, str)]
        return "".join(lines) if len(lines) == len(value) else None
    return value if isinstance(value, str) else None


def _output(shown: Shown, bundle: Bundle | None = None) -> dict[str, Json]:
    """As nbformat has it. `bundle`: in place of what is inert of one."""
    bundle = bundle or _inert
    match shown:
        case Stream(name, text):
            return {"output_type": "stream", "name": name, "text": text}
        case Display(data, metadata):
            return {"output_type": "display_data", **bundle(data, metadata)}
        case Result(data, count, metadata):
            shared = bundle(data, metadata)
            return {"output_type": "execute_result", "execution_count": max(count, 0), **shared}
        case Error(ename, evalue, traceback):
            lines = list(traceback)
            return {"output_type": "error", "ename": ename, "evalue": evalue, "traceback": lines}


def _inert(data: MimeBundle, metadata: Mapping[str, Json]) -> dict[str, Json]:
    kept = inert_bundle({mime: content for mime, content in data.items() if mime != DIGEST_MIME})
    return _fitting(kept, inert_metadata(kept, metadata))


def _fitting(data: MimeBundle, metadata: Mapping[str, Json]) -> dict[str, Json]:
    """Content and metadata of one bundle, made to fit."""
    content: dict[str, Json] = {
        mime: writable(content, MAX_DEPTH) if _JSON_MIME.match(mime) else _as_text(content)
        for mime, content in data.items()
        if mime != DIGEST_MIME
    }
    return {"data": content, "metadata": {key: writable(value, MAX_DEPTH) for key, value in metadata.items()}}


def _as_text(content: Json) -> str:
    text = joined(content)
    return dump_line(content) if text is None else text


def _shown(output: Json, where: str) -> Shown:
    if isinstance(output, dict):
        match output:
            case {"output_type": "stream", "name": "stdout" | "stderr" as name, "text": text}:
                return Stream(_stream_name(name), joined(text) or "")
            case {"output_type": "display_data", "data": dict(data)}:
                return Display(_joined_bundle(data), _dict(output.get("metadata")))
            case {"output_type": "execute_result", "data": dict(data)}:
                count = output.get("execution_count")
                number = count if isinstance(count, int) else 0
                return Result(_joined_bundle(data), number, _dict(output.get("metadata")))
            case {"output_type": "error", "ename": str(), "evalue": str()}:
                return from_json(Error, output, where)
    raise NotebookError(f"{where} has an output that is none of nbformat's: {output!r:.100}")


def _stream_name(name: str) -> Literal["stdout", "stderr"]:
    return "stderr" if name == "stderr" else "stdout"


def _joined_bundle(data: Mapping[str, Json]) -> dict[str, Json]:
    return {mime: content if _JSON_MIME.match(mime) else _as_text(content) for mime, content in data.items()}


def _dict(value: Json) -> dict[str, Json]:
    return dict(value) if isinstance(value, Mapping) else {}


def _with_extra(shown: Shown, extra: Json) -> Shown:
    if not isinstance(extra, dict) or not isinstance(shown, Display | Result):
        return shown
    if extra.get("of") != _mark(_output(shown, _fitting)):
        return shown
    if "digest" in extra:
        shown = replace(shown, data={**shown.data, DIGEST_MIME: extra["digest"]})
    display_id = extra.get("display_id")
    if isinstance(shown, Display) and isinstance(display_id, str):
        shown = replace(shown, display_id=display_id)
    return shown


def _mark(output: Mapping[str, Json]) -> str:
    """Same for the same output; a person who edits an output makes its extras void."""
    return hashlib.sha256(canonical(output).encode("ascii")).hexdigest()[:16]
