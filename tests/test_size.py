"""The size gates of docs/design.md: what is bigger is asking to be split."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from statistics import median

import pytest

import codeact_kernel

MODULES = sorted(Path(codeact_kernel.__file__).parent.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_module_is_read_in_one_sitting(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 300
    tree = ast.parse(text)
    assert ast.get_docstring(tree), "the first line of a module says what it owns"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 60, f"{node.name} is over 60 lines"
        if isinstance(node, ast.ClassDef):
            methods = [n for n in node.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
            assert len(methods) <= 15, f"{node.name} has {len(methods)} methods"


def test_functions_are_short() -> None:
    lengths = [
        (node.end_lineno or 0) - node.lineno + 1
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert median(lengths) <= 10


@pytest.mark.parametrize("folder", ["codeact_kernel", "benchmarks", "tests"])
def test_every_ignore_carries_its_reason(folder: str) -> None:
    bare = re.compile(r"# (type: ignore(\[[^\]]*\])?|(ruff: )?noqa(: [A-Z0-9, ]+)?)\s*$")
    found = [
        f"{path.name}:{number}"
        for path in (Path(__file__).parents[1] / folder).rglob("*.py")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if bare.search(line)
    ]
    assert not found
