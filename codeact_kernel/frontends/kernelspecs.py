"""Owns the kernelspecs of this package: where they are installed, writing one, removing one."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_core.paths import SYSTEM_JUPYTER_PATH, jupyter_data_dir, jupyter_path

from ..exceptions import UsageError

SOURCE = Path(__file__).with_name("kernelspec")
OURS = ("codeact_kernel.frontends.kernel", "codeact_kernel.sandbox.supervisor")
MAX_SPEC_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Installed:
    """A kernelspec of ours. `hidden`: one of the same name goes before it."""

    name: str
    folder: Path
    display_name: str
    hidden: bool


def kernels_folder(place: str) -> Path:
    """Where `place` keeps kernelspecs: "user", "sys-prefix", "system", or the path of a prefix."""
    match place:
        case "user":
            share = Path(jupyter_data_dir())
        case "system":
            share = Path(SYSTEM_JUPYTER_PATH[0])
        case _:
            share = Path(sys.prefix if place == "sys-prefix" else place) / "share" / "jupyter"
    return share / "kernels"


def default_place() -> str:
    """The environment, where there is one; else the machine for root, and the home of anybody else."""
    if sys.prefix != sys.base_prefix or (Path(sys.prefix) / "conda-meta").is_dir():
        return "sys-prefix"
    return "system" if os.geteuid() == 0 else "user"


def install(place: str, name: str, display_name: str, env: Sequence[str], *, replace: bool) -> Path:
    """Writes a kernelspec that starts CodeAct with this interpreter; its folder. Raises: UsageError."""
    folder = kernels_folder(place) / name
    if folder.exists() and not replace:
        raise UsageError(f"a kernelspec {name!r} is in {str(folder)!r} already; --replace writes it anew")
    spec = json.loads((SOURCE / "kernel.json").read_text("utf-8"))
    spec["argv"][0] = sys.executable  # "python" would be that of whichever Jupyter reads it.
    spec["display_name"] = display_name or spec["display_name"]
    if env:
        spec["env"] = dict(each.split("=", 1) for each in env)
    try:
        if folder.exists():
            _remove(folder)
        folder.mkdir(parents=True)
        for logo in SOURCE.glob("logo-*"):
            shutil.copyfile(logo, folder / logo.name)
        # The environment may hold a key; only a kernelspec of the whole machine has to be read by others.
        (folder / "kernel.json").touch(0o600 if env and place != "system" else 0o644)
        (folder / "kernel.json").write_text(json.dumps(spec, indent=1) + "\n", "utf-8")
    except OSError as problem:
        raise UsageError(
            f"cannot write {str(folder)!r}: {problem.strerror}; choose another place: --user, or --prefix DIR"
        ) from None
    return folder


def _remove(folder: Path) -> None:
    if folder.is_symlink():
        folder.unlink()
    else:
        shutil.rmtree(folder)


def uninstall(place: str, name: str) -> Path:
    """Removes a kernelspec of ours: in `place`, or ("") the one that Jupyter finds. Raises: UsageError."""
    folders = [kernels_folder(place)] if place else _folders()
    folder = next((each / name for each in folders if (each / name).is_dir()), None)
    if folder is None:
        where = f"in {str(folders[0])!r}" if place else "where Jupyter looks"
        raise UsageError(f"there is no kernelspec {name!r} {where}; `codeact kernel list` shows what is")
    if not _is_ours(_spec(folder)):
        raise UsageError(f"the kernelspec in {str(folder)!r} is not one of codeact_kernel; it is left alone")
    try:
        _remove(folder)
    except OSError as problem:
        raise UsageError(f"cannot remove {str(folder)!r}: {problem.strerror}") from None
    return folder


def installed() -> list[Installed]:
    """All kernelspecs of ours where Jupyter looks, in its order."""
    found: list[Installed] = []
    names: set[str] = set()
    for parent in _folders():
        for folder in sorted(parent.iterdir()) if parent.is_dir() else ():
            spec = _spec(folder)
            if _is_ours(spec):
                shown = str(spec.get("display_name", ""))
                found.append(Installed(folder.name, folder, shown, folder.name.lower() in names))
        names |= {each.name.lower() for each in (parent.iterdir() if parent.is_dir() else ())}
    return found


def is_found(folder: Path) -> bool:
    """Whether this Jupyter looks there."""
    return folder.parent in _folders()


def _folders() -> list[Path]:
    return [Path(name) for name in jupyter_path("kernels") if os.path.isabs(name)]


def _spec(folder: Path) -> dict[str, Any]:  # Parsed JSON; it ends in `_is_ours` and `installed`.
    path = folder / "kernel.json"
    try:
        if not path.is_file() or path.stat().st_size > MAX_SPEC_BYTES:
            return {}
        spec = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return spec if isinstance(spec, dict) else {}


def _is_ours(spec: dict[str, Any]) -> bool:
    argv = spec.get("argv")
    return isinstance(argv, list) and any(name in argv for name in OURS)
