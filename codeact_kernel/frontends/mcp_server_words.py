"""Owns what an MCP client's model is told of our kernel, and the cell that lists its variables."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ..config import SandboxProfile
from ..prompt_modules import modules_section
from ..wire.messages import ToolModule, ToolSpec
from ..wire.stubs import tool_stub
from .imports import allowed_imports

MAX_STUBS = 8_000
"""Characters of the tools in a description; of more only the names."""
INSTRUCTIONS = (
    "Python in an isolated kernel: no network, no shell, no files of the user but those given as data. "
    "run_cell keeps variables from call to call. Everything that runs is recorded in a notebook that can be "
    "run again and checked: save_trajectory gives it a name."
)
RUN_CELL = """\
Runs one cell of Python in an isolated IPython kernel of your own, and returns what it showed.
- The kernel is persistent: variables, functions and imports stay until reset().
- The value of the last expression is shown, and what you print or display; figures come back as images. \
`await` works at the top level.
- Long output is shortened. All of it stays in the kernel: `_obs[n]` is the text that cell n printed, \
`Out[n]` its value. Print what you need to see.
- There is no network and no shell; imports are limited to a list, and a refusal says what to use.
- A failed cell is an error with its traceback. What ran before it stays done, tool calls too."""
LIST_VARIABLES = "The variables that cells have bound in your kernel, and the type of each."
RESET_TEXT = (
    "Ends your kernel with all its variables; the next run_cell begins anew. What was run stays saved as a "
    "notebook."
)
SAVE = (
    "Saves what was run in your kernel so far as a notebook under this name, in the folder that the user of "
    "this server chose. It runs again in stock Jupyter, and `codeact replay` compares. It overwrites nothing."
)


def about(profile: SandboxProfile, tools: Sequence[ToolSpec], modules: Sequence[ToolModule]) -> str:
    """What this server's kernels have. `tools`: those that are known before one starts."""
    lines = []
    if profile.data:
        names = ", ".join(f"data/{path.name}" for path in profile.data)
        lines.append(f"- Files in the working folder: {names}.")
    libraries = sorted(set(allowed_imports(profile.allow_imports)) - sys.stdlib_module_names)
    if libraries:
        lines.append(f"- Libraries beside the standard one: {', '.join(libraries)}.")
    flat = [tool for tool in tools if not tool.module]
    if flat:
        stubs = "\n\n".join(map(tool_stub, flat))
        if len(stubs) > MAX_STUBS:
            stubs = ", ".join(tool.name for tool in flat)
        lines.append(
            "- These functions are defined in the kernel; they run outside of it and have real effects. "
            f"`help(f)` tells more:\n\n{stubs}"
        )
    known = [module for module in modules if module.package == "toolkits"]
    servers = [module.name for module in modules if module.package == "mcp_servers"]
    if known:
        lines.append(modules_section(known, tools))
    if servers:
        lines.append(
            f"- MCP servers as modules, `from mcp_servers import {servers[0]}`: {', '.join(sorted(servers))}."
            ' In the kernel `tools.search("words")` finds their functions, and `tools.describe("NAME.*")` '
            "shows what they take."
        )
    return "\n".join(lines)


def listing(names: Sequence[str]) -> str:
    """The cell of `list_variables`: recorded like any other."""
    there = f"[name for name in {[*names]!r} if name in globals()]"
    shown = f'[f"{{name}} {{type(globals()[name]).__name__}}" for name in {there}]'
    return f'# The variables of this kernel, for list_variables.\nprint(*{shown}, sep="\\n")'
