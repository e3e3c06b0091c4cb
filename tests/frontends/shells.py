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
def a_shell(folder: Path) -> Iterator[Any]:
    """With the extension, and what it displays in `display_pub.outputs`."""
    config = Config({"HistoryManager": {"enabled": False}, "CodeActMagics": {"verify": False}})
    shell = InteractiveShell(config=config, ipython_dir=str(folder / "ipython"))
    shell.display_pub = CapturingDisplayPublisher()
    try:
        shell.run_line_magic("load_ext", "codeact_kernel")
        yield shell
    finally:
        shell.run_line_magic("unload_ext", "codeact_kernel")
        atexit.unregister(shell.atexit_operations)
        shell.atexit_operations()
        shell.restore_sys_module_state()
