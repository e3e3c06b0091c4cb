"""Owns reading the data files of a run into what its notebook records of them.

The host reads them: its user named them. Small ones are embedded, so that the notebook runs elsewhere;
of others the size and the digest are kept, so that a replay can say what has changed. Only what the
user named and the kernel can read is looked at: no link is followed but a path that was named itself.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..wire.setup_files import (
    EMBEDDED_BYTES,
    FILE_BYTES,
    FOLDER,
    MAX_FILES,
    RecordedFile,
    is_data_name,
)
from ..wire.setup_lines import pack
from .redact import Redactor

DIGEST_BYTES = 256 * 1024 * 1024
"""Of large files, read for digests: half a second at most. What comes later has a size and no digest."""
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


def record_data(
    given: Iterable[Path], redactor: Redactor, digest_bytes: int = DIGEST_BYTES
) -> tuple[RecordedFile, ...]:
    """A record for each file given, and for each in the folders given, in order of their names.

    Left out is what has no name that a cell may carry (`is_data_name`), what is no ordinary file, and
    what cannot be read. Never embedded are hidden files (`.env`) and what holds a secret of `redactor`.
    """
    left = _Left(MAX_FILES, EMBEDDED_BYTES, digest_bytes)
    found: list[RecordedFile] = []
    for path in given:
        target = path.expanduser().absolute()
        found += _record(target, f"{FOLDER}/{target.name}", redactor, left)
    return tuple(found)


@dataclass
class _Left:
    """What of the bounds is not used yet."""

    files: int
    embedded: int
    digested: int


def _record(path: Path, name: str, redactor: Redactor, left: _Left) -> Iterator[RecordedFile]:
    if not is_data_name(name) or not left.files:
        return
    if path.is_dir():
        inside = _files_in(path, name, left.files)
        if inside is None:
            left.files -= 1
            yield RecordedFile(f"{name}/", 0)
            return
    else:
        inside = [(path, name)]
    for file, known_as in inside:
        record = _read(file, known_as, redactor, left, named=file is path)
        if record is not None:
            left.files -= 1
            yield record


def _files_in(folder: Path, name: str, most: int) -> list[tuple[Path, str]] | None:
    """Every file below, sorted, with its name in the cell; None when there are more than `most`."""
    found: list[tuple[Path, str]] = []
    for root, folders, files in os.walk(folder):
        folders.sort()
        for file in sorted(files):
            path = Path(root, file)
            known_as = f"{name}/{path.relative_to(folder).as_posix()}"
            if is_data_name(known_as):
                found.append((path, known_as))
            if len(found) > most:
                return None
    return found


def _read(path: Path, name: str, redactor: Redactor, left: _Left, named: bool) -> RecordedFile | None:
    try:
        with open(os.open(path, _READ if named else _READ | os.O_NOFOLLOW), "rb") as file:
            state = os.fstat(file.fileno())
            if not stat.S_ISREG(state.st_mode):
                return None
            if state.st_size > FILE_BYTES:
                if state.st_size > left.digested:
                    return RecordedFile(name, state.st_size)
                left.digested -= state.st_size
                return RecordedFile(name, state.st_size, hashlib.file_digest(file, "sha256").hexdigest())
            data = file.read(FILE_BYTES)
    except OSError:  # The kernel cannot read it either; or it is a link.
        return None
    if redactor.holds_secret(data):
        return RecordedFile(name, len(data))  # The digest of a little text can be guessed at.
    digest, hidden = hashlib.sha256(data).hexdigest(), "/." in name
    if hidden or len(data) > left.embedded:
        return RecordedFile(name, len(data), digest)
    left.embedded -= len(data)
    return RecordedFile(name, len(data), digest, pack(data))
