"""Owns the recording of `notebooks/`: real kernels, scripted models, one command.

    .venv/bin/python -m tests.notebooks.record [NAME …] [--out FOLDER]

A notebook is replaced only when the new one was replayed, came out identical, and does not tell whose machine
it was recorded on.
"""

from __future__ import annotations

import argparse
import getpass
import os
import re
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory

from codeact_kernel.notebook.load import load

from . import forked, frames, parallel, recovery, refunds, resumed, structured, timeout
from .support import NOTEBOOKS

STORIES: dict[str, Callable[[Path], None]] = {
    "refunds": refunds.write,
    "recovery": recovery.write,
    "parallel": parallel.write,
    "frames": frames.write,
    "timeout": timeout.write,
    "structured": structured.write,
    "resumed": resumed.write,
    "forked": forked.write,
}
PARENT = "refunds.ipynb"
"""What `forked` is a branch of."""
PLACES = re.compile(
    r"(?<![\w.<])/(?:bin|dev|etc|home|mnt|opt|private|proc|root|run|srv|tmp|usr|Users|var|work)/|site-packages"
)
PICTURE = re.compile(r'"image/png": ("[^"]*"|\[[^\]]*\])')


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.notebooks.record", description="Records notebooks/ anew."
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"which: {', '.join(STORIES)}; all by default"
    )
    parser.add_argument("--out", type=Path, default=NOTEBOOKS, help="where they are put")
    given = parser.parse_args()
    if unknown := set(given.names) - STORIES.keys():
        parser.error(f"no notebook is called {sorted(unknown)[0]!r}; there are {', '.join(STORIES)}")
    wanted = {*given.names, "forked"} if "refunds" in given.names else {*given.names}  # It names its parent.
    names = [name for name in STORIES if name in wanted or not wanted]
    given.out.mkdir(parents=True, exist_ok=True)
    return max(again(name, given.out) for name in names)


def again(name: str, folder: Path) -> int:
    """Records one notebook, and puts it in its place when it is right: 0, else 1."""
    with TemporaryDirectory(dir=folder, prefix=".recording-") as made:
        path = Path(made, f"{name}.ipynb")
        if name == "forked":
            copyfile(folder / PARENT, Path(made, PARENT))
        STORIES[name](path)
        trajectory = load(path)
        stop = trajectory.stop.reason if trajectory.stop else "no end"
        verdict = trajectory.verdict.text if trajectory.verdict else "no verdict"
        told = traces(path.read_text(), own=True)
        sys.stdout.write(f"{name}: {len(trajectory.steps)} steps, {stop}, {verdict}\n")
        if told:
            sys.stdout.write(f"{name}: names this machine: {', '.join(told)}\n")
        if told or (verdict, stop) != ("identical", "answer"):
            return 1
        os.replace(path, folder / path.name)
        return 0


def traces(text: str, *, own: bool = False) -> list[str]:
    """Absolute paths, and installed packages, that a notebook names. `own`: this host and user too."""
    plain = PICTURE.sub("", text)
    names = [socket.gethostname(), getpass.getuser(), str(Path.home())] if own else []
    found = [name for name in names if re.search(rf"\b{re.escape(name)}\b", plain)]
    return [*found, *PLACES.findall(plain)]


if __name__ == "__main__":
    sys.exit(main())
