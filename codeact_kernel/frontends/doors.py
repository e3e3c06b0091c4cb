"""Owns what the commands share: where results and progress go, reading arguments, naming files."""

from __future__ import annotations

import sys
import tokenize
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import TextIO

from rich.console import Console

from ..exceptions import UsageError
from ..notebook.journal import journal_path
from ..tools.registry import Tool
from .documents import reserved_stdout
from .page import stderr_console, stdout_console
from .toolentries import load_entries
from .traits import readable_file


@contextmanager
def outlets(json: bool) -> Iterator[tuple[Console, TextIO | None]]:
    """Where people read, and where the document goes when one is asked for."""
    if not json:
        yield stdout_console(), None
        return
    with reserved_stdout() as document:
        yield stderr_console(), document


def text_argument(name: str, given: str) -> str:
    """The argument itself; `-` stands for standard input. Raises UsageError when it is empty."""
    text = sys.stdin.read() if given == "-" else given
    if not text.strip():
        where = "standard input" if given == "-" else "the command line"
        raise UsageError(f"{name} is empty on {where}; say what is to be done")
    return text


def source_argument(given: str) -> str:
    """The source of a Python file, `-` for standard input. Raises UsageError."""
    if given == "-":
        return sys.stdin.read()
    path = readable_file("FILE.py", given)
    if path.suffix == ".ipynb":
        raise UsageError(f"{given!r} is a notebook; `codeact replay` runs saved runs, `exec` Python files")
    try:
        with tokenize.open(path) as file:  # honours a coding line
            return file.read()
    except (SyntaxError, UnicodeDecodeError) as problem:
        raise UsageError(f"{given!r} is no Python source text: {problem}") from None


def saved_run(name: str) -> Path:
    """The path of a saved run; also one that has left only a journal. Raises UsageError."""
    path = Path(name).expanduser()
    return path if journal_path(path).exists() else readable_file("RUN.ipynb", name)


def tools_of(entries: Iterable[str]) -> tuple[Tool, ...]:
    """The tools of all files, modules and toolkits that are named. Raises UsageError."""
    return load_entries(entries)


def notebook_path(given: str, option: str = "--out") -> Path:
    """Where a run is saved: never over something that is there. Raises UsageError."""
    if not given:
        return _free_name()
    path = Path(given).expanduser()
    if path.suffix != ".ipynb":
        raise UsageError(f"{option} {given!r} is a notebook; give a name that ends in .ipynb")
    if path.exists():
        raise UsageError(
            f"{option} {given!r} exists and is not overwritten; choose another name or move it away"
        )
    if not path.parent.is_dir():
        raise UsageError(f"{option} {given!r}: the folder {str(path.parent)!r} does not exist; make it first")
    return path


def _free_name() -> Path:
    stem = f"codeact-{datetime.now():%Y%m%d-%H%M%S}"
    numbered = (stem if number == 1 else f"{stem}-{number}" for number in count(1))
    # A journal without its notebook is a run that was cut off: not a free name either.
    return next(Path(f"{name}.ipynb") for name in numbered if not any(Path().glob(f"{name}.*")))
