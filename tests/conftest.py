"""Owns what holds for all tests: bytecode is kept, and what MCP servers offered is not.

They start hundreds of processes. Without bytecode each compiles the package anew, the sandbox kernels too,
which write none themselves; so all of it is compiled once, whatever PYTHONDONTWRITEBYTECODE says.
"""

from __future__ import annotations

import compileall
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import codeact_kernel

sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
compileall.compile_dir(Path(codeact_kernel.__file__).parent, quiet=2)


@pytest.fixture(autouse=True, scope="session")
def _no_catalogues_of_before(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Servers are asked, whatever an earlier run has seen of them; nor does the user's cache grow."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CODEACT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
