"""Owns what a user wants masked beside secrets: NAME=REGEX, each value that matches written as `[NAME N]`.

The text is a sandbox's, so the time must not be its choice: RE2 takes a time that grows with the length of
what it searches, and here that is a window at a time, so that looking for all matches does so too.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..exceptions import UsageError

WINDOW = 8192
"""Characters searched at once."""
REACH = 4096
"""Characters of the longest match that is found whole wherever it stands; a longer one is masked in parts."""
MAX_VALUES = 100_000
"""Of one name, told apart in a run; what comes later is `[NAME more]`."""
SECRET = "secret"
_NUMBER = "[0-9]{1,9}|more"
_COLOUR = r"\x1b\[[0-9;]*+m"
"""As tracebacks have them, right before a word."""
_SURROGATE = re.compile("[\ud800-\udfff]")


class Patterns:
    """Masks what matches, the same value always by the same mark. Never looks into a mark.

    Args:
        given: NAME=REGEX in the syntax of RE2 (https://github.com/google/re2/wiki/Syntax).
        secrets: names that stand in marks of secrets.

    Raises: UsageError for what is none.
    """

    def __init__(self, given: Iterable[str], secrets: Iterable[str] = ()) -> None:
        self._known = tuple(map(_compiled, given))
        self._secrets = set(secrets)
        self._numbers: dict[str, dict[bytes, int]] = {}
        self.last: dict[str, int] = {}
        """The highest number so far, by name; none for a name that has masked nothing."""
        self._marks = self._mark_pattern()

    def __bool__(self) -> bool:
        return bool(self._known)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for name, _ in self._known))

    def text(self, text: str) -> str:
        for name, pattern in self._known:
            masked, done = io.StringIO(), 0
            for start, end in self._matches(pattern, text):
                masked.write(text[done:start])
                masked.write(self._mark(name, text[start:end]))
                done = end
            if done:
                masked.write(text[done:])
                text = masked.getvalue()
        return text

    def match(self, text: str) -> bool:
        """Whether there is anything to be masked."""
        return any(True for _, pattern in self._known for _ in self._matches(pattern, text))

    def learn(self, last: Mapping[str, int], secrets: Iterable[str] = ()) -> None:
        """Marks up to these numbers stand in the record already: numbering goes on after them."""
        self._secrets.update(secrets)
        for name, number in last.items():
            self.last[name] = max(self.last.get(name, 0), number)
        self._marks = self._mark_pattern()

    def _matches(self, pattern: Any, text: str) -> Iterator[tuple[int, int]]:
        start = 0
        for gap in self._gaps(text):
            yield from _spans(pattern, text, start, gap.start())
            start = gap.end()
        yield from _spans(pattern, text, start, len(text))

    def _gaps(self, text: str) -> Iterator[re.Match[str]]:
        """Marks and colours. A mark with a number that was never given is none: a program chose it."""
        if "[" not in text:
            return
        last = dict(self.last)
        for gap in self._marks.finditer(text):
            number = gap["number"]
            if number in (None, "more") or int(number) <= last.get(gap["name"], 0):
                yield gap

    def _mark(self, name: str, value: str) -> str:
        known = self._numbers.setdefault(name, {})
        # Not the value: it may be long, and what is masked need not be kept.
        key = hashlib.blake2b(value.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        number = known.get(key)
        if number is None:
            if len(known) >= MAX_VALUES:
                return f"[{name} more]"
            number = known[key] = self.last[name] = self.last.get(name, 0) + 1
        return f"[{name} {number}]"

    def _mark_pattern(self) -> re.Pattern[str]:
        secrets, names = map(_any_of, (self._secrets, {*self.names, *self.last}))
        return re.compile(
            rf"\[(?:{SECRET} (?:{secrets})|(?P<name>{names}) (?P<number>{_NUMBER}))\]|{_COLOUR}"
        )


def marks_of(text: str, names: Iterable[str]) -> Iterator[tuple[str, int]]:
    """The marks of those names, and of any secret (number 0), that stand in a text: (name, number)."""
    if "[" not in text:
        return
    for mark in re.finditer(
        rf"\[(?:{SECRET} ([A-Za-z_][A-Za-z0-9_]*)|({_any_of(names)}) ({_NUMBER}))\]", text
    ):
        secret, name, number = mark.groups()
        if secret is not None:
            yield secret, 0
        elif number != "more":
            yield name, int(number)


def _any_of(names: Iterable[str]) -> str:
    """A regular expression for one of these words; it matches nothing when there are none."""
    return "|".join(map(re.escape, sorted(names))) or "(?!)"


def _spans(pattern: Any, text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Where the pattern matches between `start` and `end`, in order."""
    begin = start
    while start < end:
        stop = min(start + WINDOW, end)
        sure = stop if stop == end else stop - REACH  # What begins later is looked for in the next window.
        # With a character on each side, for `^`, `$` and `\b`.
        before = text[start - 1 : start] if start > begin else " " * (start > 0)
        base, piece = start - len(before), before + text[start : stop + 1]
        # Of ASCII, bytes are characters; counting those of other text takes as long as the search.
        searched = piece.encode("ascii") if piece.isascii() else _SURROGATE.sub("\ufffd", piece)
        for match in pattern.finditer(searched, start - base, stop - base):
            first, past = match.start() + base, match.end() + base
            if first >= sure:
                break
            if first < past:
                yield first, past
                start = past
        start = max(start, sure)


def _re2() -> Any:
    """Raises UsageError when the optional package is missing."""
    try:
        import re2
    except ImportError:
        raise UsageError("--redact needs google-re2: pip install 'codeact_kernel[redact]'") from None
    return re2


def _compiled(given: str) -> tuple[str, Any]:
    name, equals, regex = given.partition("=")
    if not (equals and regex and name.isidentifier() and name.isascii()) or name == SECRET:
        raise UsageError(
            f"--redact {given!r:.200} needs a name and a regular expression: email='[a-z]+@[a-z.]+'"
        )
    re2 = _re2()
    options = re2.Options()
    options.log_errors = False
    try:
        pattern = re2.compile(regex, options)
    except re2.error as problem:
        said = problem.args[0] if problem.args else ""
        reason = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        raise UsageError(
            f"--redact {given!r:.200} is no regular expression of RE2: {reason}. It has no look-around and "
            "no back references: https://github.com/google/re2/wiki/Syntax"
        ) from None
    if pattern.search("") is not None:
        raise UsageError(f"--redact {given!r:.200} matches the empty text; it would mask between all letters")
    return name, pattern
