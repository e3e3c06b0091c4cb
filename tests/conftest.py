"""Owns what holds for all tests: bytecode is kept.

They start hundreds of processes. Without bytecode each compiles the package anew, the sandbox kernels too,
which write none themselves; so all of it is compiled once, whatever PYTHONDONTWRITEBYTECODE says.
"""

from __future__ import annotations

import compileall
import os
import sys
from pathlib import Path

import codeact_kernel

sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
compileall.compile_dir(Path(codeact_kernel.__file__).parent, quiet=2)
