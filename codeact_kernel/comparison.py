"""Owns the comparison of what a cell showed with what it shows now: as lines, and their difference.

Texts are compared line by line, images by their pixels, everything else by a digest. HTML and other formats
beside a text are not looked at: they say the same, with ids of their own. What differs between any two runs
is in `normal_forms`. Of both sides only what is `inert` is compared: a notebook holds nothing else.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Iterable, Sequence
from itertools import groupby

from .inert.bundles import inert_bundle
from .normal_forms import normalise, plain_html, plain_svg, unordered
from .outputs import Display, Error, MimeBundle, Result, Shown, Stream
from .pixels import NOT_DECODED, Pictures

MAX_DIFF_LINES = 20
MAX_COMPARED_LINES = 200
"""From the first difference on: a diff of more takes time that grows with the square of them, and no one
reads it."""
MAX_LINES = 200_000
"""Compared one by one; what a step shows beyond them is compared as a whole."""
_CHUNK = 1 << 16


RERUN = ("recorded", "now")


def output_diff(old: tuple[Shown, ...], new: tuple[Shown, ...], names: tuple[str, str] = RERUN) -> list[str]:
    """The difference between two outputs, for a person to read; [] when they say the same."""
    before, after = list(shown_lines(old)), list(shown_lines(new))
    if before == after:
        return []
    # Decoding images and sorting sets costs more than most comparisons: only when bytes differ.
    pictures = Pictures()
    before, after = list(shown_lines(old, pictures)), list(shown_lines(new, pictures))
    return [] if before == after else bounded_diff(before, after, names)


def bounded_diff(
    before: Sequence[str],
    after: Sequence[str],
    names: tuple[str, str] = RERUN,
    most: int = MAX_DIFF_LINES,
) -> list[str]:
    """A unified diff from the first difference on, with a line of context, and how much more there is.

    `most`: lines of it; what was and what is are both among them.
    """
    pairs = zip(before, after, strict=False)
    head = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(before), len(after)))
    rest = zip(reversed(before[head:]), reversed(after[head:]), strict=False)
    tail = next((i for i, (a, b) in enumerate(rest) if a != b), min(len(before), len(after)) - head)
    start = max(head - 1, 0)
    left = 0
    windows: list[Sequence[str]] = []
    for lines in (before, after):
        end = min(len(lines) - tail, head + MAX_COMPARED_LINES)
        left = max(left, len(lines) - tail - end)
        windows.append(lines[start : end + 1 if end == len(lines) - tail else end])
    old, new = windows
    diff = list(difflib.unified_diff(old, new, *names, lineterm="", n=1))
    diff = [_moved(line, start) if line.startswith("@@") else line for line in diff]
    kept = diff[:most] if _signs(diff[:most]) == _signs(diff) else _first_of_each(diff, most)
    more = len(diff) - len(kept) + left
    return [*kept, *([f"… {more} more lines"] if more else [])]


def _signs(diff: list[str]) -> set[str]:
    return {line[:1] for line in diff[2:]}


def _first_of_each(diff: list[str], most: int) -> list[str]:
    """The beginning of a diff, where a long block of lines that are gone does not hide those that came."""
    blocks = (list(lines) for _, lines in groupby(diff, key=lambda line: line[:1]))
    return [line for block in blocks for line in block[: most // 2]][:most]


def _moved(header: str, lines: int) -> str:
    """The head of a hunk with the numbers that its lines have in the whole."""
    return re.sub(r"([-+])(\d+)", lambda found: f"{found[1]}{int(found[2]) + lines}", header)


def shown_lines(shown: tuple[Shown, ...], pictures: Pictures | None = None) -> Iterable[str]:
    """What is compared: text line by line, everything else by its digest. Errors are the verdict's.

    `pictures`: look closer, at pixels instead of bytes and past the order of sets.
    """
    room = MAX_LINES
    for item in _joined(shown):
        match item:
            case Stream(name, text):
                lines = _lines(_text(text, pictures), room)
                yield from (f"{name}: {line}" for line in lines)
            case Display(data=data) | Result(data=data):
                lines = _bundle(data, room, pictures)
                yield from lines
            case Error():
                continue
        room = max(room - len(lines), 0)


def _joined(shown: tuple[Shown, ...]) -> Iterable[Shown]:
    """With one item for texts of a stream that follow each other: nbclient saves a print as it came, in one
    message or in two."""
    for name, group in groupby(shown, lambda item: item.name if isinstance(item, Stream) else None):
        if name is None:
            yield from group
        else:
            yield Stream(name, "".join(item.text for item in group if isinstance(item, Stream)))


def _text(text: str, pictures: Pictures | None) -> str:
    return normalise(text) if pictures is None else unordered(normalise(text))


def _bundle(data: MimeBundle, room: int, pictures: Pictures | None) -> list[str]:
    found: list[str] = []
    plain = "text/plain" in data
    said = {
        key: value for key, value in data.items() if not plain or key.startswith(("text/plain", "image/"))
    }
    for kind, value in sorted(inert_bundle(said).items()):
        if kind == "text/plain":
            found += _lines(_text(str(value), pictures), room)
        elif kind == "image/svg+xml":
            found.append(f"{kind}: {hash_text(plain_svg(normalise(str(value))))}")
        elif kind.startswith("image/"):
            found.append(f"{kind}: {_picture(str(value), pictures)}")
        else:
            text = normalise(str(value))
            found.append(f"{kind}: {hash_text(plain_html(text) if kind == 'text/html' else text)}")
    return found


def _picture(data: str, pictures: Pictures | None) -> str:
    said = "" if pictures is None else pictures.describe(data)
    return said if said and not said.startswith(NOT_DECODED) else f"{hash_text(data)} {said}".strip()


def _lines(text: str, room: int) -> list[str]:
    """The lines of `text`; one for all of those that there is no room for."""
    found: list[str] = []
    start = 0
    while start < len(text):
        if len(found) >= room:
            rest = text[start:]
            return [*found, f"… {len(rest):,} more characters: {hash_text(rest)}"]
        end = text.find("\n", start + _CHUNK) + 1 or len(text)  # Lines are whole in each chunk.
        found += text[start:end].splitlines()
        start = end
    return found


def hash_text(text: str) -> str:
    """A short digest, for display. Spaces and line ends do not count."""
    digest = hashlib.sha256()
    for start in range(0, len(text), _CHUNK):
        digest.update("".join(text[start : start + _CHUNK].split()).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:16]
