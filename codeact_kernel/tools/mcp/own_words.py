"""Owns what a server's entry says to this program alone: the key `codeact`."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import get_args

from ...exceptions import UsageError
from .server import Mode, Sampling, ToolLimit

MAX_TIMEOUT_S = 24 * 3600.0
KNOWN = frozenset(
    {
        "reads",
        "approve",
        "timeout_s",
        "start_timeout_s",
        "max_calls",
        "tools",
        "include",
        "exclude",
        "sampling",
    }
)

LIMITS = frozenset({"timeout_s", "max_calls"})


class Own:
    """What a server's entry says under `codeact`; or there under `tools`, of one of them."""

    def __init__(
        self, place: str, said: object, name: str = "codeact", known: frozenset[str] = KNOWN
    ) -> None:
        self._place = f"{place}: {name!r:.100}"
        if not isinstance(said, Mapping):
            raise UsageError(f"{self._place}: it is {kind(said)}, not an object")
        self._said = said
        for key in said:
            if key not in known:
                close = get_close_matches(str(key), sorted(known), 1)
                hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(sorted(known))}"
                raise UsageError(f"{self._place}: {key!r:.100} is not known; {hint}")

    def _wrong(self, key: str, problem: str) -> UsageError:
        return UsageError(f"{self._place}: {key!r}: {problem}")

    def texts(self, key: str) -> tuple[str, ...]:
        value = self._said.get(key, [])
        if not isinstance(value, list | tuple) or not all(isinstance(text, str) and text for text in value):
            raise self._wrong(key, f"{value!r:.100}; give an array of tool names or patterns, as ['read_*']")
        return tuple(value)

    def approve(self) -> Mapping[str, Mode]:
        value = self._said.get("approve", {})
        modes = get_args(Mode)
        if value in modes:
            return {"*": value}
        if not isinstance(value, Mapping):
            raise self._wrong(
                "approve", f"it is {kind(value)}, not an object: tool or pattern -> one of {modes}"
            )
        for pattern, mode in value.items():
            if mode not in modes:
                raise self._wrong("approve", f"{pattern!r:.100}: {mode!r:.100}; use one of {modes}")
        return dict(value)

    def tools(self) -> Mapping[str, ToolLimit]:
        """Further limits, by tool or pattern."""
        value = self._said.get("tools", {})
        if not isinstance(value, Mapping):
            raise self._wrong("tools", f"it is {kind(value)}, not an object: tool or pattern -> its limits")
        return {
            pattern: Own(f"{self._place}: 'tools'", said, pattern, LIMITS).limit()
            for pattern, said in value.items()
        }

    def limit(self) -> ToolLimit:
        """What is said of one tool."""
        seconds = self.seconds("timeout_s", 0.0) if "timeout_s" in self._said else None
        return ToolLimit(seconds, self.count("max_calls"))

    def seconds(self, key: str, default: float) -> float:
        value = self._said.get(key, default)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not 0 < value <= MAX_TIMEOUT_S:
            raise self._wrong(key, f"{value!r:.100}; give seconds, more than 0 and at most a day")
        return float(value)

    def count(self, key: str) -> int | None:
        value = self._said.get(key)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
            raise self._wrong(key, f"{value!r:.100}; give a whole number, 0 or more")
        return value

    def sampling(self) -> Sampling:
        value = self._said.get("sampling", "decline")
        if value == "ask":
            return "ask"
        if value == "decline":
            return "decline"
        raise self._wrong("sampling", f"{value!r:.100}; use one of {get_args(Sampling)}")


def kind(value: object) -> str:
    """What JSON calls it."""
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number" if isinstance(value, int | float) else type(value).__name__)
