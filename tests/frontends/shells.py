"""A user's own IPython, in this process."""

from __future__ import annotations

import atexit
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config


@contextmanager
def bare_shell(folder: Path) -> Iterator[Any]:
    """What it displays is in `display_pub.outputs`."""
    config = Config({"HistoryManager": {"enabled": False}, "CodeActMagics": {"verify": False}})
    shell = InteractiveShell(config=config, ipython_dir=str(folder / "ipython"))
    shell.display_pub = CapturingDisplayPublisher()
    try:
        yield shell
    finally:
        atexit.unregister(shell.atexit_operations)
        shell.atexit_operations()
        shell.restore_sys_module_state()


@contextmanager
def a_shell(folder: Path) -> Iterator[Any]:
    """With the extension."""
    with bare_shell(folder) as shell:
        shell.run_line_magic("load_ext", "codeact_kernel")
        try:
            yield shell
        finally:
            shell.run_line_magic("unload_ext", "codeact_kernel")
