"""Owns text of others in our markdown: a task, a thought, an answer can be read, and nothing else.

What a model or a program wrote is put into a block quote, so that it cannot pass for one of our
headings or tables. HTML and images in it are made plain text: Jupyter's sanitizer would take scripts
out, but not a picture whose address carries data to a stranger when the notebook is opened.

Mathematics is looked for twice: by JupyterLab in the source, before markdown is read (`$`, `\\\\(`,
`\\begin{…}`), and by MathJax in the rendered text (`$`, `\\(`, `\\begin{…}`, `\\ref{…}`), where a backslash
before a `$` is gone again (jupyterlab#8645). So what opens it is written as a character reference,
which the first does not read, in an element of its own, beyond which the second does not look. In code
the reference is seen as it is written, so a `$` stays where all renderers agree on what is code.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_TAG = re.compile(r"<(?=[A-Za-z/!?])")
_LINES = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z")
_FENCE = re.compile(r"```[\w+-]*[\r\n]*\Z")
_LINE_END = re.compile(r"\r\n|\r|\n")
# A run of backslashes is looked at once: boxed whole, as one that stayed before the tag would make it text.
_OPENS_MATH = r"(?<!\\)\\++(?=[$()\[\]]|begin|end|(?:eq)?ref)"
_MATH = re.compile(_OPENS_MATH)
_DOLLAR = "<span>&#36;</span>"
_BOXED = re.compile(r"<span>((?:&#92;|&#36;)+)</span>")
_REFERENCE = re.compile(r"&(?=#?\w+;)")
_DIAGRAM = re.compile(r"(`{3}|~{3})(?=[ \t]*(?:math|mermaid))", re.IGNORECASE)  # drawn, not shown
_PUNCTUATION = re.compile(rf"(?P<math>{_OPENS_MATH})|[\\`*_\[\]#|~>$&<]")
_LIST_MARK = re.compile(r"^(\d*)([-+=.)])")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def harmless(text: str) -> str:
    """The text with its own markdown working but for HTML, images and mathematics."""
    plain = _TAG.sub("&lt;", _REFERENCE.sub("&amp;", _CONTROL.sub("", text)))
    plain = _without_math(plain).replace("![", "!\\[")
    return _DIAGRAM.sub(r"\1text ", plain)


def quoted(text: str) -> str:
    """`harmless` text as a block quote."""
    return "\n".join(f"> {line}".rstrip() for line in _LINE_END.split(harmless(text)))


def _without_math(text: str) -> str:
    """Mathematics made plain, but for a `$` in what all renderers agree is code: blocks between fences that
    are alone on their lines, and spans of single marks that close on theirs. Where a text has any other
    mark, nothing is taken for code."""
    lines = _LINES.findall(text)
    fences = [number for number, line in enumerate(lines) if _FENCE.match(line)]
    in_block = {n for first, last in zip(fences[::2], fences[1::2], strict=False) for n in range(first, last)}
    rest = [line for number, line in enumerate(lines) if number not in {*in_block, *fences}]
    agreed = len(fences) % 2 == 0 and not any(lines[n].strip("`\r\n") for n in fences[1::2])
    agreed = agreed and not any("``" in line or "\\`" in line or line.count("`") % 2 for line in rest)
    return "".join(
        line if agreed and number in in_block and "\\" not in line else _spans_kept(line, agreed)
        for number, line in enumerate(lines)
    )


def _spans_kept(line: str, agreed: bool) -> str:
    return "`".join(
        part if agreed and number % 2 and "\\" not in part else _MATH.sub(_box, part).replace("$", _DOLLAR)
        for number, part in enumerate(line.split("`"))
    )


def unquoted(source: str) -> str:
    """The text of a block quote that a person has edited; exact for plain text."""
    lines = [re.sub(r"^> ?", "", line) for line in source.split("\n")]
    text = "\n".join(lines).replace("!\\[", "![").replace("\\$", "$")
    text = re.sub(r"(`{3}|~{3})text (?=[ \t]*(?:math|mermaid))", r"\1", text, flags=re.IGNORECASE)
    text = _BOXED.sub(lambda box: box[1].replace("&#92;", "\\").replace("&#36;", "$"), text)
    return text.replace("&lt;", "<").replace("&amp;", "&")


def fenced(text: str, language: str) -> str:
    """One line of text as a block of code in a block quote: nothing in it is markdown."""
    return f"> ```{language}\n> {' '.join(_CONTROL.sub('', text).split())}\n> ```"


def inline(text: str, limit: int = 80) -> str:
    """The text on one line with no markdown of its own, at most `limit` characters of it."""
    line = _CONTROL.sub("", " ".join(text.split()))
    cut = line if len(line) <= limit else line[: limit - 1] + "…"
    return _LIST_MARK.sub(r"\1\\\2", _PUNCTUATION.sub(_plain, cut))


def _plain(sign: re.Match[str]) -> str:
    if sign["math"]:
        return _box(sign)
    return {"&": "&amp;", "<": "&lt;", "$": _DOLLAR}.get(sign[0], f"\\{sign[0]}")


def _box(backslashes: re.Match[str]) -> str:
    return f"<span>{'&#92;' * len(backslashes[0])}</span>"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A markdown table; the cells are made by `inline`."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
