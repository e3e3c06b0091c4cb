"""Owns taking a word of the host's out of what the sandbox shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from ..outputs import Display, DisplayUpdate, Error, Output, Result, Stream

MASK = "…"
MAX_DEPTH = 100
T = TypeVar("T")


def without(word: str, output: Output) -> Output:
    """The output with a mask in place of `word`. Of metadata nothing is shown as text."""
    match output:
        case Stream(text=text):
            return replace(output, text=text.replace(word, MASK)) if word in text else output
        case Display(data=data) | DisplayUpdate(data=data) | Result(data=data):
            return replace(output, data=_masked(word, data))
        case Error(ename, evalue, traceback):
            return Error(*_masked(word, (ename, evalue)), _masked(word, traceback))
        case _:
            return output


def _masked(word: str, value: T, depth: int = 0) -> T:
    found: object = value
    if isinstance(value, str):
        found = value.replace(word, MASK)
    elif depth > MAX_DEPTH:
        found = None
    elif isinstance(value, Mapping):
        found = {_masked(word, key): _masked(word, item, depth + 1) for key, item in value.items()}
    elif isinstance(value, list | tuple):
        found = type(value)(_masked(word, item, depth + 1) for item in value)
    return found  # type: ignore[return-value]  # of the same type
