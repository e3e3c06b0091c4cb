"""Owns reading a tools file: a Python file whose module-level objects made by `tool` are offered."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import ModuleType

from ..exceptions import CodeActError, ToolDefinitionError, UsageError
from ..tools.registry import Tool

_numbers = count(1)
_HOW = (
    "A tools file offers every module-level object made by `tool`:\n"
    "    from codeact_kernel import tool\n"
    "    @tool\n"
    "    def fetch_orders(status: str) -> list[str]: ..."
)


def load_tools(path: str | Path) -> tuple[Tool, ...]:
    """Imports the file and returns its tools, in the order they are defined.

    The file runs on the host, with the rights of the user: it is the user's own code. It is a module of
    its own under a unique name, and its folder is on `sys.path` while it is imported.

    Raises: UsageError when the file is missing, does not compile, raises, or makes no tool.
    """
    path = Path(path)
    source = _read(path)
    try:
        code = compile(source, str(path), "exec", dont_inherit=True)
    except SyntaxError as problem:
        line = (problem.text or "").rstrip("\n")
        shown = f"\n    {line.strip()}" if line.strip() else ""
        raise UsageError(f"tools file {str(path)!r}, line {problem.lineno}: {problem.msg}{shown}") from None
    except ValueError as problem:
        raise UsageError(f"tools file {str(path)!r} is no Python source: {problem}") from None
    module = _module(path)
    with _folder_on_path(path.resolve().parent):
        _execute(code, module, path)
    tools = tuple({id(value): value for value in vars(module).values() if isinstance(value, Tool)}.values())
    if not tools:
        raise UsageError(f"tools file {str(path)!r} makes no tools. {_HOW}")
    return tools


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise UsageError(f"tools file {str(path)!r} does not exist; check the path") from None
    except OSError as problem:
        raise UsageError(f"tools file {str(path)!r} cannot be read: {problem.strerror}") from None


def _module(path: Path) -> ModuleType:
    name = f"codeact_tools_{next(_numbers)}_{path.stem if path.stem.isidentifier() else 'file'}"
    module = ModuleType(name)
    module.__file__ = str(path.resolve())
    module.__spec__ = importlib.util.spec_from_file_location(name, path.resolve())
    # Annotations given as text are looked up there, dataclasses and pydantic models included.
    sys.modules[name] = module
    return module


def _execute(code: object, module: ModuleType, path: Path) -> None:
    try:
        exec(code, vars(module))  # type: ignore[arg-type]  # a code object
    except (Exception, SystemExit) as problem:
        del sys.modules[module.__name__]
        where = _line_in(path, problem)
        if isinstance(problem, CodeActError):
            raise ToolDefinitionError(f"tools file {where}: {problem}") from problem
        text = f"{type(problem).__name__}: {problem}".removesuffix(": ")
        raise UsageError(f"tools file {where}: {text}") from problem


def _line_in(path: Path, problem: BaseException) -> str:
    """`'shop.py', line 7`: the last line of the file itself on the way to the exception."""
    lines = [
        frame.lineno for frame in traceback.extract_tb(problem.__traceback__) if frame.filename == str(path)
    ]
    return f"{str(path)!r}, line {lines[-1]}" if lines else repr(str(path))


@contextmanager
def _folder_on_path(folder: Path) -> Iterator[None]:
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        # The file may have changed sys.path itself; only our entry goes.
        if str(folder) in sys.path:
            sys.path.remove(str(folder))
