"""Owns what is completed and explained in a cell in plain words, and whether such a cell is complete."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from IPython.core.inputtransformer2 import TransformerManager

from ..config import Limits
from ..models.spec import FORMS
from .kernel_cells import OWN, own_code
from .kernel_magics import MAGICS, help_text

MAX_MATCHES = 200
MAX_CODE = 100_000
_MAGIC = re.compile(r"[ \t]*(%{1,2}\w*)\Z")
_ARGUMENT = re.compile(r"[ \t]*%(\w+)[ \t]+(?:[^\n]*[ \t])?([^ \t\n]*)\Z")
_VARIABLE = re.compile(r"@([A-Za-z_]\w*)?\Z")
_SIGIL = re.compile(r"@([A-Za-z_]\w*(?:\.\w*)+)\Z")
_WORD = re.compile(r"[%@]*[\w.]+")


@dataclass(frozen=True)
class Completion:
    """`start`: where what is completed begins."""

    matches: tuple[str, ...]
    start: int


def attribute(code: str, cursor: int) -> str | None:
    """The expression after `@` that the sandbox completes (`df.gr`), if the cursor is at the end of one."""
    found = _SIGIL.search(code[max(0, cursor - 200) : cursor])
    return found[1] if found else None


def completion(code: str, cursor: int, names: Iterable[str]) -> Completion:
    """Magics and their arguments; `names`, the variables of the sandbox, after an `@`."""
    line = code[:cursor].rpartition("\n")[2]
    if found := _MAGIC.match(line):
        known = [f"%{name}" for name in MAGICS]
        if cursor == len(line):
            known += [f"%%{name}" for name in OWN]
        return _found(known, found[1], cursor)
    if found := _ARGUMENT.match(line):
        return _found(_arguments(found[1], found[2]), found[2], cursor)
    if found := _VARIABLE.search(line):
        return _found(sorted(set(names)), found[1] or "", cursor)
    return Completion((), cursor)


def _found(known: Iterable[str], begun: str, cursor: int) -> Completion:
    fits = tuple(word for word in known if word.startswith(begun))
    return Completion(fits[:MAX_MATCHES], cursor - len(begun))


def _arguments(magic: str, begun: str) -> list[str]:
    match magic:
        case "limits":
            return [f"{item.name}=" for item in fields(Limits)]
        case "model":
            specs = [f"{form}:" for form in FORMS]
            kind, colon, start = begun.partition(":")
            files = _files(start, (".jsonl",)) if kind == "scripted" and colon else []
            return [*specs, *(f"scripted:{name}" for name in files)]
        case "tools":
            return _files(begun, (".py",))
        case "mcp":
            return _files(begun, (".json",))
        case "save":
            return _files(begun, (".ipynb",))
        case _:
            return []


def _files(begun: str, endings: tuple[str, ...]) -> list[str]:
    """Paths that begin so: folders, and files with one of the endings."""
    base, slash, start = begun.rpartition("/")
    folder = Path(base + slash or ".").expanduser()
    found = []
    try:
        for number, entry in enumerate(folder.iterdir()):
            if number > 10 * MAX_MATCHES:
                break
            name = entry.name
            if name.startswith(start) and (start or not name.startswith(".")):
                if entry.is_dir():
                    found.append(f"{base}{slash}{name}/")
                elif name.endswith(endings):
                    found.append(f"{base}{slash}{name}")
    except OSError:
        pass  # There is no such folder, or it cannot be read: nothing completes.
    return sorted(found)


def word_at(code: str, cursor: int) -> str:
    """The magic, or the name of a variable, that the cursor is in or behind."""
    start = code.rfind("\n", 0, cursor) + 1
    line = code[start:].partition("\n")[0][:2000]
    found = [one for one in _WORD.finditer(line) if one.start() <= cursor - start <= one.end()]
    return found[-1][0] if found else ""


def explained(word: str) -> str | None:
    """The text on a magic; None: it is none."""
    name = word.lstrip("%")
    if word.startswith("%%") and name in OWN:
        return f"%%{name}\n\nThe rest of the cell is your own Python. It runs in the agent's sandbox."
    if word.startswith("%") and name in MAGICS:
        magic = MAGICS[name]
        return f"{magic.usage}\n\n{magic.says}" if name not in ("help", "lsmagic") else help_text()
    return None


def is_complete(code: str) -> dict[str, Any]:  # as the protocol has it
    """Prose is complete, but after a `\\` at its end, in an open fence, and a lone `%%python`."""
    own = own_code(code)
    if own is not None and len(code) <= MAX_CODE:
        return _python(own[0], starting=own[1] == len(code))
    open_fence = sum(line.lstrip().startswith("```") for line in code.split("\n")) % 2 == 1
    unfinished = code.rstrip(" \t").endswith("\\") or open_fence
    return {"status": "incomplete", "indent": ""} if unfinished else {"status": "complete"}


def _python(code: str, *, starting: bool) -> dict[str, Any]:
    if starting or not code.strip():
        return {"status": "incomplete", "indent": ""}
    status: Literal["complete", "incomplete", "invalid"]
    status, indent = TransformerManager().check_complete(code)
    if status != "incomplete":
        return {"status": status}
    return {"status": status, "indent": " " * (indent or 0)}
