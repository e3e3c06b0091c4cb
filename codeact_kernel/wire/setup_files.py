"""Owns a data file as a line of a setup cell: name, size, digest, and the content where it is small.

    {"file":"data/orders.csv","bytes":120,"sha256":"…","zlib":"…"}
    {"file":"data/big.parquet","bytes":12000000,"sha256":"…"}

Names are checked in both directions: nothing outside `data/` of the working folder can be named.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from .messages import Json
from .setup_lines import count_field, expand, text_field

FOLDER = "data"
FILE_BYTES = 64 * 1024
"""Of a file that is embedded: a table that a person reads; more makes the notebook slow to open."""
EMBEDDED_BYTES = 1024 * 1024
"""Of all embedded files together: with base64 still far below what front ends take for a cell."""
MAX_FILES = 1000
"""Lines of files; a folder with more is one line that ends in `/`."""
_NAME_BYTES = 255
_DEPTH = 32
_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class RecordedFile:
    """A data file that a run was given.

    `name`: where it lies in the working folder, `data/…`; with `/` at its end, a folder too large to be
    listed. `size`: bytes. `sha256`: hex, "" when not known. `packed`: the content (`setup_lines.pack`) as
    it stands in the cell, "" when that does not carry it.
    """

    name: str
    size: int
    sha256: str = ""
    packed: str = ""

    @property
    def top(self) -> str:
        """The file or folder the user named: the part after `data/`."""
        return self.name.split("/")[1]

    def content(self) -> bytes | None:
        """None when the cell does not carry it. Raises ValueError when it is damaged or too large."""
        if not self.packed:
            return None
        if self.size > FILE_BYTES:
            raise ValueError(f"{self.name!r:.100} has {self.size} bytes; at most {FILE_BYTES} are embedded")
        return expand(self.packed, self.size, self.sha256, f"the content of {self.name!r:.100}")


def is_data_name(name: str) -> bool:
    """Whether a name may be recorded and unpacked: relative, below `data/`, printable, no `..`."""
    folder, _, rest = name.removesuffix("/").partition("/")
    parts = rest.split("/")
    return (
        folder == FOLDER
        and len(parts) <= _DEPTH
        and name.isprintable()  # No control characters, no bidi marks, no halves of surrogate pairs.
        and "\\" not in name
        and all(part not in ("", ".", "..") and len(part.encode()) <= _NAME_BYTES for part in parts)
    )


def file_to_json(file: RecordedFile) -> dict[str, Json]:
    entry: dict[str, Json] = {"file": file.name, "bytes": file.size}
    entry |= {"sha256": file.sha256} if file.sha256 else {}
    return entry | ({"zlib": file.packed} if file.packed else {})


class FileReader:
    """Reads the lines of files; what they carry together is bounded."""

    def __init__(self) -> None:
        self.files: list[RecordedFile] = []
        self._names: set[str] = set()
        self._left = EMBEDDED_BYTES

    def take(self, entry: Mapping[str, Json]) -> None:
        """Raises ValueError for what `file_to_json` does not write."""
        file = _file_from_json(entry)
        if file.name in self._names:
            raise ValueError(f"{file.name!r:.100} stands here twice")
        if len(self.files) == MAX_FILES:
            raise ValueError(f"more than {MAX_FILES} data files")
        self._left -= file.size if file.packed else 0
        if self._left < 0:
            raise ValueError(f"more than {EMBEDDED_BYTES} bytes of data files")
        self._names.add(file.name)
        self.files.append(file)


def _file_from_json(entry: Mapping[str, Json]) -> RecordedFile:
    name, sha256 = text_field(entry, "file"), text_field(entry, "sha256", "")
    if not is_data_name(name):
        raise ValueError(f"{name!r:.100} is no name of a data file: those lie below 'data/'")
    if sha256 and not _SHA256.fullmatch(sha256):
        raise ValueError(f"'sha256' is 64 hexadecimal digits, not {sha256!r:.100}")
    file = RecordedFile(name, count_field(entry, "bytes"), sha256, text_field(entry, "zlib", ""))
    if file.packed and name.endswith("/"):
        raise ValueError(f"{name!r:.100} is a folder and has no content")
    file.content()
    return file
