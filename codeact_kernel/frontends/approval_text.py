"""Owns what a person reads of a call that waits for an answer, and how changed arguments are understood."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from rich.cells import cell_len, chop_cells

from ..exceptions import ToolCallError, UsageError
from ..tools.registry import checked
from ..tools.tool import Tool
from ..wire.coding import TAG
from ..wire.lines import dump_line
from ..wire.messages import Arguments, Json, ToolRequest
from ..wire.values import decode, encode
from ..wire.weight import weight
from .terminal import clean, clip

MAX_VALUE = 2_000
"""Characters of one argument that are shown; it is said how many more there are."""
MAX_DECODED = 8_000
"""Characters of JSON up to which a value is shown as Python writes it."""
MAX_SHOWN = 1_000_000
"""Bytes of one argument beyond which only its size is shown."""
MAX_ARGUMENTS = 40
MAX_EDIT = 100_000
WIDTH = 76
_PYTHON = {"true": "True", "false": "False", "null": "None", "none": "None"}


@dataclass(frozen=True)
class Question:
    """A call that waits for an answer. All text is clean (`terminal.clean`), of several lines perhaps.

    `mark`: the word that only the host knows. `arguments`: name and value as Python writes it. `remark`: what
    was wrong with the last answer, or what was changed. `choices`: what may be answered, `keys`: in short.
    `head`: what is asked, where it is not about a call; of `arguments` then.
    """

    mark: str
    tool: str
    step: int
    arguments: tuple[tuple[str, str], ...]
    effect: str
    remark: str = ""
    choices: str = ""
    keys: str = "y, n, a, e"
    head: str = ""

    @property
    def asked(self) -> str:
        """In one line."""
        return self.head or f"Call {self.tool} in step {self.step}?  ({self.effect})"

    @property
    def before(self) -> str:
        """What does not happen when the run is stopped here."""
        return "a question was answered" if self.head else f"{self.tool} was called"


def question(mark: str, tool: Tool, request: ToolRequest, step: int, choices: str) -> Question:
    """What is asked of a call whose arguments fit the tool."""
    bound = tool.signature.bind(*request.args, **request.kwargs).arguments
    shown = [(name, _shown(value)) for name, value in [*bound.items()][:MAX_ARGUMENTS]]
    if (more := len(bound) - len(shown)) > 0:
        shown.append(("…", f"{more} more arguments"))
    effect = f"{tool.spec.effect}; {tool.claim}" if tool.claim else tool.spec.effect
    return Question(mark, tool.name, step, tuple(shown), effect, choices=choices)


def framed(question: Question, more: str = "") -> list[tuple[str, str]]:
    """The lines of a question, each with its style. What a program shows is indented; no frame is."""
    lines = [("bold reverse", f"╔══ codeact asks · mark {question.mark} ".ljust(WIDTH, "═"))]
    lines += [("yellow", f"║ {line}") for line in _folded(question.remark)]
    lines += [("bold", f"║ {line}") for line in _folded(question.asked)]
    for name, value in question.arguments:
        first, *rest = _folded(f"{name} = {value}")
        lines += [("", f"║   {first}"), *(("", f"║       {line}") for line in rest)]
    lines.append(("bold", f"╚══ {question.choices}{more}"))
    return lines


def _folded(text: str) -> list[str]:
    """Lines that no terminal has to fold: what it put at the left edge could look like a line of ours."""
    return [part for line in text.split("\n") for part in _wrapped(line, WIDTH - 8)]


def _wrapped(line: str, width: int) -> list[str]:
    """Broken after blanks, which stay: a line without one at its end breaks a word, longer than a line."""
    lines: list[str] = []
    last = ""
    for word in re.findall("[^ ]+ ?| ", line):
        if cell_len(word) > width:
            *full, last = chop_cells(last + word, width)
            lines += full
        elif cell_len(last) + cell_len(word) > width:
            lines.append(last)
            last = word
        else:
            last += word
    return [*lines, last] if last else lines


def changed(tool: Tool, request: ToolRequest, text: str) -> ToolRequest:
    """The call with arguments changed as `text` says, as in `amount=40`; the others stay as they are.

    Values are Python literals, or `{"$": …}` as tools get them on the wire. Raises: UsageError.
    """
    places, names = _literals(text)
    try:
        new = tool.signature.bind_partial(*places, **names).arguments
        bound = tool.signature.bind(*request.args, **request.kwargs)
    except TypeError as problem:
        raise UsageError(f"{tool.name}() {problem}") from None
    for name, value in new.items():
        old = bound.arguments.get(name)
        kind = tool.signature.parameters[name].kind
        if kind is tool.signature.parameters[name].VAR_KEYWORD and isinstance(old, Mapping):
            value = {**old, **value}
        bound.arguments[name] = value
    edited = replace(request, args=bound.args, kwargs=bound.kwargs)
    try:
        checked(tool, edited)
    except ToolCallError as problem:
        raise UsageError(str(problem)) from None
    return edited


def arguments_of(request: ToolRequest) -> Arguments:
    return request.args, request.kwargs


def _literals(text: str) -> tuple[list[Json], dict[str, Json]]:
    """Values by place and by name, encoded."""
    try:
        if len(text) > MAX_EDIT:
            raise ValueError(f"more than {MAX_EDIT:,} characters")
        source = f"f({text}\n)"
        node = ast.parse(source, mode="eval").body
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            raise ValueError("that is no list of arguments")
        named: dict[str, Any] = {}
        for keyword in node.keywords:
            if keyword.arg is None:
                raise ValueError("name each argument, as in amount=40")
            named[keyword.arg] = keyword.value
        places = [_value(each, source) for each in node.args]
        return places, {name: _value(each, source, f"{name}=") for name, each in named.items()}
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as problem:
        said = problem.msg if isinstance(problem, SyntaxError) else str(problem)
        raise UsageError(f"{clip(text, 80)!r} cannot be read as arguments, as in amount=40: {said}") from None


def _value(node: ast.expr, source: str, before: str = "") -> Json:
    """`before`: the name that it is given to, as in `amount=`. Raises: ValueError and its like."""
    try:
        value = ast.literal_eval(node)
    except ValueError:
        text = clip(ast.get_source_segment(source, node) or "", 40)
        if text.lower() in _PYTHON:
            raise ValueError(f"{text} is written {_PYTHON[text.lower()]}") from None
        if isinstance(node, ast.Name | ast.Attribute | ast.BinOp):  # zz, notes.txt, docs/notes.txt
            raise ValueError(f"a text needs quotes: {before}{text!r}") from None
        raise ValueError(f"{text} is no plain value, such as 40, 'late' or [1, 2]") from None
    if isinstance(value, dict) and TAG in value:
        decode(value)
        return value  # It could be decoded: it is encoded.
    return encode(value)


def _shown(encoded: object) -> str:
    """As much of a value as is shown, as Python writes it. Of `*args` and `**kwargs` all together."""
    if isinstance(encoded, tuple):
        return clip(", ".join(_shown(item) for item in encoded[:MAX_ARGUMENTS]), MAX_VALUE)
    value: Any = encoded
    if isinstance(value, str) and len(value) > MAX_VALUE:
        return f"{value[:MAX_VALUE]!r}… (+{len(value) - MAX_VALUE:,} characters)"
    if (size := weight(value)) > MAX_SHOWN:
        return f"(about {size:,} bytes, too much to show)"
    text = dump_line(value)
    if len(text) <= MAX_DECODED:
        try:
            text = repr(decode(value))  # It escapes what cannot be seen.
        except Exception:  # The value is hostile: whatever its parts raise, its JSON can be shown.
            pass
    return clip(clean(text), MAX_VALUE)
