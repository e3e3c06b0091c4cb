"""Owns importing nbformat and jsonschema in a tenth of a second.

Where JupyterLab is installed, jsonschema finds a checker of IRIs, whose grammar takes two to three seconds to
compile, at each start of each process. It is compiled when the first IRI is checked instead: never, here.
Who needs either imports this module within the function that does: a tenth of a second is much for a command.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from types import ModuleType

__all__ = ["jsonschema", "nbformat"]


@contextmanager
def _at_its_first_call(module: str, function: str) -> Iterator[None]:
    """Meanwhile `from module import function` gives one that imports the module when it is called."""
    if module in sys.modules or find_spec(module) is None:
        yield
        return

    def call(*arguments: object) -> object:
        return getattr(importlib.import_module(module), function)(*arguments)

    later = ModuleType(module)
    setattr(later, function, call)
    sys.modules[module] = later
    try:
        yield
    finally:
        del sys.modules[module]  # Others get the real one.


with _at_its_first_call("rfc3987_syntax", "is_valid_syntax"):
    import jsonschema
    import nbformat
