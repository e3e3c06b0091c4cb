"""Owns putting a file in the place of another: whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from ..exceptions import UsageError


def replace_file(path: Path, data: bytes, advice: str) -> None:
    """Whoever reads `path` sees what was there or `data`, never half; the mode of what was there is kept.

    Raises: UsageError with `advice` when the place cannot be written.
    """
    temporary = path.with_name(f"{_prefix(path)}{secrets.token_hex(8)}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
        if path.exists():
            os.chmod(temporary, path.stat().st_mode & 0o777)
        os.replace(temporary, path)
    except OSError as problem:
        raise UsageError(
            f"cannot write the notebook {str(path)!r}: {problem.strerror}; {advice}"
        ) from problem
    finally:
        temporary.unlink(missing_ok=True)


def half_written(path: Path) -> Iterator[Path]:
    """What writers of `path` that were killed have left; or one that writes it now."""
    return path.parent.glob(f"{_prefix(path)}*.tmp")


def _prefix(path: Path) -> str:
    """A hash: names may be as long as a name can be."""
    return f".codeact-{sha256(os.fsencode(path.name)).hexdigest()[:12]}-"
