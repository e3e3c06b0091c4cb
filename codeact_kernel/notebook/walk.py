"""Owns the walk over a record that replaces the texts in it: which are words of people and programs, which
belong to the format, which are bytes spelled as base64."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, NamedTuple, TypeAlias

from ..wire.coding import MAX_REPR, TAG, DecodeError
from ..wire.lines import TOO_DEEP, dump_line
from ..wire.values import decode
from .codec import literal_fields

Mask: TypeAlias = Callable[[str], str]
MAX_DEPTH = 300
"""Levels of JSON that are looked into; what a program nests deeper is not kept."""
_OF_RUN = {"created", "limits", "masks", "model", "run_id", "sandbox", "setup", "versions"}
_FORMAT = frozenset(_OF_RUN | {"call_id", "digest", "started", "tool"})
"""Fields that hold words, numbers and times of the format."""
_MEDIA = re.compile(r"(image|audio|video|font)/|application/(pdf|octet-stream)\Z")
_OF_BLOCK = frozenset({"type", "id", "name", "signature", "data"})
"""Of the content blocks of a model, what is no text of its."""
_BASE64 = re.compile(r"[A-Za-z0-9+/=\s]*")


class Walk(NamedTuple):
    """Replaces texts. `text`: of those that anybody may have written; `fixed`: of the others."""

    text: Mask
    fixed: Mask

    def __call__(self, value: Any, depth: int = 0) -> Any:
        """The same value (dataclass, tuple, list, mapping, text), its texts replaced."""
        if isinstance(value, str):
            return self.text(value)
        if is_dataclass(value):
            return self._dataclass(value)
        if depth > MAX_DEPTH:
            return TOO_DEEP
        if isinstance(value, Mapping):
            return self._mapping(value, depth + 1)
        if isinstance(value, tuple | list):
            return type(value)([self(item, depth + 1) for item in value])
        return value

    def _dataclass(self, record: Any) -> Any:
        changed = {}
        for name in _free_fields(type(record)):
            old = getattr(record, name)
            walk = Walk(self.fixed, self.fixed) if name in _FORMAT else self
            new = walk._raw(old) if name == "raw" else walk(old)
            if new != old:
                changed[name] = new
        return replace(record, **changed) if changed else record

    def _mapping(self, value: Mapping[str, Any], depth: int) -> Mapping[str, Any]:
        clean = {}
        for key, item in value.items():
            if isinstance(item, str):
                mask = self.fixed if key == TAG or _is_packed(key, item, value) else self.text
                clean[mask(key)] = mask(item)
            else:
                clean[self.text(key)] = self(item, depth)
        return _readable(clean, value) if TAG in value else clean

    def _block(self, block: Any) -> Any:
        if not isinstance(block, dict):
            return self(block)
        fixed = Walk(self.fixed, self.fixed)
        return {self.fixed(key): (fixed if key in _OF_BLOCK else self)(item) for key, item in block.items()}

    def _raw(self, raw: str) -> str:
        """JSON text stays JSON, whatever stands before what is replaced; and as it was if nothing is."""
        if self.text == self.fixed and self.text(raw) == raw:
            return raw
        try:
            said = json.loads(raw)
            clean = [self._block(part) for part in said] if isinstance(said, list) else self(said)
            return raw if clean == said else json.dumps(clean, ensure_ascii=False)
        except (ValueError, RecursionError):
            return self.text(raw)


def _is_packed(key: str, item: str, of: Mapping[str, Any]) -> bool:
    """Whether it is bytes as base64: to replace letters in there would ruin them."""
    said = (key == "b64" and TAG in of) or _MEDIA.match(key) is not None
    return said and _BASE64.fullmatch(item) is not None


def _readable(clean: dict[str, Any], before: Mapping[str, Any]) -> Mapping[str, Any]:
    """An encoded value that can be decoded: a Decimal of which digits were replaced is one no more."""
    if _texts(clean) == _texts(before):
        return clean
    try:
        decode(clean)
    except DecodeError:
        return {TAG: "opaque", "type": str(before[TAG]), "repr": dump_line(clean)[:MAX_REPR]}
    return clean


def _texts(value: Mapping[str, Any]) -> list[str]:
    return [item for item in value.values() if isinstance(item, str)]


_known_fields: dict[type, tuple[str, ...]] = {}


def _free_fields(kind: type[Any]) -> tuple[str, ...]:
    names = _known_fields.get(kind)
    if names is None:
        words = literal_fields(kind)
        names = _known_fields[kind] = tuple(field.name for field in fields(kind) if field.name not in words)
    return names
