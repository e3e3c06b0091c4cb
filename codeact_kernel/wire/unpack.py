"""Owns putting recorded data files into a folder: what is there is kept, and no link is written through.

Used where a notebook runs without its host, and by the host for a replay. The names come from a
notebook that may be a stranger's; `setup_files` has checked them, and the folder is not left.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple

from .setup_files import RecordedFile

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LOOK = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


class Problem(NamedTuple):
    """A file that is not in its place as it was recorded.

    missing: it is not there, and its content was not recorded. different: another one is there already
    and was kept. blocked: it cannot be read or written, `detail` says why.
    """

    file: RecordedFile
    kind: Literal["missing", "different", "blocked"]
    detail: str = ""


def unpack(files: Iterable[RecordedFile], folder: str) -> list[Problem]:
    """Writes those whose content was recorded and that `folder` does not have, read-only, as a run has them.

    Raises: OSError when `folder` cannot be opened; ValueError for content that is damaged.
    """
    root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        found = [_place(root, file) for file in files]
    finally:
        os.close(root)
    return [problem for problem in found if problem is not None]


def _place(root: int, file: RecordedFile) -> Problem | None:
    content = file.content()
    try:
        try:
            return None if _is_there(root, file) else Problem(file, "different")
        except FileNotFoundError:
            if content is None:
                return Problem(file, "missing")
        _write(root, file.name, content)
    except OSError as problem:
        return Problem(file, "blocked", problem.strerror or repr(problem))
    return None


def _is_there(root: int, file: RecordedFile) -> bool:
    """Whether it is there as recorded, as far as that is known. Looking follows links: a user may have
    put some there. Raises FileNotFoundError."""
    state = os.stat(file.name, dir_fd=root)
    if file.name.endswith("/"):
        return True  # What is not a folder has raised NotADirectoryError.
    if not stat.S_ISREG(state.st_mode) or state.st_size != file.size:
        return False
    if not file.sha256:
        return True
    with open(os.open(file.name, _LOOK, dir_fd=root), "rb", buffering=0) as there:
        return hashlib.file_digest(there, "sha256").hexdigest() == file.sha256


def _write(root: int, name: str, content: bytes) -> None:
    *folders, last = name.split("/")
    with _made(root, folders) as parent:
        descriptor = os.open(last, _NEW, 0o444, dir_fd=parent)
        try:
            with open(descriptor, "wb") as file:
                file.write(content)
        except OSError:
            os.unlink(last, dir_fd=parent)  # Half a file would pass for another one next time.
            raise


@contextmanager
def _made(root: int, folders: Iterable[str]) -> Iterator[int]:
    """A descriptor of the innermost folder, each made where there is none, none of them a link."""
    here = os.dup(root)
    try:
        for name in folders:
            try:
                os.mkdir(name, dir_fd=here)
            except FileExistsError:
                pass  # A folder, or the next line fails.
            inner = os.open(name, _DIRECTORY, dir_fd=here)
            os.close(here)
            here = inner
        yield here
    finally:
        os.close(here)
