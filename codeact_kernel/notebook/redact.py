"""Owns keeping secrets out of files: what the host knows as a secret is written as `[secret NAME]`.

A secret is known by its exact characters, also where they stand escaped inside JSON text. What a
program derives from one (its length, its base64) is not found here; that secrets do not get into the
sandbox at all is the provisioner's part.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from ..wire.lines import TOO_DEEP
from .codec import literal_fields

T = TypeVar("T")
MIN_LENGTH = 8
"""Shorter values are words, not secrets; replacing them would ruin the text."""
MAX_DEPTH = 300
"""Levels of JSON that are looked into; what a program nests deeper is not kept."""
_NAMES = re.compile("KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)
_MARK = re.compile(r"\[secret ([A-Za-z_][A-Za-z0-9_]*)\]")


class Redactor:
    """Replaces secrets in texts and records.

    Args:
        secrets: name -> value; a value of less than `MIN_LENGTH` characters is left out.
    """

    def __init__(self, secrets: Mapping[str, str]) -> None:
        forms = {form: name for name, value in secrets.items() for form in _forms(value)}
        # The longest first: a secret that holds another is replaced whole.
        self._forms = sorted(forms.items(), key=lambda item: (-len(item[0]), item[0]))
        self._needles = tuple({_escaped(form) for form in forms})

    @classmethod
    def of_host(cls, extra: Mapping[str, str] | None = None) -> Redactor:
        """Knows the environment variables whose name says that they are secret, and `extra`."""
        known = {name: value for name, value in os.environ.items() if _NAMES.search(name)}
        return cls({**known, **(extra or {})})

    def hits(self, line: str) -> bool:
        """Whether a line of ASCII JSON may hold a secret; False is certain."""
        return any(needle in line for needle in self._needles)

    def holds_secret(self, data: bytes) -> bool:
        """Whether a secret stands in these bytes as text. What is compressed is not looked into."""
        codes = ("utf-8", "utf-16-le", "utf-16-be")
        return any(form.encode(code, "surrogatepass") in data for form, _ in self._forms for code in codes)

    def text(self, text: str) -> str:
        for form, name in self._forms:
            if form in text:
                text = text.replace(form, f"[secret {name}]")
        return text

    def record(self, record: T) -> T:
        """The same record (dataclass, tuple, mapping or text) with no secret in it."""
        return self._value(record) if self._forms else record

    def _value(self, value: Any, depth: int = 0) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if is_dataclass(value):
            return self._dataclass(value)
        if depth > MAX_DEPTH:
            return TOO_DEEP
        if isinstance(value, Mapping):
            return {self.text(key): self._value(item, depth + 1) for key, item in value.items()}
        if isinstance(value, tuple | list):
            return type(value)([self._value(item, depth + 1) for item in value])
        return value

    def _dataclass(self, record: Any) -> Any:
        changed = {}
        for name in _free_fields(type(record)):
            old = getattr(record, name)
            new = self._raw(old) if name == "raw" else self._value(old)
            if new != old:
                changed[name] = new
        return replace(record, **changed) if changed else record

    def _raw(self, raw: str) -> str:
        """JSON text stays JSON, whatever stands before a secret in it."""
        if self.text(raw) == raw:
            return raw
        try:
            return json.dumps(self._value(json.loads(raw)), ensure_ascii=False)
        except (ValueError, RecursionError):
            return self.text(raw)


def redacted_names(text: str) -> list[str]:
    """Names of the secrets that were replaced in `text`, sorted."""
    return sorted(set(_MARK.findall(text)))


def _forms(value: str) -> set[str]:
    if len(value) < MIN_LENGTH or value.isspace():
        return set()
    return {value, _escaped(value), json.dumps(value, ensure_ascii=False)[1:-1]}


def _escaped(text: str) -> str:
    return json.dumps(text)[1:-1]


_known_fields: dict[type, tuple[str, ...]] = {}


def _free_fields(kind: type[Any]) -> tuple[str, ...]:
    names = _known_fields.get(kind)
    if names is None:
        words = literal_fields(kind)
        names = _known_fields[kind] = tuple(field.name for field in fields(kind) if field.name not in words)
    return names
