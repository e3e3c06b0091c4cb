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
from .cli_values import amount, is_notebook, is_path, is_script, is_sentence, module, size, some, tier, whole

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
    """One subcommand: its positional argument, if any, and its options."""

    name: str
    options: tuple[Option, ...]
    positional: str | None = None
    """What the argument is called in messages."""
    claims: Callable[[str], bool] = bool
    """Whether the last value of a greedy option is this command's positional, whatever it holds."""


@dataclass(frozen=True)
class Parsed:
    """What an argv says. `traits`: `Class.trait` -> value (a list for `many`).

    `texts`: `--Class.trait=text` options, still as text, several where repeated.
    """

    traits: dict[str, object]
    texts: dict[str, list[str]]
    positional: str | None


# --- the commands ------------------------------------------------------------------------------

COMMON = (
    Option("--config", "JupyterApp.config_file", some),
    Option("--debug", "CodeactApp.debug", flag=True),
    Option("--log-level", "Application.log_level", some),
    Option("--show-config", "Application.show_config", flag=True),
)
WORKSPACE = Option("--workspace", "SandboxProfile.workspace", some)
DATA = Option("--data", "SandboxProfile.data", some, many=True, greedy=True, holds=is_path)
JSON = Option("--json", "CodeactApp.json", flag=True)
CAGE = (
    Option("--sandbox", "SandboxProfile.sandbox", tier),
    Option("--unsandboxed", "SandboxProfile.sandbox", flag=True, sets="none"),
    Option("--readable", "SandboxProfile.readable", some, many=True, greedy=True, holds=is_path),
    Option("--memory", "SandboxLimits.memory_bytes", size),
    Option("--allow-fork", "SandboxProfile.allow_fork", flag=True),
)
SANDBOX = (
    Option("--tools", "CodeactApp.tools", some, many=True),
    WORKSPACE,
    DATA,
    Option(
        "--allow-import", "SandboxProfile.allow_imports", module, many=True, greedy=True, holds=str.isascii
    ),
    Option("--step-timeout", "Limits.step_timeout_s", amount),
    *CAGE,
    Option("--keep-files", "CodeactApp.keep_files", some),
    JSON,
)
BUDGETS = (
    Option("--max-steps", "Limits.max_steps", whole),
    Option("--max-seconds", "Limits.max_seconds", amount),
    Option("--max-tokens", "Limits.max_tokens", whole),
    Option("--max-cost", "Limits.max_cost_usd", amount),
)
RUN = (
    Option("--model", "CodeactApp.model", some),
    Option("--out", "RunApp.out", some),
    Option("--schema", "RunApp.schema", some),
)
COMMANDS = {
    "run": Command("run", (*RUN, *SANDBOX, *BUDGETS, *COMMON), "TASK", is_sentence),
    "exec": Command("exec", (*SANDBOX, *COMMON), "FILE.py", is_script),
    "replay": Command("replay", (DATA, WORKSPACE, *CAGE, JSON, *COMMON), "RUN.ipynb", is_notebook),
    "show": Command("show", COMMON, "RUN.ipynb"),
    "doctor": Command("doctor", (Option("--control", "DoctorApp.control", flag=True), JSON, *COMMON)),
    "demo": Command("demo", (Option("--out", "DemoApp.out", some), *COMMON)),
    "": Command(
        "",
        (
            Option("--generate-config", "JupyterApp.generate_config", flag=True),
            Option("-y", "JupyterApp.answer_yes", flag=True),
            *COMMON,
        ),
    ),
}


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
        positional = self._positional()
        for option, values in self._groups:
            held = self._traits.setdefault(option.target, [])
            assert isinstance(held, list)
            held.extend(self._parsed(option, value) for value in values)
        return Parsed(self._traits, self._texts, positional)

    def _positional(self) -> str | None:
        """The one free word, or else the last value of a greedy option that can be nothing else."""
        name = self._command.positional
        if name is None and self._free:
            raise self._wrong(f"unexpected argument {self._free[0]!r}")
        if name is None:
            return None
        if len(self._free) > 1:
            raise self._wrong(f"one {name} is taken, but got {self._free!r}; put quotes around it")
        if self._free:
            return self._free[0]
        for option, values in reversed(self._groups):
            if len(values) > 1 and (self._command.claims(values[-1]) or not option.holds(values[-1])):
                return values.pop()
        raise self._wrong(f"{name} is missing; it goes first, or last after '--'")

    def _wrong(self, problem: str) -> UsageError:
        command = f"codeact {self._command.name}".strip()
        return UsageError(f"{problem.rstrip()}\nSee: {command} --help")
