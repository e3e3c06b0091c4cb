"""Owns the walk over a value: depth, and the paths of errors.

A codec is a pair of functions: one turns a value of exactly its type into tagged JSON, the other
turns JSON with that tag back. Both get the walker, and call it for the parts of the value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import isfinite
from typing import Any, TypeAlias, TypeGuard

from .messages import Json

TAG = "$"
MAX_ENCODE_DEPTH = 100
MAX_DECODE_DEPTH = 200
# Integers of 64 bits stay as they are; json refuses to read more than 4300 digits.
MAX_PLAIN_INT = 2**63 - 1
MAX_SPELLED = 1_000_000
"""Items of one document that no byte of it stands for: those of ranges, rows without columns."""
MAX_DIGITS_WORK = 10**10
"""The squares of the numbers of digits of its long numbers, summed: what converting one costs. It is
half a second."""
_FEW_DIGITS = 100
MAX_COMPARISONS = 2_000_000
"""Of one document's keys and items of sets with others that have the same hash."""
SCALARS = frozenset({str, int, float, bool, type(None)})
"""Types of JSON values that are what they look like."""
MAX_REPR = 200
"""Characters of an opaque value's repr."""
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_SURROGATE = re.compile("[\ud800-\udfff]")

Encoded: TypeAlias = Mapping[str, Json]
Encode: TypeAlias = "Callable[[Any, Encoder], Json]"
Decode: TypeAlias = "Callable[[Encoded, Decoder], object]"


class _Located(Exception):
    """An error that learns its path on the way out: the innermost step is added first."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self._steps: list[str] = []

    def within(self, step: str) -> None:
        """Says that the offending part sits at `step` of the value around it."""
        self._steps.append(step)

    @property
    def path(self) -> str:
        """Such as ``[2]['when']``; empty when the value itself is the problem; cut when long."""
        steps = self._steps[::-1]
        return "".join(steps if len(steps) <= 10 else [*steps[:5], "…", *steps[-4:]])

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}" if self._steps else self.reason


class EncodeError(_Located, TypeError):
    """A value cannot be sent. The message starts with the path to the offending part."""


class DecodeError(_Located, ValueError):
    """Received data is no encoded value."""


class Encoder:
    """One walk over one value. Callable: the value's JSON, or EncodeError.

    Args:
        codecs: by exact type.
        otherwise: called with a value that no codec takes.
        fallback, blobs: what `encode` was told.
    """

    def __init__(
        self, codecs: dict[type, Encode], otherwise: Encode, *, fallback: bool, blobs: bool = False
    ) -> None:
        self.codecs = codecs
        self.fallback = fallback
        self.blobs = blobs
        self._otherwise = otherwise
        self._depth = 0

    def __call__(self, value: object) -> Json:
        if is_plain(value):
            return value
        if self._depth >= MAX_ENCODE_DEPTH:
            raise EncodeError(f"more than {MAX_ENCODE_DEPTH} levels deep, or it contains itself")
        self._depth += 1
        try:
            return self.codecs.get(type(value), self._otherwise)(value, self)
        finally:
            self._depth -= 1

    def refuse(self, value: object) -> Json:
        """For a value that cannot travel: EncodeError, or with `fallback` an Opaque."""
        if not self.fallback:
            raise cannot_send(value)
        return opaque(value)

    def too_big(self, value: object, reason: str) -> Json:
        """As `refuse`, for a value of a kind that can be sent."""
        if not self.fallback:
            raise EncodeError(reason)
        return opaque(value)

    def each(self, items: Iterable[object], step: str = "[{}]") -> list[Json]:
        """All items in order; `step` names one of them in an error's path."""
        encoded: list[Json] = []
        try:
            for item in items:
                encoded.append(item if is_plain(item) else self(item))
        except EncodeError as error:
            error.within(step.format(len(encoded)))
            raise
        return encoded

    def named(self, items: Mapping[str, object], step: str = "[{!r}]") -> dict[str, Json]:
        """A mapping with names as keys; the names are taken as they are."""
        encoded: dict[str, Json] = {}
        name = ""
        try:
            for name, item in items.items():
                encoded[name] = item if is_plain(item) else self(item)
        except EncodeError as error:
            error.within(step.format(name))
            raise
        return encoded


class Decoder:
    """A walk over received data. Callable: the value, or DecodeError; again for a further value, on the
    same account of what costs more than its bytes.

    Args:
        codecs: by tag.
    """

    def __init__(self, codecs: Mapping[str, Decode]) -> None:
        self._codecs = codecs
        self._depth = 0
        self._spelled = 0
        self._digits_work = 0
        self._comparisons = 0

    def __call__(self, data: Any) -> object:
        kind = type(data)
        if kind in SCALARS:
            return data
        if self._depth >= MAX_DECODE_DEPTH:
            raise DecodeError(f"more than {MAX_DECODE_DEPTH} levels deep")
        self._depth += 1
        try:
            if kind is list:
                return self.each(data)
            if kind is not dict:
                raise DecodeError(f"not JSON: {kind.__name__}")
            return self._object(data)
        finally:
            self._depth -= 1

    def _object(self, data: dict[str, Json]) -> object:
        if TAG not in data:
            return self.named(data)
        tag = data[TAG]
        codec = self._codecs.get(tag) if type(tag) is str else None
        if codec is None:
            raise DecodeError(f"unknown tag {str(tag)[:40]!r}")
        try:
            return codec(data, self)
        except DecodeError:
            raise
        except ImportError as problem:
            raise DecodeError(f"a value of kind {tag!r} needs a package: {problem}") from None
        except Exception as problem:
            # Constructors of a dozen libraries meet hostile data here; whatever they object to,
            # the data is what is wrong.
            reason = f"malformed {tag!r}: {type(problem).__name__}: {str(problem)[:200]}"
            raise DecodeError(reason) from None

    def spell(self, items: int) -> None:
        """Accounts for `items` that take no bytes here, and will where the value is made a list."""
        self._spelled += items
        if self._spelled > MAX_SPELLED:
            raise DecodeError(f"ranges and empty rows of more than {MAX_SPELLED:,} items in all")

    def digits(self, count: int) -> None:
        """Accounts for a number of `count` digits: to convert it costs the square."""
        if count > _FEW_DIGITS:
            self._digits_work += count * count
        if self._digits_work > MAX_DIGITS_WORK:
            raise DecodeError("numbers of too many digits, all together; round them first")

    def compare(self, count: int) -> None:
        """Accounts for comparisons between values that share a hash."""
        self._comparisons += count
        if self._comparisons > MAX_COMPARISONS:
            raise DecodeError("too many keys or items of sets share one hash; send a list")

    def each(self, items: object) -> list[object]:
        """All items of a JSON array."""
        return [item if type(item) in SCALARS else self(item) for item in array(items)]

    def named(self, items: object) -> dict[str, object]:
        """A JSON object whose keys are plain names."""
        decoded = {}
        for name, item in expect(items, dict).items():
            decoded[expect(name, str)] = self(item)
        return decoded


def is_plain(value: Any) -> TypeGuard[Json]:
    """True when JSON holds `value` exactly as it is: a JSON scalar that any reader takes back."""
    kind = type(value)
    if kind is str:
        return bool(value.isascii() or not _SURROGATE.search(value))
    if kind is int:
        return bool(-MAX_PLAIN_INT <= value <= MAX_PLAIN_INT)
    if kind is float:
        return isfinite(value)
    return kind is bool or value is None


def expect(data: object, kind: type[Any]) -> Any:
    """`data` when it is exactly of that JSON type. Raises DecodeError."""
    if type(data) is not kind:
        raise DecodeError(f"expected {kind.__name__}, got {type(data).__name__}")
    return data


def array(data: object) -> Sequence[Json]:
    """`data` when it is a JSON array. Raises DecodeError."""
    items: Sequence[Json] = expect(data, list)
    return items


def cannot_send(value: object) -> EncodeError:
    """The error for a value of a type that has no codec."""
    return EncodeError(f"cannot send a value of type {type_name(value)}; send plain data instead")


def opaque(value: object) -> Json:
    """What is sent of a value that stays here: its type's name and what it looks like."""
    try:
        text = repr(value)
    except Exception as problem:  # somebody else's __repr__; the value is only looked at
        text = f"no repr: {type(problem).__name__}"
    text = _ADDRESS.sub("", text)
    if len(text) > MAX_REPR:
        text = text[:MAX_REPR] + "…"
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return {TAG: "opaque", "type": type(value).__qualname__[:MAX_REPR], "repr": text}


def type_name(value: object) -> str:
    """How messages name the type of a value: ``socket.socket``, but ``list``."""
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
