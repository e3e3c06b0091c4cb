"""Owns what of a cell counts for the chain, in a form that opening and saving in JupyterLab leaves alone.

Multi-line texts count as one text, a number as its value (JavaScript writes 120.0 as 120), of the tags those
that mean something, of `metadata` only ours. Timings, the verdict, trust, and how a cell is shown stay
outside. docs/trajectory-format.md, "The chain", says it in full.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal

from ..wire.lines import canonical
from ..wire.messages import Json
from .cells import VERDICT_LINE
from .outputs import joined
from .resaving import resaved

LINKS = frozenset({"setup", "task", "thought", "step", "notes", "stop"})
"""Kinds of cells that the chain goes through. They do not change while a run goes on."""
DERIVED = frozenset({"title", "tape", "usage"})
"""Kinds that are made anew with each writing: under the seal only."""
KINDS = tuple(LINKS | DERIVED)
MAX_DEPTH = 200
"""Levels of JSON: more than a run writes."""
_TIMES = frozenset({"duration_s", "started", "call_seconds"})
_OUTSIDE = frozenset({"chain", "digests"}) | _TIMES
_EXACT = 2**53
_TAPE_LINE = ('{"step":', '{"data":')
_EXTERNAL = re.compile(r',"tape":"external","tape_bytes":[0-9]{1,20}\}$', re.MULTILINE)


def digest(value: Json) -> str:
    """SHA-256, in hex, of the canonical JSON of a value in its plain form."""
    return hashlib.sha256(canonical(value).encode("ascii")).hexdigest()


def plain(value: Json, depth: int = MAX_DEPTH) -> Json:
    """The value with every whole number as an integer. Raises ValueError for what strict JSON cannot hold,
    or no run writes: NaN, infinities, more than `MAX_DEPTH` levels."""
    if value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, float):
        return _number(value)
    if not depth:
        raise ValueError("nested too deep")
    if isinstance(value, dict):  # Not any mapping: that question is dear, and asked of every value.
        return {key: plain(item, depth - 1) for key, item in value.items()}
    return [plain(item, depth - 1) for item in value]


def _number(value: float) -> int | float:
    if not math.isfinite(value):
        raise ValueError("not a number of JSON")
    if not value.is_integer():
        return value
    # Large ones as their shortest decimal form says, which is what JavaScript writes out.
    return int(value) if abs(value) < _EXACT else int(Decimal(repr(value)))


def mapping(value: Json) -> Mapping[str, Json]:
    """The value, or an empty object for what is none."""
    return value if isinstance(value, dict) else {}


def counted(value: Json) -> int | None:
    """A number of a step, a turn, a call; None for what is none."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31:
        return value
    return None


def kept_of(cell: Json) -> dict[str, Json] | None:
    """`metadata.codeact` of a cell of ours; None for any other cell."""
    kept = mapping(mapping(cell).get("metadata")).get("codeact")
    return kept if isinstance(kept, dict) and kept.get("kind") in KINDS else None


def cells_of(notebook: Mapping[str, Json]) -> Sequence[Json]:
    cells = notebook.get("cells")
    return cells if isinstance(cells, list) else []


# --- a cell ------------------------------------------------------------------------------------


def digests_of(cell: Mapping[str, Json], kept: Mapping[str, Json], calls: Json) -> dict[str, str]:
    """The digest of each part of a cell: source, outputs, calls (of a step that made some), record.

    Args:
        calls: of the step, as `chain_tape.recorded_calls` has them; None: there are none.

    Raises: ValueError for a cell that no run writes.
    """
    found = {"source": digest(_source(cell, kept)), "record": digest(_record(cell, kept))}
    if kept["kind"] == "setup":
        found["tape"] = digest([_text(cell.get("source")), plain(kept.get("tape"))])
    if calls is not None:
        found["calls"] = digest(calls)
    if cell.get("cell_type") == "code":
        outputs = cell.get("outputs")
        found["outputs"] = digest(outputs_form(outputs))
        changed = resaved(outputs)
        if changed is not None:
            found["outputs_resaved"] = digest(outputs_form(changed))
    return found


def _text(value: Json) -> Json:
    if isinstance(value, str):
        return value
    text = joined(value)
    return plain(value) if text is None else text


def _source(cell: Mapping[str, Json], kept: Mapping[str, Json]) -> Json:
    source = _text(cell.get("source"))
    if not isinstance(source, str):
        return source
    if kept["kind"] == "title":
        return _without_verdict(source)
    if kept["kind"] == "setup" and kept.get("verbatim") is not True:
        return split_setup(source)[0]
    return source


def _without_verdict(source: str) -> str:
    """One line: a second one counts."""
    lines = source.split("\n")
    index = next((i for i, line in enumerate(lines) if line.startswith(VERDICT_LINE)), len(lines))
    return "\n".join(lines[:index] + lines[index + 1 :])


def split_setup(source: str) -> tuple[str, list[str]]:
    """The source of a setup cell without its tape, which grows during a run; and the lines of the tape."""
    kept: list[str] = []
    tape: list[str] = []
    for line in source.split("\n"):
        (tape if line.startswith(_TAPE_LINE) else kept).append(line)
    return _EXTERNAL.sub("}", "\n".join(kept), count=1), tape


def _record(cell: Mapping[str, Json], kept: Mapping[str, Json]) -> Json:
    """Everything else: id, type, execution count, attachments; tags that count; our metadata."""
    others = {
        key: plain(value)
        for key, value in cell.items()
        if key not in _ELSEWHERE and value is not None and value != {}
    }
    return [others, _tags(mapping(cell.get("metadata")).get("tags")), plain(_lasting(kept))]


_ELSEWHERE = frozenset({"source", "outputs", "metadata"})


def _tags(tags: Json) -> Json:
    if not isinstance(tags, list):
        return plain(tags) if tags else []
    return sorted({tag for tag in tags if isinstance(tag, str) and _counts(tag)})


def _counts(tag: str) -> bool:
    """Ours, and those that decide what Run All does."""
    return tag.startswith("codeact-") or tag in ("raises-exception", "skip-execution")


def _lasting(kept: Mapping[str, Json]) -> dict[str, Json]:
    """Without chain, timings, and a tape, which counts elsewhere."""
    left_out = _OUTSIDE | {"tape"} if kept["kind"] == "setup" else _OUTSIDE
    lasting = {key: value for key, value in kept.items() if key not in left_out}
    lasting = _timeless_reply(lasting)
    stop = lasting.get("stop")
    return {**lasting, "stop": _timeless_reply(stop)} if isinstance(stop, dict) else lasting


def _timeless_reply(holder: Mapping[str, Json]) -> dict[str, Json]:
    reply = holder.get("reply")
    if not isinstance(reply, dict) or "duration_s" not in reply:
        return dict(holder)
    return {**holder, "reply": {key: value for key, value in reply.items() if key != "duration_s"}}


# --- outputs -----------------------------------------------------------------------------------


def outputs_form(outputs: Json) -> Json:
    """Outputs with joined texts; what is none of nbformat's is left as it is."""
    if not isinstance(outputs, list):
        return plain(outputs)
    return [_output_form(output) for output in outputs]


def _output_form(output: Json) -> Json:
    if not isinstance(output, dict):
        return plain(output)
    form = {}
    for key, value in output.items():
        if key == "text":
            form[key] = _text(value)
        elif key == "data" and isinstance(value, dict):
            form[key] = {mime: plain(said) if _is_json(mime) else _text(said) for mime, said in value.items()}
        else:
            form[key] = plain(value)
    return form


def _is_json(mime: str) -> bool:
    """nbformat's own rule for what it never splits into lines."""
    return mime == "application/json" or (mime.startswith("application/") and mime.endswith("+json"))
