"""Owns reading tools from a Python file, or from an installed module: objects made by `tool` are offered."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from itertools import count
from pathlib import Path
from types import ModuleType

from ..exceptions import CodeActError, ToolDefinitionError, UsageError
from ..tools.registry import Tool
from ..tools.toolkits import made_by_tool, tools_in

_numbers = count(1)
_HOW = (
    "A tools file offers every module-level object made by `tool`:\n"
    "    from codeact_kernel import tool\n"
    "    @tool\n"
    "    def fetch_orders(status: str) -> list[str]: ..."
)


def is_file_name(entry: str) -> bool:
    """Whether a file names the tools (`shop.py`, `./shop`), and no module (`shop`, `acme.shop:tools`)."""
    return entry.endswith(".py") or os.sep in entry


def split_entry(entry: str) -> tuple[str, str]:
    """The module that `NAME=ENTRY` puts tools into, "" for none; and what they are loaded from."""
    name, equals, what = entry.partition("=")
    return (name, what) if equals and name.isidentifier() else ("", entry)


def load_module_tools(entry: str) -> tuple[Tool, ...]:
    """The tools of a module that can be imported: its own objects made by `tool` (also as `module:*`); or, of
    `module:object`, that tool, that function, or all of that list of them. Raises: UsageError."""
    name, colon, attribute = entry.removesuffix(":*").partition(":")
    parts = [*name.split("."), *(attribute.split(".") if colon else ())]
    if not all(part.isidentifier() for part in parts):
        raise UsageError(
            f"{entry!r} names no tools; give FILE.py, package.module, package.module:object, or an installed "
            "toolkit (`codeact tools` lists them)"
        )
    found: object = _imported(name, entry)
    if not colon:
        tools = made_by_tool(vars(found).values())
        if not tools:
            raise UsageError(f"the module {name!r} makes no tools. {_HOW}")
        return tools
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise UsageError(f"tools {entry!r}: {name!r} has no {attribute!r}; check the name")
        found = getattr(found, part)
    try:
        return tools_in(found)
    except ToolDefinitionError as problem:
        raise ToolDefinitionError(f"tools {entry!r}: {problem}") from problem


def _imported(name: str, entry: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as problem:
        if problem.name is not None and f"{name}.".startswith(f"{problem.name}."):
            raise UsageError(
                f"tools {entry!r}: there is no module {problem.name!r}; install it, or name a file, "
                "FILE.py, or an installed toolkit (`codeact tools` lists them)"
            ) from None
        raise UsageError(f"tools {entry!r}: importing {name!r} failed: {problem}") from problem
    except (Exception, SystemExit) as problem:
        text = f"{type(problem).__name__}: {problem}".removesuffix(": ")
        raise UsageError(f"tools {entry!r}: importing {name!r} failed: {text}") from problem


def load_tools(path: str | Path) -> tuple[Tool, ...]:
    """Imports the file and returns its tools, in the order they are defined.

    The file runs on the host, with the rights of the user: it is the user's own code. It is a module of
    its own under a unique name, and its folder is on `sys.path` while it is imported.

    Raises: UsageError when the file is missing, does not compile, raises, or makes no tool.
    """
    path = Path(path)
    return tools_of_source(path, _read(path))


def tools_of_source(path: Path, source: bytes, *, alone: bool = False) -> tuple[Tool, ...]:
    """As `load_tools`, of content that was read. `alone`: what lies beside the file cannot be imported."""
    try:
        code = compile(source, str(path), "exec", dont_inherit=True)
    except SyntaxError as problem:
        line = (problem.text or "").rstrip("\n")
        shown = f"\n    {line.strip()}" if line.strip() else ""
        raise UsageError(f"tools file {str(path)!r}, line {problem.lineno}: {problem.msg}{shown}") from None
    except ValueError as problem:
        raise UsageError(f"tools file {str(path)!r} is no Python source: {problem}") from None
    module = _module(path)
    with nullcontext() if alone else _folder_on_path(path.resolve().parent):
        _execute(code, module, path)
    tools = made_by_tool(vars(module).values())
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
