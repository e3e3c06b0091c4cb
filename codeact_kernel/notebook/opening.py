"""Owns opening a notebook or journal that may be a stranger's: a file of bounded size, or it is not read."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from ..exceptions import NotebookError

MAX_NOTEBOOK_BYTES = 512 * 1024 * 1024
MAX_JOURNAL_BYTES = 1024 * 1024 * 1024
MAX_STRUCTURE = 20_000_000
"""Values of either (`wire.frames.structure_of`): each takes some 30 to 100 bytes when it is parsed."""


def opened(path: Path, what: str, max_bytes: int) -> BinaryIO:
    """The file, open for reading. A link may lead to a device without end, or to a pipe that nobody writes
    to; neither is read, nor waited for. Raises: NotebookError, in which it is called `what`.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as problem:
        raise NotebookError(f"cannot read the {what} {str(path)!r}: {problem.strerror}") from None
    state = os.fstat(descriptor)
    if stat.S_ISREG(state.st_mode) and state.st_size <= max_bytes:
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    if not stat.S_ISREG(state.st_mode):
        raise NotebookError(f"the {what} {str(path)!r} is a folder, a device or a pipe, and not a file")
    raise NotebookError(
        f"the {what} {str(path)!r} has {state.st_size:,} bytes; at most {max_bytes:,} are read"
    )


def too_rich(what: str) -> str:
    """What is said of more than MAX_STRUCTURE values."""
    return f"{what} holds more than {MAX_STRUCTURE:,} values, which would fill the memory; it is not read"
