"""Owns what a re-run cannot make equal: texts with just that taken out, so that they can be compared.

Nothing else is taken out. `normalise`: memory addresses, the figures of `%time` and `%timeit`, the paths of
a session's temporary folders. `unordered`: the order of the elements in the text of a set. `plain_svg`: the
random ids and the date that matplotlib writes. `plain_html`: the random ids of a pandas Styler.

The texts come from the sandbox: each function takes a time that grows with their length and nothing else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from .inert.svg import MATPLOTLIB

# What a pattern has taken (`++`, `(?>…)`) is not tried again in other ways.
_NORMALISED = (
    (re.compile(r"\b0x[0-9a-fA-F]{6,}+\b"), "0x…"),
    (re.compile(r"^(CPU times|Wall time): .*$", re.MULTILINE), r"\1: …"),
    (re.compile(r"^(?>.+? ± ).+? per loop \(mean ± std\. dev\. .*$", re.MULTILINE), "… per loop"),
)
_SESSION = "/codeact-"
# The last two take whole what is no path of ours, so that no second search begins inside it.
_PATH = re.compile(
    r"""(/[^\s'"]*?/codeact-\d++-\d++-[^/\s'"]++)|(?:/(?![^\s'"]*?/codeact-)[^\s'"]*+[^/]*+)++|/[^\s'"]*+"""
)


def normalise(text: str) -> str:
    """`text` without addresses, timings and paths that differ between any two runs."""
    for pattern, instead in _NORMALISED:
        text = pattern.sub(instead, text)
    return _PATH.sub(_path, text) if _SESSION in text else text


def _path(found: re.Match[str]) -> str:
    return "<session>" if found[1] else found[0]


# --- ids ---------------------------------------------------------------------------------------

_SVG_ID = re.compile(r'(?<=["#])(?:[A-Za-z]{1,8}|C[0-9a-f]{1,4}_[0-9a-f]{1,4}_)[0-9a-f]{10}(?=[")])')
_SVG_DATE = re.compile(r"<dc:date>[^<]{0,100}</dc:date>")
_STYLER_ID = re.compile(r"(?<=[\"#' ])T_[0-9a-f]{5}(?![0-9a-f])")


def plain_svg(text: str) -> str:
    """An SVG of matplotlib with its ids numbered as they come, and no date. Others as they are."""
    drawn = "matplotlib" in text or MATPLOTLIB in text  # What is inert of one has no name of its maker.
    return _numbered(_SVG_ID, _SVG_DATE.sub("", text)) if drawn else text


def plain_html(text: str) -> str:
    """HTML with the ids of pandas Stylers numbered as they come."""
    return _numbered(_STYLER_ID, text) if "T_" in text else text


def _numbered(pattern: re.Pattern[str], text: str) -> str:
    known: dict[str, str] = {}
    return pattern.sub(lambda found: known.setdefault(found[0], f"id{len(known)}"), text)


# --- sets --------------------------------------------------------------------------------------

MAX_LINE = 10_000
"""Characters of a line in which sets are looked for."""
MAX_TEXT = 2_000_000
"""Characters of the lines with braces in one text, likewise."""
_DEEPEST = 20
_CLOSES = {"{": "}", "(": ")", "[": "]"}
_TOKEN = re.compile(
    r"""b?'(?:[^'\\]|\\.)*+'|b?"(?:[^"\\]|\\.)*+"|['"].*+|[{}()\[\]:]|,[ ]"""
    r"""|[^\s'"{}()\[\]:,]++(?:'\w++)*+|.""",
    re.DOTALL,
)
_ATOM = re.compile(r"""b?['"].*|[-+]?[0-9.][\w.+-]*|-?(?:inf|nan)|None|True|False|Ellipsis""", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_][\w.]*")


def unordered(text: str) -> str:
    """`text` with the elements of each set in it sorted: `{'b', 'a'}` is `{'a', 'b'}`.

    A set is what `repr` makes of one, on one line, of literals, calls such as `Decimal('1')` and tuples of
    them. What has a colon is a dict, and keeps its order.
    """
    room = MAX_TEXT
    lines = text.split("\n")
    for index, line in enumerate(lines):
        if "{" in line and ", " in line and len(line) <= MAX_LINE and room > 0:
            room -= len(line)
            lines[index] = _line(line)
    return "\n".join(lines)


@dataclass
class _Group:
    """What stands in one pair of brackets; `elements`: each a list of tokens."""

    opener: str
    elements: list[list[str]] = field(default_factory=lambda: [[]])

    def closed(self) -> str:
        parts = ["".join(element) for element in self.elements]
        if self.opener == "{" and all(map(_is_value, self.elements)):
            parts.sort()
        return self.opener + ", ".join(parts) + _CLOSES.get(self.opener, "")


def _line(line: str) -> str:
    stack = [_Group("")]
    for found in _TOKEN.finditer(line):
        token = found[0]
        if token in _CLOSES:
            stack.append(_Group(token))
            if len(stack) > _DEEPEST:
                return line
        elif token in ("}", ")", "]"):
            if _CLOSES.get(stack[-1].opener) != token:
                return line
            closed = stack.pop().closed()
            stack[-1].elements[-1].append(closed)
        elif token == ", ":
            stack[-1].elements.append([])
        else:
            stack[-1].elements[-1].append(token)
    return stack[0].closed() if len(stack) == 1 else line


def _is_value(element: list[str]) -> bool:
    match element:
        case [one]:
            return one[0] in _CLOSES or _ATOM.fullmatch(one) is not None
        case [name, group]:
            return group[0] == "(" and _NAME.fullmatch(name) is not None
    return False
