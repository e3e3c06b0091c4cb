"""Owns where a notebook's runs are saved: beside it, where its front end says which one it is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from glob import escape
from itertools import count
from pathlib import Path

_STEM = 60


def notebook_of(namespace: Mapping[str, object]) -> Path | None:
    """The user's notebook: JupyterLab and Notebook say it in the environment, VS Code in a variable."""
    for name in (os.environ.get("JPY_SESSION_NAME"), namespace.get("__vsc_ipynb_file__")):
        if isinstance(name, str) and name.endswith(".ipynb") and Path(name).is_absolute():
            return Path(name)
    return None


def home(namespace: Mapping[str, object]) -> Path:
    """The folder of the user's notebook; the current one where it is not known."""
    notebook = notebook_of(namespace)
    return notebook.parent if notebook is not None and notebook.parent.is_dir() else Path.cwd()


def place(namespace: Mapping[str, object]) -> Path:
    """A free name for a new run: `sales-codeact-20261128-101502.ipynb` beside `sales.ipynb`."""
    notebook = notebook_of(namespace)
    stem = f"{notebook.stem[:_STEM]}-codeact" if notebook is not None else "codeact"
    folder, stem = home(namespace), f"{stem}-{datetime.now():%Y%m%d-%H%M%S}"
    numbered = (stem if number == 1 else f"{stem}-{number}" for number in count(1))
    # A journal without its notebook is a run that was cut off: not a free name either.
    return next(folder / f"{name}.ipynb" for name in numbered if not any(folder.glob(f"{escape(name)}.*")))
