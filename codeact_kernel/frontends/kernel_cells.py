"""Owns how a cell of the front-end kernel is read: line magics, then a task in plain words; or a cell of the
user's own."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..exceptions import UsageError

OWN = ("python", "py")
"""Cell magics that run the rest of the cell as the user's own code."""
_CELL_MAGIC = re.compile(r"%%([A-Za-z_]\w*)?[ \t]*([^\n]*)(?:\n|\Z)")
_LINE_MAGIC = re.compile(r"%([A-Za-z_]\w*)(?:[ \t]+([^\n]*))?(?:\n|\Z)")
EXIT = ("exit", "quit", "exit()", "quit()")
"""No tasks: what people type to leave a console."""
_INSPECTION = re.compile(r"\?{1,2}([A-Za-z_%][\w.]*)|([A-Za-z_%][\w.]*)\?{1,2}")


@dataclass(frozen=True)
class Cell:
    """`magics`: names and arguments, run first; then at most one of the others.

    `own`: code of the user's; `task`: what the agent is to do; `asked`: a name to be explained, `surely`
    where it can be nothing else (`?name`; while `why?` may be a question to the agent).
    """

    magics: tuple[tuple[str, str], ...] = ()
    own: str | None = None
    task: str = ""
    asked: str = ""
    surely: bool = False


def read_cell(code: str) -> Cell:
    """Raises: UsageError for what is neither."""
    rest = code.lstrip()
    if found := _CELL_MAGIC.match(rest):
        return Cell(own=_own(found, rest[found.end() :]))
    magics = []
    while found := _LINE_MAGIC.match(rest):
        magics.append((found[1], (found[2] or "").strip()))
        rest = rest[found.end() :].lstrip()
    if rest.startswith("%%"):
        raise UsageError("a cell that starts with %%python has nothing before it; use two cells")
    if rest.startswith("!"):
        raise UsageError(
            f"{_first(rest)!r}: there is no shell here. Say in words what is to be done, or write Python in "
            "a cell that starts with %%python"
        )
    if rest.strip() in EXIT:
        return Cell((*magics, ("exit", "")))
    if found := _INSPECTION.fullmatch(rest.strip()):
        return Cell(tuple(magics), None, rest.strip(), found[1] or found[2], found[1] is not None)
    return Cell(tuple(magics), None, rest.strip())


def own_code(code: str) -> tuple[str, int] | None:
    """The user's code of a cell, and where it begins in it; None: the cell holds none."""
    start = len(code) - len(code.lstrip())
    found = _CELL_MAGIC.match(code, start)
    if found is None or found[1] not in OWN:
        return None
    return code[found.end() :], found.end()


def _own(found: re.Match[str], body: str) -> str:
    if found[1] not in OWN:
        raise UsageError(
            f"there is no cell magic {_first(found[0])!r}; %%python runs your own code, and a cell in plain "
            "words is a task"
        )
    if found[2].strip():
        raise UsageError(f"%%{found[1]} takes no arguments, and was given {found[2].strip()!r:.80}")
    return body


def _first(text: str) -> str:
    line = text.partition("\n")[0]
    return line if len(line) <= 60 else line[:59] + "…"
