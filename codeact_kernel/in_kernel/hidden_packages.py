"""Owns the message for a package that is installed, but from a folder that the cage does not show: a package
in development (`pip install --editable`)."""

from __future__ import annotations

import importlib.metadata
import json
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
                f"--readable {folder}, SandboxProfile(readable=({folder!r},)), allows it)",
                name=name,
            )
            self._denials.remember(error, "import", name)
            raise error

    @cached_property
    def _folders(self) -> dict[str, str]:
        """Folder by module. Read when the first import fails: it takes milliseconds."""
        found = {}
        for package in importlib.metadata.distributions():
            folder = _development_folder(package)
            if folder and self._denials.is_beyond(folder, "read"):
                names = (package.read_text("top_level.txt") or package.name.replace("-", "_")).split()
                found.update(dict.fromkeys(names, folder))
        return found


def _development_folder(package: importlib.metadata.Distribution) -> str | None:
    """Source: the PyPA specification of direct_url.json."""
    match json.loads(package.read_text("direct_url.json") or "null"):
        case {"url": str(url), "dir_info": {"editable": True}}:
            return unquote(urlsplit(url).path)
    return None
