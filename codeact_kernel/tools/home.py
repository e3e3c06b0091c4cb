"""Owns the modules that Python functions are put into as tools: `from toolkits import shop`."""

from __future__ import annotations

import keyword

from ..exceptions import ToolDefinitionError
from ..wire.messages import ToolModule

RESERVED = {
    "tools": "that is what searches all of them",
    "skills": "that is where functions of earlier runs are imported from",
}
"""What the kernel has under these names."""


def toolkit(name: str, doc: str = "") -> ToolModule:
    """The module of that name. Raises: ToolDefinitionError for one that no module can have."""
    if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
        raise ToolDefinitionError(
            f"a module of tools cannot be called {name!r}; give a Python identifier without a leading "
            "underscore, such as 'shop'"
        )
    if name in RESERVED:
        raise ToolDefinitionError(f"a module cannot be called {name!r}: {RESERVED[name]}")
    return ToolModule(name, "toolkits", doc=doc)
