"""Owns the records of a trajectory as JSON and back: fields by name, those that have their default left out.

Reading trusts nothing: every type is checked, and what does not fit is a NotebookError that names the
place. A member of a union carries its class in "type"; tool calls look as they do on the tape.
"""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import (
    Any,
    Literal,
    NamedTuple,
    TypeGuard,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from ..exceptions import NotebookError
from ..trajectory import RunInfo
from ..wire.entries import call_from_json, call_to_json
from ..wire.messages import Json, ToolCall

T = TypeVar("T")
STEP_LIMIT = "step_timeout_s"
MAX_INT = 2**63
"""Numbers of this size and above stand for nothing that is recorded."""


class _Codec(NamedTuple):
    """How one type is written and read; `read` gets the value and the place it was found at."""

    write: Callable[[Any], Json]
    read: Callable[[Any, str], Any]


def to_json(record: object) -> dict[str, Json]:
    """A record of `trajectory`, `outputs` or `wire.messages` as a JSON object."""
    written: dict[str, Json] = {}
    for field, codec in _plan(type(record)):
        value = getattr(record, field.name)
        if value != _default(field):
            written[field.name] = codec.write(value)
    return written


def from_json(kind: type[T], data: Json, where: str = "") -> T:
    """The record that `to_json` wrote; `where` names it in errors. Unknown keys are left alone.

    Raises: NotebookError.
    """
    return _read_record(kind, data, where or kind.__name__)


def run_info(data: Json, where: str) -> RunInfo:
    """What a run started with. Raises: NotebookError, also for a time limit of steps that is none."""
    info = from_json(RunInfo, data, where)
    limit = info.limits.get(STEP_LIMIT)
    if limit is None or (isinstance(limit, int | float) and not isinstance(limit, bool) and limit >= 0):
        return info
    raise _unfit(f"{where}.limits.{STEP_LIMIT}", "a number of at least 0, or null", limit)


def is_amount(value: object) -> TypeGuard[int | float]:
    """Whether it is a number of something: finite, not negative."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 <= value < MAX_INT and math.isfinite(value)


def literal_fields(kind: type) -> frozenset[str]:
    """Names of the fields whose values are words of the format, not anybody's text."""
    return frozenset(name for name, hint in _hints(kind).items() if get_origin(hint) is Literal)


# --- plans: one codec per field ----------------------------------------------------------------


def _hints(kind: Any) -> dict[str, Any]:
    # The recursive alias Json is any JSON value here; its bounds were checked where it came in.
    return get_type_hints(kind, localns={"Json": object, "MimeBundle": Mapping[str, object]})


_plans: dict[type, tuple[tuple[Field[Any], _Codec], ...]] = {}


def _plan(kind: type) -> tuple[tuple[Field[Any], _Codec], ...]:
    plan = _plans.get(kind)
    if plan is None:
        hints = _hints(kind)
        record: Any = kind
        plan = tuple((field, _codec(hints[field.name])) for field in fields(record))
        _plans[kind] = plan
    return plan


def _is_record(hint: object) -> bool:
    return isinstance(hint, type) and is_dataclass(hint)


def _default(field: Field[Any]) -> object:
    """MISSING, equal to nothing, for a field that is always written."""
    return field.default_factory() if field.default_factory is not MISSING else field.default


def _codec(hint: Any) -> _Codec:
    origin, args = get_origin(hint), get_args(hint)
    if hint is object:
        return _Codec(lambda value: value, lambda value, _: value)
    if hint is ToolCall:
        return _Codec(call_to_json, _read_call)
    if _is_record(hint):
        return _Codec(to_json, lambda value, where: _read_record(hint, value, where))
    if origin is Literal:
        return _Codec(lambda value: value, lambda value, where: _read_word(args, value, where))
    if origin is tuple:
        return _tuple_codec(_codec(args[0]))
    if origin in (Union, types.UnionType):
        return _union_codec(args)
    if origin is not None and issubclass(origin, Mapping):
        return _Codec(lambda value: dict(value), _read_object)
    return _Codec(lambda value: value, lambda value, where: _read_plain(hint, value, where))


def _tuple_codec(item: _Codec) -> _Codec:
    def read(value: Any, where: str) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple):
            raise _unfit(where, "a list", value)
        return tuple(item.read(part, f"{where}[{index}]") for index, part in enumerate(value))

    return _Codec(lambda value: [item.write(part) for part in value], read)


def _union_codec(members: tuple[Any, ...]) -> _Codec:
    """`X | None`, or records told apart by "type"."""
    kinds: dict[str, type] = {member.__name__: member for member in members if _is_record(member)}
    if len(kinds) == len(members):
        return _Codec(_write_tagged, lambda value, where: _read_tagged(kinds, value, where))
    (only,) = (_codec(member) for member in members if member is not type(None))
    return _Codec(
        lambda value: None if value is None else only.write(value),
        lambda value, where: None if value is None else only.read(value, where),
    )


def _write_tagged(value: object) -> Json:
    return {"type": type(value).__name__.lower(), **to_json(value)}


# --- reading, with every type checked ----------------------------------------------------------


def _read_record(kind: type[T], data: Any, where: str) -> T:
    if not isinstance(data, dict):
        raise _unfit(where, "an object", data)
    found = {}
    for field, codec in _plan(kind):
        if field.name in data:
            found[field.name] = codec.read(data[field.name], f"{where}.{field.name}")
        elif _default(field) is MISSING:
            raise NotebookError(f"{where} has no {field.name!r}; the file is damaged or was edited by hand")
    return kind(**found)


def _read_tagged(kinds: Mapping[str, type], data: Any, where: str) -> object:
    tag = data.get("type") if isinstance(data, dict) else None
    for name, kind in kinds.items():
        if tag == name.lower():
            return _read_record(kind, data, where)
    raise _unfit(where, f"one of {', '.join(name.lower() for name in kinds)}", tag)


def _read_call(data: Any, where: str) -> ToolCall:
    if not isinstance(data, dict):
        raise _unfit(where, "a tool call", data)
    try:
        return call_from_json(data)
    except ValueError as problem:
        raise NotebookError(f"{where}: {problem}") from None


def _read_word(words: tuple[Any, ...], value: Any, where: str) -> object:
    if value not in words or not isinstance(value, str):
        raise _unfit(where, f"one of {', '.join(words)}", value)
    return value


def _read_object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _unfit(where, "an object", value)
    return value


def _read_plain(kind: type, value: Any, where: str) -> object:
    if kind is float:  # Of seconds or dollars, all of them.
        if is_amount(value):
            return float(value)
        raise _unfit(where, "a number of at least 0", value)
    if kind is int and isinstance(value, int) and abs(value) >= MAX_INT:
        raise _unfit(where, "a whole number of less than twenty digits", value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise _unfit(where, {str: "a text", int: "a whole number"}.get(kind, "a truth value"), value)
    return value


def _unfit(where: str, wanted: str, value: object) -> NotebookError:
    return NotebookError(
        f"{where} should be {wanted}, not {value!r:.100}; the file is damaged or was edited by hand"
    )
