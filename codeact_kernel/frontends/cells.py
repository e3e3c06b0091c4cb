"""Owns how a Python file is cut into cells: at its `# %%` lines, as Spyder, VS Code and Jupytext do."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterator, Sequence
from itertools import pairwise

_MARKER = re.compile(r"#\s*%%")


def split_cells(source: str) -> tuple[str, ...]:
    """The cells of `source`, without their marker lines; cells with nothing in them are left out.

    A marker is a comment at the very start of its line. Inside a string it is text, and inside brackets
    it does not cut a statement in two.
    """
    # Not `splitlines`: that also breaks at form feeds, where Python sees no new line.
    lines = io.StringIO(source, newline=None).readlines()
    cuts = [0, *_markers(lines), len(lines)]
    cells = []
    for position, (start, end) in enumerate(pairwise(cuts)):
        # Every part but the first starts with its marker line.
        cell = "".join(lines[start + (position > 0) : end]).strip("\n")
        if cell.strip():
            cells.append(cell)
    return tuple(cells)


def _markers(lines: Sequence[str]) -> list[int]:
    """Line numbers, from 0, of the markers."""
    try:
        return list(_markers_by_token(lines))
    except (tokenize.TokenError, SyntaxError):
        # No Python (yet): magics, `?`, an unclosed bracket. Then each cell is read on its own.
        return _markers_by_cell(lines)


def _markers_by_token(lines: Sequence[str]) -> Iterator[int]:
    depth = 0
    for token in tokenize.generate_tokens(io.StringIO("".join(lines)).readline):
        if token.type == tokenize.OP:
            depth = max(0, depth + (token.string in "([{") - (token.string in ")]}"))
        outermost = token.start[1] == 0 and depth == 0
        if outermost and token.type == tokenize.COMMENT and _MARKER.match(token.string):
            yield token.start[0] - 1


def _markers_by_cell(lines: Sequence[str]) -> list[int]:
    """Cuts at a marker line unless it lies inside a string of the cell it would end."""
    found: list[int] = []
    start = 0
    for number, line in enumerate(lines):
        if _MARKER.match(line) and not _in_string(lines[start:number]):
            found.append(number)
            start = number + 1
    return found


def _in_string(lines: Sequence[str]) -> bool:
    """Whether these lines end inside a triple-quoted string. Errors of any other kind do not count."""
    try:
        for _ in tokenize.generate_tokens(io.StringIO("".join(lines)).readline):
            pass
    except tokenize.TokenError as problem:
        return "multi-line string" in problem.args[0] or "triple-quoted" in problem.args[0]
    except SyntaxError:
        return False
    return False
