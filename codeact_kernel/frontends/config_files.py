"""Owns reading config files: of Jupyter's configuration folders, and never of the current folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

from traitlets.config import Config
from traitlets.config.loader import (
    ConfigFileNotFound,
    JSONFileConfigLoader,
    LazyConfigValue,
    PyFileConfigLoader,
)

from ..exceptions import UsageError
from .toolsfile import is_file_name, split_entry

JUPYTER, OURS = "jupyter_config", "codeact_config"


def read_folders(names: Iterable[str], folders: Sequence[str]) -> tuple[Config, list[str]]:
    """The config files of these names, without ending, and their paths. Of two folders the first wins.

    Only absolute folders count: an empty entry of JUPYTER_CONFIG_PATH (`export X=$X:/etc/x`) would name
    the current one. Raises: UsageError.
    """
    found, paths = Config(), []
    for name in names:
        for folder in reversed([folder for folder in folders if os.path.isabs(folder)]):
            for suffix in (".json", ".py"):
                path = merge(found, name + suffix, folder)
                if path:
                    paths.append(path)
    return found, paths


def merge(config: Config, name: str, folder: str | None) -> str:
    """Merges one config file into `config`; its path, or "" when there is none. Raises: UsageError.

    What its `tools` and `mcp` name by relative path is taken relative to the file: whoever names `tools.py`
    in a config file means the one beside it, not the one of the folder that happens to be current.
    """
    loader_type = JSONFileConfigLoader if name.endswith(".json") else PyFileConfigLoader
    loader = loader_type(name, path=folder)
    try:
        loaded = loader.load_config()
        path = str(loader.full_filename)
        _settle_files(loaded, Path(path).absolute().parent)
    except ConfigFileNotFound:
        return ""
    except (Exception, SystemExit) as problem:
        where = loader.full_filename or name
        raise UsageError(
            f"config file {where!r} cannot be used: {type(problem).__name__}: {problem}"
        ) from None
    config.merge(loaded)
    return path


def _settle_files(config: Config, folder: Path) -> None:
    for section in config.values():
        for name, settle in (("tools", _settled_entry), ("mcp", _settled_file)):
            if isinstance(section, Config) and name in section:
                section[name] = _settled(section[name], partial(_absolute, settle, folder))


def _settled(value: object, absolute: Callable[[Iterable[object]], list[object]]) -> object:
    if isinstance(value, list):
        return absolute(value)
    if isinstance(value, LazyConfigValue):  # `c.CodeActKernel.tools.append(…)`
        # Its fields: `to_dict` forgets what was inserted where something was prepended (traitlets 5.16).
        value._extend[:] = absolute(value._extend)
        value._prepend[:] = absolute(value._prepend)
        value._inserts[:] = [(index, *absolute([entry])) for index, entry in value._inserts]
    return value  # Of the wrong type: its trait says so.


def _absolute(settle: Callable[[str, Path], str], folder: Path, entries: Iterable[object]) -> list[object]:
    return [settle(entry, folder) if isinstance(entry, str) else entry for entry in entries]


def _settled_file(entry: str, folder: Path) -> str:
    return str(folder / Path(entry).expanduser())


def _settled_entry(entry: str, folder: Path) -> str:
    name, what = split_entry(entry)
    if not is_file_name(what):
        return entry
    return f"{name}={folder / Path(what).expanduser()}" if name else str(folder / Path(what).expanduser())
