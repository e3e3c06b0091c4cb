"""Owns the flags of `%codeact`: what they are called, how a line is read, what is said of a wrong one.

Flags stand before the task, which is everything after them, as it is written: quotes, braces and dollars
mean nothing in it.
"""

from __future__ import annotations

import argparse
import keyword
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from IPython.core.magic import line_cell_magic, line_magic, no_var_expand
from IPython.core.magic_arguments import argument, magic_arguments

from ..exceptions import UsageError
from .approval_modes import DEFAULTS
from .cli_options import nearest

F = TypeVar("F", bound=Callable[..., Any])
_NAME = re.compile(r"\s*+(--[^\s=]*+)=?")
_VALUE = re.compile(r"""\s*+(?:"([^"]*+)"|'([^']*+)'|(\S++))""")


@dataclass(frozen=True)
class Flag:
    """One flag. `value`: what its value is called, "" for a switch; `kind`: reads it; `choices`: what it
    can be."""

    name: str
    help: str
    value: str = ""
    kind: Callable[[str], object] = str
    choices: tuple[str, ...] = ()

    @property
    def dest(self) -> str:
        return self.name.lstrip("-").replace("-", "_")


@dataclass(frozen=True)
class Request:
    """What one `%codeact` asks for. None: as before, or as configured."""

    task: str
    send: tuple[str, ...] = ()
    take: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    mcp: tuple[str, ...] = ()
    skills: tuple[str, ...] = ()
    model: str | None = None
    max_cost: float | None = None
    max_steps: int | None = None
    save: str | None = None
    approve: str | None = None
    insert: bool = field(default=False)
    dry: bool = field(default=False)
    verify: bool = field(default=True)


def names_given(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(filter(None, (name.strip() for name in text.split(",")))))
    wrong = [name for name in names if not name.isidentifier() or keyword.iskeyword(name)]
    if wrong or not names:
        said = f"{wrong[0]!r} is no name of a variable" if wrong else "no name is given"
        raise argparse.ArgumentTypeError(f"{said}; write them with commas, as in df,model")
    return names


def files_given(text: str) -> tuple[str, ...]:
    names = tuple(filter(None, (name.strip() for name in text.split(","))))
    if not names:
        raise argparse.ArgumentTypeError("no file is given")
    return names


def _dollars(text: str) -> float:
    value = _number(text, float)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no amount of US dollars above 0")
    return value


def _count(text: str) -> int:
    value = int(_number(text, int))
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: 1 is the least")
    return value


def _number(text: str, kind: type[int] | type[float]) -> float:
    try:
        return kind(text)
    except ValueError:
        what = "whole number" if kind is int else "number"
        raise argparse.ArgumentTypeError(f"{text!r} is no {what}") from None


FLAGS = (
    Flag("--with", "Variables of yours that the agent gets, as copies.", "NAMES", names_given),
    Flag(
        "--out", "Variables that the agent is to leave for you, brought back as yours.", "NAMES", names_given
    ),
    Flag(
        "--tools",
        "Functions of yours that it may call, or lists of them, as modules; they run here, unsandboxed.",
        "NAMES",
        names_given,
    ),
    Flag("--mcp", "Files with MCP servers, as mcp.json; they run here, unsandboxed.", "FILES", files_given),
    Flag("--skills", "Folders of skills (codeact skill save); they run in its sandbox.", "DIRS", files_given),
    Flag("--model", "Which model: anthropic:NAME or scripted:FILE.jsonl.", "MODEL"),
    Flag("--max-cost", "US dollars that this task may cost.", "USD", _dollars),
    Flag("--max-steps", "Steps that this task may take.", "N", _count),
    Flag("--save", "Where the run is saved; by default beside your notebook.", "RUN.ipynb"),
    Flag(
        "--approve",
        "Before a call of your functions: ask, ask-writes, deny, allow; also by name, as in send=ask.",
        "MODE",
        choices=DEFAULTS,
    ),
    Flag("--insert", "Put what it ran into the next cell, for you to edit."),
    Flag("--dry", "Say what would be sent, and call nothing."),
    Flag("--no-verify", "Do not replay the run in the background to see whether it re-runs."),
)
_BY_NAME = {flag.name: flag for flag in FLAGS}


def task_magic(function: F) -> F:
    """A decorator: `%name` and `%%name`, with the flags as IPython's help shows them."""
    arguments = [argument("task", nargs="*", help="What is to be done, in plain words.")]
    for flag in FLAGS[::-1]:
        options: dict[str, Any] = {"help": flag.help, "dest": flag.dest}
        options |= {"metavar": flag.value, "type": flag.kind} if flag.value else {"action": "store_true"}
        arguments.append(argument(flag.name, **options))
    return _magic(function, line_cell_magic, arguments)


def files_magic(function: F) -> F:
    """A decorator: `%name [FILE …]`."""
    said = "Files such as mcp.json; without any, what there is so far."
    return _magic(function, line_magic, [argument("files", nargs="*", metavar="FILE", help=said)])


def plain_magic(function: F) -> F:
    """A decorator: `%name`, which takes nothing."""
    return _magic(function, line_magic, [])


def run_magic(function: F) -> F:
    """A decorator: `%name RUN.ipynb`."""
    said = "A saved run; by default the one of this notebook."
    return _magic(function, line_magic, [argument("run", nargs="?", metavar="RUN.ipynb", help=said)])


def _magic(function: F, kind: Callable[[F], F], arguments: list[Callable[[F], F]]) -> F:
    """What users write is taken as it is, not expanded."""
    for decorate in (*arguments, magic_arguments(function.__name__), kind, no_var_expand):
        function = decorate(function)
    return function


def read(parser: argparse.ArgumentParser, line: str, cell: str | None) -> Request:
    """What the user asks for. Raises UsageError, and IPython's own."""
    words, rest = split(line)
    given = parser.parse_args(words)
    task = "\n".join(filter(None, (rest.strip(), (cell or "").strip("\n"))))
    if not task.strip():
        where = "below the line" if cell is not None else "after the flags"
        raise UsageError(f"the task is empty: say {where} what is to be done; %codeact? tells more")
    return Request(
        task,
        given.__dict__["with"] or (),
        given.out or (),
        given.tools or (),
        given.mcp or (),
        given.skills or (),
        given.model,
        given.max_cost,
        given.max_steps,
        given.save,
        given.approve,
        given.insert,
        given.dry,
        not given.no_verify,
    )


def split(line: str) -> tuple[list[str], str]:
    """The words of the flags, as `--name=value` each, and the rest of the line. Raises UsageError."""
    words: list[str] = []
    at = 0
    while token := _NAME.match(line, at):
        at = token.end()
        if token[1] == "--":
            return words, line[at:]
        flag = _flag(token[1])
        if not flag.value:
            if token[0].endswith("="):
                raise UsageError(f"{flag.name} takes no value; leave out what follows it")
            words.append(flag.name)
            continue
        value, at = _value(line, at, flag)
        words.append(f"{flag.name}={value}")
    _check_rest(line[at:])
    return words, line[at:]


def _flag(name: str) -> Flag:
    if name not in _BY_NAME:
        hint = nearest(name, list(_BY_NAME)) or f" There are: {', '.join(_BY_NAME)}."
        raise UsageError(f"unknown flag {name!r}.{hint} %codeact? tells more")
    return _BY_NAME[name]


def _value(line: str, at: int, flag: Flag) -> tuple[str, int]:
    """The value that stands at `at`, and where it ends. Names may have blanks after their commas."""
    value = ""
    while token := _VALUE.match(line, at):
        value, at = value + next(filter(None, token.groups()), ""), token.end()
        if flag.kind is not names_given or not value.endswith(","):
            break
    if not value or value.startswith("--"):
        raise UsageError(f"{flag.name} needs a value: {flag.name} {flag.value}")
    return value, at


def _check_rest(rest: str) -> None:
    for word in rest.split():
        if word.partition("=")[0] in _BY_NAME:
            raise UsageError(
                f"{word.partition('=')[0]} stands inside the task; flags come before it. A task that is to "
                "hold such a word goes into the lines below %%codeact"
            )
