"""Owns `${NAME}` in a configuration: what the host's environment has in its place."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

_VARIABLE = re.compile(r"\$\{(?:env:)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}")
_OTHER = re.compile(r"\$\{(?P<kind>[A-Za-z]+):[^}]*\}")


class Variables:
    """Replaces `${NAME}`, `${NAME:-default}`, `${env:NAME}`; `${workspaceFolder}`, `${userHome}` as VS Code.

    `used` collects the values that came from the environment: they may be secrets wherever they went.
    """

    def __init__(self, environ: Mapping[str, str], folder: Path) -> None:
        self._environ = environ
        workspace = folder.parent if folder.name == ".vscode" else folder
        self._own = {"workspaceFolder": str(workspace), "userHome": str(Path.home())}
        self.used: list[str] = []

    def replaced(self, text: str) -> str:
        """Raises ValueError, which names the variable and no value."""
        other = _OTHER.search(_VARIABLE.sub("", text))
        if other is not None:
            raise ValueError(f"${{{other['kind']}:…}} cannot be filled in; use ${{NAME}}, of the environment")
        return _VARIABLE.sub(self._value, text)

    def _value(self, match: re.Match[str]) -> str:
        name, default = match["name"], match["default"]
        if name in self._environ and (self._environ[name] or default is None):
            self.used.append(self._environ[name])
            return self._environ[name]
        if name in self._own:
            return self._own[name]
        if default is None:
            raise ValueError(
                f"the environment variable {name} is not set; set it, or write ${{{name}:-default}}"
            )
        return default
