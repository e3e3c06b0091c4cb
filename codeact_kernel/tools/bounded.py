"""Owns what pydantic does not bound when it checks a list of the sandbox: errors, and equal hashes."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, FailFast, WrapValidator

MAX_SAME_HASH = 64
"""As of -1 and -2, and so of the points of a grid in six dimensions."""
_KEYED = frozenset({str, bytes, bool, type(None)})
"""Types whose hashes nobody outside can choose."""


class _FailFast(FailFast):
    """One that may stand in a Union, which hashes what it is made of."""

    def __hash__(self) -> int:
        return hash(_FailFast)


_FAIL_FAST = _FailFast()


def bounded(annotation: Any) -> Any:
    """`annotation` with lists that stop at the first mistake, and sets and dicts of well-spread hashes.

    A million mistakes take 6 s and a gigabyte; a set of 30,000 numbers of one hash (hash(n) is n modulo
    2**61 - 1) half a minute. Fields of models and dataclasses are not reached.
    """
    origin: Any = typing.get_origin(annotation)
    if origin not in (list, tuple, set, frozenset, dict, typing.Union, types.UnionType):
        return annotation
    args = tuple(map(bounded, typing.get_args(annotation)))
    if not args:
        return annotation
    if origin in (typing.Union, types.UnionType):
        return typing.Union[args]  # noqa: UP007 - there is no other way from a tuple
    if origin in (list, tuple) or args[0] in _KEYED:
        return origin[args] if origin is dict else Annotated[origin[args], _FAIL_FAST]
    spread = _Spread()
    inner = origin[(Annotated[args[0], AfterValidator(spread.item)], *args[1:])]
    return Annotated[inner, *(() if origin is dict else (_FAIL_FAST,)), WrapValidator(spread.whole)]


class _Spread:
    """Counts the hashes of the keys or items of one set or dict at a time."""

    def __init__(self) -> None:
        self._seen: list[dict[int, int]] = []

    def whole(self, value: object, check: Callable[[object], object]) -> object:
        self._seen.append({})
        try:
            return check(value)
        finally:
            self._seen.pop()

    def item(self, item: object) -> object:
        try:
            key = hash(item)
        except TypeError:
            return item  # pydantic says so itself
        seen = self._seen[-1]
        seen[key] = seen.get(key, 0) + 1
        if seen[key] > MAX_SAME_HASH:
            raise ValueError(f"more than {MAX_SAME_HASH} items share one hash")
        return item
