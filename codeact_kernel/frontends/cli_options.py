"""Owns the grammar of the command line: options of each command, and how an argv is read.

Standard library only, so that a usage error answers at once. Values are checked here, where the
option's name is known; what they mean is the business of the application classes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from ..exceptions import UsageError

Parse = Callable[[str], object]
"""Reads one value; raises ValueError whose message says what is needed."""

CLASS_OPTION = re.compile(r"--([A-Za-z_]\w*\.\w+)(?:=(.*))?", re.DOTALL)


@dataclass(frozen=True)
class Option:
    """One `--name`. `target` is the trait it sets, as `Class.trait`."""

    name: str
    target: str
    parse: Parse = str
    flag: bool = False
    """Takes no value; sets the trait to `sets`."""
    sets: object = True
    many: bool = False
    """May be repeated; the trait is a list."""
    greedy: bool = False
    """With `many`: takes all following values up to the next option."""
    holds: Callable[[str], bool] = bool
    """Whether a value looks like one of this option's, not like the command's positional."""


@dataclass(frozen=True)
class Command:
    """One subcommand: its positional arguments, if any, and its options."""

    name: str
    options: tuple[Option, ...]
    positional: str | None = None
    """What the first argument is called in messages."""
    further: tuple[str, ...] = ()
    """What those after it are called."""
    least: int = 1
    """How many there must be."""
    many: bool = False
    """Takes any number of arguments, each of the first kind."""
    claims: Callable[[str], bool] = bool
    """Whether the last value of a greedy option is this command's positional, whatever it holds."""


@dataclass(frozen=True)
class Parsed:
    """What an argv says. `traits`: `Class.trait` -> value (a list for `many`).

    `texts`: `--Class.trait=text` options, still as text, several where repeated.
    """

    traits: dict[str, object]
    texts: dict[str, list[str]]
    positionals: tuple[str, ...]


def nearest(word: str, known: Sequence[str]) -> str:
    """` Did you mean 'x'?`, or nothing when nothing is near."""
    close = get_close_matches(word, known, n=1, cutoff=0.5)
    return f" Did you mean {close[0]!r}?" if close else ""


# --- reading an argv ---------------------------------------------------------------------------


def parse(command: Command, argv: Sequence[str]) -> Parsed:
    """Reads `argv` (without the command's own name). Raises UsageError."""
    return _Reader(command, argv).read()


class _Reader:
    def __init__(self, command: Command, argv: Sequence[str]) -> None:
        self._command = command
        self._options = {option.name: option for option in command.options}
        self._rest = list(argv)
        self._traits: dict[str, object] = {}
        self._lists: dict[str, list[str]] = {}
        self._texts: dict[str, list[str]] = {}
        self._free: list[str] = []
        self._groups: list[tuple[Option, list[str]]] = []
        self._said: dict[str, str] = {}

    def read(self) -> Parsed:
        while self._rest:
            word = self._rest.pop(0)
            if word == "--":
                self._free += self._rest
                break
            if word == "-" or not word.startswith("-"):
                self._free.append(word)
            elif found := CLASS_OPTION.fullmatch(word):
                value = found[2] if found[2] is not None else self._value(word)
                self._texts.setdefault(found[1], []).append(value)
            else:
                self._option(word)
        return self._finish()

    def _option(self, word: str) -> None:
        name, equals, inline = word.partition("=")
        option = self._options.get(name)
        if option is None:
            raise self._wrong(f"unknown option {name!r}.{nearest(name, list(self._options))}")
        if (said := self._said.setdefault(option.target, name)) != name:
            raise self._wrong(f"{said} and {name} contradict each other; give one of them")
        if option.flag:
            if equals:
                raise self._wrong(f"{name} takes no value, but got {inline!r}")
            self._traits[option.target] = option.sets
            return
        values = [inline] if equals else [self._value(name)]
        if option.greedy and not equals:
            values += self._greedy()
        if not option.many:
            self._traits[option.target] = self._parsed(option, values[0])
        else:
            self._groups.append((option, values))

    def _value(self, name: str) -> str:
        if not self._rest or self._rest[0].startswith("--"):
            raise self._wrong(f"{name} needs a value")
        return self._rest.pop(0)

    def _greedy(self) -> Iterator[str]:
        while self._rest and (self._rest[0] == "-" or not self._rest[0].startswith("-")):
            yield self._rest.pop(0)

    def _parsed(self, option: Option, value: str) -> object:
        try:
            return option.parse(value)
        except ValueError as problem:
            raise self._wrong(f"{option.name}: {value!r} cannot be used; {problem}") from None

    def _finish(self) -> Parsed:
        positionals = self._positionals()
        for option, values in self._groups:
            held = self._traits.setdefault(option.target, [])
            assert isinstance(held, list)
            held.extend(self._parsed(option, value) for value in values)
        return Parsed(self._traits, self._texts, positionals)

    def _positionals(self) -> tuple[str, ...]:
        """The free words; or else the last value of a greedy option that can be nothing else."""
        command = self._command
        names = () if command.positional is None else (command.positional, *command.further)
        if not names and self._free:
            raise self._wrong(f"unexpected argument {self._free[0]!r}")
        if len(self._free) > len(names) and not command.many:
            if len(names) == 1:
                raise self._wrong(f"one {names[0]} is taken, but got {self._free!r}; put quotes around it")
            raise self._wrong(
                f"{' and '.join(names)} are taken, but got {self._free!r}; put quotes around a text"
            )
        if names and not self._free and command.least and (found := self._greedy_last()) is not None:
            self._free.append(found)
        if names and len(self._free) < command.least:
            raise self._wrong(f"{names[len(self._free)]} is missing; it goes first, or last after '--'")
        return tuple(self._free)

    def _greedy_last(self) -> str | None:
        for option, values in reversed(self._groups):
            if len(values) > 1 and (self._command.claims(values[-1]) or not option.holds(values[-1])):
                return values.pop()
        return None

    def _wrong(self, problem: str) -> UsageError:
        command = f"codeact {self._command.name}".strip()
        return UsageError(f"{problem.rstrip()}\nSee: {command} --help")
