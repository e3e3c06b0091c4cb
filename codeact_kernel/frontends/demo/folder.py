"""Owns the demo's folder: what lies in it, and that nothing of the user's is overwritten."""

from __future__ import annotations

from pathlib import Path
from shutil import copyfile

from ...exceptions import UsageError
from . import database

EXAMPLE = Path(__file__).with_name("example")
MARKER = "made-by-codeact-demo.txt"
MARKER_TEXT = "This folder was made by `codeact demo`. Running it again replaces its files.\n"
DATABASE, TOOLS, SCRIPT, NOTEBOOK = "orders.db", "tools.py", "script.jsonl", "refunds.ipynb"
OURS = ("orders.db*", TOOLS, SCRIPT, "refunds.*", MARKER)


def prepare(folder: Path) -> list[str]:
    """Makes the demo's folder and files; returns the names it replaced.

    Raises: UsageError when the folder holds something else: nothing of the user's is overwritten.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--out {str(folder)!r} is a file; name a folder")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MARKER).exists():
        raise UsageError(f"--out {str(folder)!r} holds other files and is left alone; name a new folder")
    old = sorted(path for pattern in OURS for path in folder.glob(pattern))
    for path in old:
        path.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARKER).write_text(MARKER_TEXT)
    for name in (TOOLS, SCRIPT):
        copyfile(EXAMPLE / name, folder / name)
    database.create(folder / DATABASE)
    return [path.name for path in old if path.name != MARKER]
