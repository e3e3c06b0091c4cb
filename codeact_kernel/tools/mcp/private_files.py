"""Owns files that only the user may read: written at once or not at all, refused when others could have."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def own_folder(path: Path) -> None:
    """Makes it when there is none. Raises: PermissionError when it is not the user's alone, OSError."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not is_own(path):
        raise PermissionError(f"{str(path)!r} can be read by others; chmod 700 it, or move it away")


def is_own(path: Path) -> bool:
    """Whether it is there, this user's, no link, and nobody else can read or change it."""
    try:
        state = path.lstat()
    except OSError:
        return False
    return state.st_uid == os.getuid() and not state.st_mode & 0o077


def write(path: Path, data: bytes, keep: bool = False) -> None:
    """In place of what there is; `keep`: what is there stays. Raises: OSError."""
    number, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")  # 0600
    try:
        with os.fdopen(number, "wb") as opened:
            opened.write(data)
        if not keep:
            os.replace(name, path)
            return
        try:
            os.link(name, path)
        except FileExistsError:
            pass
    finally:
        Path(name).unlink(missing_ok=True)
