"""Importing nbformat and jsonschema is cheap where JupyterLab is, and takes nothing from either."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import pytest

pytestmark = pytest.mark.skipif(
    find_spec("rfc3987_syntax") is None, reason="no JupyterLab, and none of what it brings"
)
DOORS = ("command_run", "command_show", "kernel", "magic")
IRIS = """
import sys
from codeact_kernel.jupyter_schemas import jsonschema
assert "rfc3987_syntax" not in sys.modules
checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
print([checker.conforms(text, "iri") for text in ("http://example.org/r\\u00e9sum\\u00e9", "no iri")])
import rfc3987_syntax
assert rfc3987_syntax.syntax_parser
"""


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_no_door_compiles_the_grammar_of_iris() -> None:
    doors = ", ".join(f"codeact_kernel.frontends.{door}" for door in DOORS)
    imports = f"codeact_kernel.jupyter_schemas, {doors}"
    assert python(f"import sys, {imports}; print('lark' in sys.modules, 'jsonschema' in sys.modules)") == (
        "False True\n"
    )


def test_iris_are_checked_all_the_same() -> None:
    assert python(IRIS) == "[True, False]\n"
