"""Where a file is cut into cells, and where it must not be."""

from __future__ import annotations

import pytest

from codeact_kernel.frontends.cells import split_cells

CASES = {
    "one cell": ("x = 1\nprint(x)\n", ["x = 1\nprint(x)"]),
    "two cells": ("x = 1\n# %%\nprint(x)\n", ["x = 1", "print(x)"]),
    "marker first": ("# %%\nx = 1\n# %% [markdown] title\nx\n", ["x = 1", "x"]),
    "spelled without space": ("1\n#%%\n2\n", ["1", "2"]),
    "empty cells are left out": ("# %%\n\n# %%\n1\n# %%\n", ["1"]),
    "nothing": ("\n\n", []),
    "in a string": ('x = """\n# %%\n"""\n# %%\nx\n', ['x = """\n# %%\n"""', "x"]),
    "in an f-string": ('x = f"""\n# %%\n{1}"""\n# %%\nx\n', ['x = f"""\n# %%\n{1}"""', "x"]),
    "in brackets": ("x = [\n# %%\n1]\n# %%\nx\n", ["x = [\n# %%\n1]", "x"]),
    "indented": ("if 1:\n    # %%\n    2\n", ["if 1:\n    # %%\n    2"]),
    "after code": ("x = 1  # %%\ny = 2\n", ["x = 1  # %%\ny = 2"]),
    "another comment": ("# 100 %%\n# % %\n1\n", ["# 100 %%\n# % %\n1"]),
    "cell magic": ("%%time\n1\n# %%\n%time 2\n", ["%%time\n1", "%time 2"]),
    "an apostrophe in a magic": ("!echo it's\n# %%\n1\n", ["!echo it's", "1"]),
    "syntax error does not spoil the next": ("x = (\n# %%\n1\n", ["x = (", "1"]),
    "error, and a marker in a string": ("x = (\n# %%\ny = '''\n# %%\n'''\n", ["x = (", "y = '''\n# %%\n'''"]),
    "a bracket too many": ("x = 1)\n# %%\n1\n", ["x = 1)", "1"]),
    "bad indentation": ("  x = 1\n y\n# %%\n1\n", ["  x = 1\n y", "1"]),
    "no newline at the end": ("1\n# %%\n2", ["1", "2"]),
    "form feed": ("1\n\x0c\n# %%\n2\n", ["1\n\x0c", "2"]),
    "windows newlines": ("1\r\n# %%\r\n2\r\n", ["1", "2"]),
}


@pytest.mark.parametrize(("source", "cells"), CASES.values(), ids=CASES)
def test_split(source: str, cells: list[str]) -> None:
    assert list(split_cells(source)) == cells
