"""Code-as-Action on Jupyter. The public names; everything is imported on first use."""

from __future__ import annotations

__version__ = "0.1.0"

TYPE_CHECKING = False  # Known to type checkers by its name; `typing` would be half of the import.
if TYPE_CHECKING:
    from IPython import InteractiveShell

    from .config import (
        ContextLimits,
        Limits,
        OutputLimits,
        SandboxLimits,
        SandboxProfile,
        ToolLimits,
    )
    from .frontends.assembly import Agent
    from .frontends.finished import Run
    from .models.scripted import ScriptedModel
    from .sandbox.launching import Launcher
    from .tools.registry import tool

# Lazy, so that `import codeact_kernel` (and with it `codeact --help`, and the launcher of the
# sandbox kernel) costs nothing that it does not use.
_WHERE = {
    "Agent": "frontends.assembly",
    "Launcher": "sandbox.launching",
    "Run": "frontends.finished",
    "tool": "tools.registry",
    "ScriptedModel": "models.scripted",
    "Limits": "config",
    "ToolLimits": "config",
    "OutputLimits": "config",
    "ContextLimits": "config",
    "SandboxLimits": "config",
    "SandboxProfile": "config",
}

__all__ = [
    "Agent",
    "ContextLimits",
    "Launcher",
    "Limits",
    "OutputLimits",
    "Run",
    "SandboxLimits",
    "SandboxProfile",
    "ScriptedModel",
    "ToolLimits",
    "__version__",
    "tool",
]


def __getattr__(name: str) -> object:
    if name not in _WHERE:
        raise AttributeError(f"module 'codeact_kernel' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)


def load_ipython_extension(shell: InteractiveShell) -> None:
    """`%load_ext codeact_kernel`: the magics `%codeact` and `%%codeact`."""
    from .frontends.magic import load

    load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """`%unload_ext codeact_kernel`: ends the agent of the magics."""
    from .frontends.magic import unload

    unload(shell)


def __dir__() -> list[str]:
    return sorted(__all__)
