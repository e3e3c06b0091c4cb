"""Owns one entry of the tape: a recorded call as JSON and back, and the digest of what it says."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace

from .lines import canonical
from .messages import Arguments, Json, Made, Raised, Returned, ToolCall, ToolOutcome

_MAX_SECONDS = 2**63


def call_digest(call: ToolCall) -> str:
    """SHA-256, in hex, of what was asked and what came back; who allowed it and how long it took are no part.

    Of the UTF-8 of `canonical([name, args, kwargs, outcome])`, the outcome as `outcome_to_json` has it; with
    the decision behind them, if a person refused the call or changed its arguments.
    """
    said: list[Json] = [call.tool, list(call.args), dict(call.kwargs), outcome_to_json(call.outcome)]
    if decided := _decision(call):
        said.append(decided)
    return hashlib.sha256(canonical(said).encode("ascii")).hexdigest()


def call_to_json(call: ToolCall, *, seconds: bool = True) -> dict[str, Json]:
    """One entry of the tape. Exactly one of returns, raises, in_doubt says how the call went."""
    entry: dict[str, Json] = {
        "step": call.step,
        "call": call.index,
        "name": call.tool,
        "args": call.args,
        "kwargs": call.kwargs,
        **outcome_entry(call.outcome),
    }
    entry |= decision_to_json(call)
    if seconds and call.duration_s:
        entry["seconds"] = call.duration_s
    return entry


def call_from_json(entry: Mapping[str, Json]) -> ToolCall:
    """Raises ValueError, naming the key, when `entry` is no tape entry."""
    name, args, kwargs = entry.get("name"), entry.get("args"), entry.get("kwargs")
    if not isinstance(name, str):
        raise ValueError(f"a tape entry needs a string as 'name', not {name!r}")
    if not isinstance(args, list | tuple):
        raise ValueError(f"the tape entry of {name!r} needs a list as 'args', not {args!r:.100}")
    if not isinstance(kwargs, dict):
        raise ValueError(f"the tape entry of {name!r} needs an object as 'kwargs', not {kwargs!r:.100}")
    seconds = entry.get("seconds", 0.0)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < _MAX_SECONDS:
        raise ValueError(
            f"the tape entry of {name!r} needs a number of at least 0 as 'seconds', not {seconds!r:.100}"
        )
    outcome = outcome_from_json(entry)
    step, index = _count(entry, "step"), _count(entry, "call")
    allowed, denied = _who(entry, "approved_by"), _who(entry, "denied_by")
    call = ToolCall(step, index, name, tuple(args), kwargs, outcome, float(seconds), allowed, denied)
    return replace(call, edited=_edited(entry)) if "edited" in entry else call


def decision_to_json(call: ToolCall) -> dict[str, Json]:
    """The part of an entry that says what a person decided."""
    by: dict[str, Json] = {"approved_by": call.approved_by} if call.approved_by else {}
    return {**by, **_decision(call)}


def _decision(call: ToolCall) -> dict[str, Json]:
    """Of a call that was not made, or not as it was asked for."""
    said: dict[str, Json] = {"denied_by": call.denied_by} if call.denied_by else {}
    if call.edited is not None:
        said["edited"] = {"args": list(call.edited[0]), "kwargs": dict(call.edited[1])}
    return said


def _who(entry: Mapping[str, Json], key: str) -> str:
    by = entry.get(key, "")
    if not isinstance(by, str):
        raise ValueError(f"a tape entry needs a string as {key!r}, not {by!r:.100}")
    return by


def _edited(entry: Mapping[str, Json]) -> Arguments:
    match entry["edited"]:
        case {"args": list() | tuple() as args, "kwargs": dict() as kwargs}:
            return tuple(args), kwargs
    raise ValueError(f"'edited' needs a list 'args' and an object 'kwargs', not {entry['edited']!r:.100}")


def outcome_entry(outcome: ToolOutcome | None) -> dict[str, Json]:
    """As `outcome_to_json`, and whether the call was made: no part of a digest, which older versions make."""
    made = outcome.made if isinstance(outcome, Raised) else "yes"
    return outcome_to_json(outcome) | ({} if made == "yes" else {"made": made})


def outcome_to_json(outcome: ToolOutcome | None) -> dict[str, Json]:
    """The part of an entry that says how the call went."""
    match outcome:
        case Returned(value):
            return {"returns": value}
        case Raised(kind, message):
            return {"raises": {"type": kind, "message": message}}
        case None:
            return {"in_doubt": True}


def outcome_from_json(entry: Mapping[str, Json]) -> ToolOutcome | None:
    """Raises ValueError unless exactly one outcome is there."""
    found = [key for key in ("returns", "raises", "in_doubt") if key in entry]
    match found:
        case ["returns"]:
            return Returned(entry["returns"])
        case ["in_doubt"]:
            return None
        case ["raises"]:
            match entry["raises"]:
                case {"type": str() as kind, "message": str() as message}:
                    return Raised(kind, message, _made(entry))
            raise ValueError(
                f"'raises' needs a type and a message, both strings, not {entry['raises']!r:.100}"
            )
    raise ValueError(f"a tape entry has one of 'returns', 'raises', 'in_doubt'; this one has {found!r}")


def _made(entry: Mapping[str, Json]) -> Made:
    """What is not known counts as made: so it was before there were such words."""
    match entry.get("made"):
        case "no":
            return "no"
        case "unknown":
            return "unknown"
    return "yes"


def _count(entry: Mapping[str, Json], key: str) -> int:
    value = entry.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"a tape entry needs a whole number as {key!r}, not {value!r:.100}")
    return value
