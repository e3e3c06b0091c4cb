"""Owns `python -m codeact_kernel`: the same door as the `codeact` command."""

from __future__ import annotations

import sys

from .frontends.cli import main

if __name__ == "__main__":
    sys.exit(main())
