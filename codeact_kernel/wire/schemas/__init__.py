"""Owns JSON Schemas as Python: an MCP server's tools as typed functions. Host and kernel share it.

Nothing of it trusts a schema: what it looks at is bounded, what it writes is checked (`check_source`), what
it cannot say is Any.

    names = function_names(["read-file"])                    # ("read_file",)
    spec = tool_spec("filesystem", "read_file", schema, "…") # parameters, returns, doc
    parameter_names(schema.input)                            # {"from_": "from"}
    module_source(module, specs)                             # what is imported, and what is shown
"""

from ..stubs import signature_of
from .checking import check_source
from .names import function_names, module_name
from .source import module_source
from .specs import (
    documentation,
    parameter_names,
    tool_spec,
    wraps_result,
)

__all__ = [
    "check_source",
    "documentation",
    "function_names",
    "module_name",
    "module_source",
    "parameter_names",
    "signature_of",
    "tool_spec",
    "wraps_result",
]
