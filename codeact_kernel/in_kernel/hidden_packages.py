"""Owns the message for a package that is installed, but from a folder that the cage does not show: a package
in development (`pip install --editable`)."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterator
from functools import cached_property
from typing import Any
from urllib.parse import unquote, urlsplit

from codeact_kernel.in_kernel.denials import Denials


class HiddenPackages:
    """The last finder: asked for modules that no other finder has found."""

    def __init__(self, denials: Denials) -> None:
        self._denials = denials

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        """Raises ModuleNotFoundError for a top-level module of such a package; finds nothing."""
        if path is None and name in self._folders:
            folder = self._folders[name]
            error = ModuleNotFoundError(
                f"No module named {name!r} (the sandbox does not see {folder!r}, where it is installed from; "
                f"--readable {shlex.quote(folder)}, SandboxProfile(readable=({folder!r},)), allows it)",
                name=name,
            )
            self._denials.reports.remember(error, "import", name)
            raise error

    @cached_property
    def _folders(self) -> dict[str, str]:
        """Folder by module. Read when the first import fails."""
        found = {}
        for info in _installed():
            folder = _development_folder(_text(info, "direct_url.json"))
            if folder and self._denials.is_beyond(folder, "read"):
                project = os.path.basename(info).partition("-")[0]
                names = _text(info, "top_level.txt").split() or [project]
                found.update(dict.fromkeys(names, folder))
        return found


def _installed() -> Iterator[str]:
    """The metadata folder of each package, `project-version.dist-info`."""
    for entry in sys.path:
        try:
            names = os.listdir(entry)
        except OSError:
            continue
        yield from (os.path.join(entry, name) for name in names if name.endswith(".dist-info"))


def _text(folder: str, name: str) -> str:
    try:
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            return file.read()
    except (OSError, ValueError):
        return ""  # Few packages have one.


def _development_folder(direct_url: str) -> str | None:
    """Source: the PyPA specification of direct_url.json."""
    try:
        origin = json.loads(direct_url or "null")
    except ValueError:
        return None
    match origin:
        case {"url": str(url), "dir_info": {"editable": True}}:
            return unquote(urlsplit(url).path)
    return None
