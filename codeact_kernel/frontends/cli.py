"""Owns the entry point of `codeact`: help at once, then the application; every error becomes an exit code."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Sequence

from codeact_kernel import __version__

from ..exceptions import (
    BudgetError,
    CodeActError,
    CredentialsError,
    ModelError,
    SandboxError,
    UsageError,
)
from .cli_commands import COMMANDS, command_of
from .cli_help import TEXTS
from .cli_options import nearest, parse
from .terminal import clean

ENDED, USAGE, SANDBOX, MODEL, BUG, INTERRUPTED = 1, 2, 3, 4, 70, 130

# The application costs 0.2 s to import (jupyter_core), a command more. Help, version and a wrong command
# line do not need them.
APPLICATION = "codeact_kernel.frontends.app"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line. Returns the exit code; see `codeact --help` for what it means."""
    args = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        # What a terminal cannot encode is shown escaped; it never ends a run.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # TextIO lacks it
    options = args[: args.index("--")] if "--" in args else args
    try:
        code = _dispatch(args, options)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read us (`| head`) has had enough; Python must not flush into the pipe at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return ENDED
    except KeyboardInterrupt as interrupt:
        _say(f"interrupted{f': {interrupt}' if str(interrupt) else ''}")
        return INTERRUPTED
    except Exception as problem:
        if "--debug" in options:
            raise
        return _report(problem)
    return code


def _dispatch(args: Sequence[str], options: Sequence[str]) -> int:
    if args and args[0] == "help":
        args, options = args[1:], ["--help"]
    if "--version" in options or "-V" in options:
        print(__version__)
        return 0
    command = command_of(args) or _text_of(args)
    if "-h" in options or "--help" in options:
        print(TEXTS[command], end="")
        return 0
    grouped = command not in COMMANDS
    if not args or (grouped and len(args) == 1):
        print(TEXTS[command], end="", file=sys.stderr)
        return USAGE
    if grouped:
        raise _unknown(" ".join(args[:2]))
    if "--help-all" not in options:
        parse(COMMANDS[command], args[len(command.split()) :])
    launch: Callable[[Sequence[str]], int] = importlib.import_module(APPLICATION).launch
    return launch(args)


def _text_of(args: Sequence[str]) -> str:
    """Which help is that of `args` that begin with no command: options, or a group of commands such as
    `kernel`. Raises: UsageError."""
    word = next(iter(args), "")
    if word in TEXTS:
        return word
    if not word.startswith("-"):
        raise _unknown(word)
    return ""


def _unknown(words: str) -> UsageError:
    close = nearest(words, [name for name in COMMANDS if name])
    return UsageError(f"unknown command {words!r}.{close}\nSee: codeact --help")


def _report(problem: Exception) -> int:
    """One message on stderr, and the exit code."""
    match problem:
        case UsageError() | BudgetError():
            code = USAGE
        case SandboxError():
            code = SANDBOX
        case ModelError():
            code = MODEL
        case CodeActError() | OSError():
            code = ENDED
        case _:
            kind = type(problem).__name__
            _say(
                f"error: {kind}: {problem}\nThis is a bug in codeact; run it again with --debug to see where."
            )
            return BUG
    message = str(problem)
    if isinstance(problem, CredentialsError) and "codeact demo" not in message:
        message += "\nTo see it work without a key: codeact demo"
    _say(f"error: {message}")
    return code


def _say(message: str) -> None:
    print(f"codeact: {clean(message)}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
